"""The command line of the tables, and the commands that docs/results.md names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import REPO, promptreid

from promptreid.config import load_config
from promptreid.runs.tables import run_table as result_tables
from promptreid.runs.tables.definitions import TABLES

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
    ((table, configs, out, seeds, opts, overwrite, overlays),) = calls
    assert overlays == [configs / "profiles" / "8gb.yaml"]
    assert (table.name, out, seeds, overwrite) == ("dmpt_ladder", tmp_path, 2, True)
    assert opts == ["data.root", "data", "train.lr", "0.1", "train.max_epoch", "1"]
    assert all((configs / row.config).is_file() for each in TABLES.values() for row in each.rows)
    printed, warned = capsys.readouterr()
    assert warned == "warning: --opts will go away; KEY VALUE pairs are taken without it\n"
    assert "the table" in printed and f"{tmp_path / 'dmpt_ladder'}: table.csv" in printed


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
