"""The command line of the tables, and the commands that docs/results.md names."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import REPO, promptreid
from toy_tables import TOY, run_toy, use_toy_trainings

from promptreid.config import load_config
from promptreid.runs.tables import run_table as result_tables
from promptreid.runs.tables.definitions import TABLES
from promptreid.runs.tables.places import Size
from promptreid.runs.tables.render import ResultTable

DOCS = (REPO / "docs" / "results.md").read_text()
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", DOCS, re.S)
    for line in block.replace("\\\n", " ").splitlines()
]


def test_it_passes_on_what_it_was_given_and_prints_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    calls = []

    def record(*arguments: object) -> SimpleNamespace:
        calls.append(arguments)
        return SimpleNamespace(markdown=lambda: "the table")

    monkeypatch.setattr(result_tables, "run_table", record)
    given = ["dmpt_ladder", "train.max_epoch", "1", "--seeds", "2", "--out", tmp_path, "--root", "data"]
    given += ["--overlay", "profiles/8gb"]
    assert promptreid("table", *given, "--overwrite", "--opts", "train.lr", "0.1") == 0
    ((table, places, size, opts, overwrite, extend),) = calls
    assert places.overlays == (places.configs / "profiles" / "8gb.yaml",)
    assert (table.name, places.out, places.results) == ("dmpt_ladder", tmp_path, tmp_path / "results")
    assert (size, overwrite, extend) == (Size(seeds=2), True, False)
    assert opts == ["data.root", "data", "train.lr", "0.1", "train.max_epoch", "1"]
    assert all((places.configs / row.config).is_file() for each in TABLES.values() for row in each.rows)
    printed, warned = capsys.readouterr()
    assert warned == "warning: --opts will go away; KEY VALUE pairs are taken without it\n"
    assert "the table" in printed and f"{tmp_path / 'dmpt_ladder'}: table.csv" in printed


def test_the_size_and_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(result_tables, "run_table", lambda *given: calls.append(given) or ResultTable)
    monkeypatch.setattr(ResultTable, "markdown", lambda: "the table")
    given = ["--worlds", "5", "--jobs", "2", "--rows", "dmpt_s", "dmpt", "train.lr", "0.1", "--results", tmp_path / "r"]
    assert promptreid("table", "dmpt_ladder", *given) == 0
    ((_, places, size, opts, *again),) = calls
    assert (size, opts) == (Size(3, 5, 2, ("dmpt_s", "dmpt")), ["train.lr", "0.1"])
    assert (places.out, places.results, again) == (Path("log/tables"), tmp_path / "r", [False, False])
    assert promptreid("table", "dmpt_ladder", *given, "--extend") == 0
    assert calls[-1][-2:] == (False, True)
    assert promptreid("table", "dmpt_ladder", *given, "--extend", "--overwrite") == 2


def test_the_plan_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(result_tables, "run_table", None)
    assert promptreid("table", "dmpt_ladder", "--plan", "--worlds", "2", "--seeds", "1", "--out", tmp_path) == 0
    assert "S + bind: 0 of 2 done" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_table_from_files_and_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        use_toy_trainings(patch)
        table = run_toy(tmp_path, table=replace(TOY, name="dmpt_ladder"), size=Size(1, 1))
    capsys.readouterr()
    monkeypatch.setattr(result_tables, "run_table", None)
    given = ["--results", tmp_path / "results", "--show", "--picture", tmp_path / "p.png"]
    assert promptreid("table", "dmpt_ladder", *given) == 0
    assert capsys.readouterr().out == f"{table.markdown()}\ndrawn in {tmp_path / 'p.png'}\n"
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert promptreid("table", "mip_ablation", "--results", tmp_path / "results", "--show") == 2
    assert "table.json: no such file" in capsys.readouterr().err


def test_screening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from promptreid.runs.tables import screen

    calls = []
    record = {"key": "train.lr", "values": ["0.1"], "rows": {"x": {"mAP": {"0.1": [0.5]}, "choice": 0.1}}}
    monkeypatch.setattr(screen, "screen", lambda *given: calls.append(given) or record)
    given = ["--screen", "train.lr", "0.01", "0.1", "train.max_epoch", "2", "--out", tmp_path]
    assert promptreid("table", "dmpt_ladder", *given) == 0
    ((table, _, size, key, values, opts),) = calls
    assert (table.name, size, key, values) == ("dmpt_ladder", Size(1, 2), "train.lr", ["0.01", "0.1"])
    assert opts == ["train.max_epoch", "2"]
    assert (
        f"| x | 50.0 | 0.1 | – |\n\nwritten to {tmp_path / 'results' / 'dmpt_ladder' / 'screen.json'}"
        in capsys.readouterr().out
    )
    assert promptreid("table", "dmpt_ladder", "--plan", "--show") == 2
    assert "not allowed with argument --plan" in capsys.readouterr().err


def test_repeating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from promptreid.runs.tables import repeat

    calls = []
    found: list[SimpleNamespace] = []
    monkeypatch.setattr(repeat, "repeat_rows", lambda *given: calls.append(given) or found)
    monkeypatch.setattr(repeat, "repetitions_markdown", lambda found: f"{len(found)} runs")
    given = ["dmpt_ladder", "--repeat", "--rows", "dmpt", "--out", tmp_path, "--results", tmp_path / "r"]
    for changed, code in ((0, 0), (3, 1)):
        found.append(SimpleNamespace(changed=changed))
        assert promptreid("table", *given) == code
        assert capsys.readouterr().out == f"{len(found)} runs\n"
    table, places, size, opts = calls[-1]
    assert (table, size, opts) == ("dmpt_ladder", Size(1, 1, 1, ("dmpt",)), [])
    assert (places.out, places.results) == (tmp_path, tmp_path / "r")
    assert promptreid("table", *given, "--plan") == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_errors_are_one_line(capsys: pytest.CaptureFixture) -> None:
    assert promptreid("table", "dmpt_lader") == 2
    assert "error: there is no table 'dmpt_lader'; did you mean 'dmpt_ladder'?" in capsys.readouterr().err


def test_the_documented_tables_are_all_there() -> None:
    named = [command[2] for command in COMMANDS if command[1:2] == ["tools/run_table.py"]]
    assert sorted(named) == sorted(TABLES)


def test_the_documented_trainings_have_a_configuration() -> None:
    trained = [command for command in COMMANDS if command[1:2] == ["tools/train_net.py"]]
    assert len(trained) >= 14
    for command in trained:
        cfg = load_config(REPO / command[command.index("--config-file") + 1])
        pairs = command[command.index("--root") + 2 :]
        pairs = pairs[2:] if pairs[:1] in (["--seeds"], ["--splits"]) else pairs
        load_config(None, pairs)
        assert cfg.model.name


def test_each_data_set_has_its_numbers() -> None:
    titles = re.findall(r"^### (.+)$", DOCS.partition("## Published numbers")[2], re.M)
    assert titles == [
        "SYSU-MM01", "RegDB", "LLCM", "RGBNT201", "RGBNT100", "MSVR310", "WMVEID863", "Market1501-MM", "RGBN300",
    ]  # fmt: skip
    for published in ("70.84 / 66.41", "91.26 / 85.90", "78.5 / 81.5", "81.7 / 94.1", "36.6 / 52.1"):
        assert published in DOCS


def test_tables_of_the_document_are_rectangular() -> None:
    for block in re.findall(r"(?:^\|.*\|\n)+", DOCS, re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block.splitlines()[0]
