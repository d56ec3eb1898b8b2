"""The command line of the check: what it prints and its exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import promptreid
from fake_trees import write_regdb
from fake_triples import patches, write_small
from image_tables import people, write_csv
from triple_sets import Plain, Triples, register, write_triples

from promptreid import DATASETS, host
from promptreid.synthetic import write_tree


@pytest.fixture(scope="module")
def regdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_regdb(tmp_path_factory.mktemp("reid-data") / "RegDB")


def run(*args: str | Path) -> int:
    return promptreid("check-data", *args)


@pytest.mark.slow
def test_a_complete_data_set(regdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("regdb", regdb.parent, "--workers", "2") == 0
    printed = capsys.readouterr().out
    assert "split 10 test    infrared            206    206     2060     2060\n" in printed
    assert "all splits       visible               -      -     4120     4120\n" in printed
    assert "sha256 " in printed
    assert printed.endswith("complete and readable\n")


def test_other_counts_and_bad_files(noise_tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((noise_tree / "cam6").glob("*/*.jpg")) + sorted((noise_tree / "cam5").glob("*/*.jpg")):
        path.write_bytes(path.read_bytes()[:-20])
    assert run("sysu_mm01", noise_tree) == 1
    assert "bad:" not in capsys.readouterr().out
    assert run("sysu_mm01", noise_tree, "--decode", "--content") == 1
    printed = capsys.readouterr().out
    assert "query            cam3                 93      2     1883        4  MISMATCH" in printed
    assert printed.count("bad: ") == 21
    assert "bad: 4 more\n" in printed
    assert "(paths, sizes, contents)" in printed
    assert printed.endswith("NOT as published\n")


def test_a_data_set_that_cannot_be_parsed(noise_tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (noise_tree / "exp" / "val_id.txt").unlink()
    assert run("sysu_mm01", noise_tree) == 1
    assert "val_id.txt: no such id list" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["market1501", "."], "invalid choice: 'market1501'"),
        (["regdb", ".", "--workers", "0"], "0 is below 1"),
        (["regdb"], "required: ROOT"),
        (["regdb", "--table", "t.csv"], "required: ROOT"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_no_data_set_there_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("llcm", "nowhere") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: LLCM not found at nowhere")
    assert error.count("\n") == 1


def test_triples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_small("wmveid863", tmp_path, patches((8, 16)))
    (folder / "train" / "0001" / "ni" / "v0_n0_s999_000.jpg").unlink()
    assert run("wmveid863", tmp_path) == 1
    printed = capsys.readouterr().out
    assert "train            complete            603      2     3481        7  MISMATCH" in printed
    assert "note: train: " in printed
    assert "vis/v0_n0_s999_000.jpg: no near_infrared image has this name\n" in printed
    assert "bad: " not in printed
    (folder / "train" / "0001" / "th" / "v0_n0_s999_000.jpg").write_bytes(b"")
    assert run("wmveid863", tmp_path) == 1
    assert "bad: " in capsys.readouterr().out


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = people(tmp_path, images=16)
    file = write_csv(tmp_path / "people.csv", rows)
    assert run("table", "--table", file) == 0
    printed = capsys.readouterr().out
    assert "note: train: 2 identities, 8 samples (4 camera A, 4 camera B, 8 complete, 8 visible)\n" in printed
    assert "sha256 " in printed and printed.endswith("complete and readable\n") and "NOT" not in printed
    rows[0]["pid"] = rows[-1]["pid"]
    write_csv(file, rows)
    assert run("table", "--table", file) == 1
    printed = capsys.readouterr().out
    assert "bad: line 14: identity 'person 3' is tested here and trained in line 2" in printed
    assert printed.endswith("NOT complete and readable\n")


PLUGIN = """
from triple_sets import Triples
import promptreid

promptreid.register_dataset("triples_of_{}", Triples)
"""


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    monkeypatch.setattr(host, "_ours", dict(host._ours))
    before = [(registry, dict(registry)) for registry in (host._DATASETS, DATASETS)]
    yield
    for registry, names in before:
        for name in registry.keys() - names:
            del registry[name]


def test_a_data_set_that_a_plugin_brings(
    registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_triples(tmp_path / "images")
    (tmp_path / "corridors_of_ours.py").write_text(PLUGIN.format("ours"))
    monkeypatch.chdir(tmp_path)
    assert run("triples_of_ours", "images", "--plugin", "corridors_of_ours.py") == 0
    printed = capsys.readouterr().out
    assert "note: train: 6 identities, 30 samples (18 cam1, 12 cam2, 30 complete, 30 near_infrared" in printed
    assert "sha256 " in printed and "published" not in printed and printed.endswith("complete and readable\n")
    broken = root / "visible" / "0_0.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    assert run("triples_of_ours", "images", "--decode") == 1
    printed = capsys.readouterr().out
    assert "bad: " in printed and str(broken.relative_to(tmp_path)) in printed
    assert printed.endswith("NOT complete and readable\n")


def test_what_no_plugin_brings_is_refused(
    registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(monkeypatch, triples_of_others=Triples)
    assert run("triples_of_other", tmp_path) == 2
    error = capsys.readouterr().err
    assert "invalid choice: 'triples_of_other'" in error and "did you mean 'triples_of_others'" in error
    assert run("regdb", tmp_path, "--plugin", tmp_path / "none.py") == 2
    assert "none.py" in capsys.readouterr().err


def test_one_of_plain_images_and_one_that_refuses_its_folder(
    registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing(**kwargs: object) -> None:
        raise ValueError("line 3 makes no sense")

    register(monkeypatch, plain_of_others=Plain, refusing_of_others=refusing)
    assert run("plain_of_others", write_triples(tmp_path)) == 0
    assert "gallery: 6 identities, 30 samples (30 cam1, 30 complete, 30 visible)" in capsys.readouterr().out
    assert run("refusing_of_others", tmp_path) == 1
    assert "bad: line 3 makes no sense" in capsys.readouterr().out


def test_a_rendered_data_set_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First of all, for its counts are not the published ones."""
    for name, folder, size in (("rgbnt100", "RGBNT100", None), ("regdb", "RegDB", (32, 16))):
        write_tree(name, tmp_path / folder, ids=4, seed=5, frames=1, size=size)
        assert run(name, tmp_path) == 1
        first = capsys.readouterr().out.splitlines()[0]
        assert first.startswith("SYNTHETIC: ") and f"(like {name}, ids 4, seed 5, frames 1)" in first
    (tmp_path / "RegDB" / "idx" / "test_visible_1.txt").unlink()
    assert run("regdb", tmp_path) == 1
    assert capsys.readouterr().out.startswith("SYNTHETIC: ")
    (tmp_path / "RegDB" / "synthetic.json").write_text("{")
    assert run("regdb", tmp_path) == 1
    assert "synthetic.json: not a manifest" in capsys.readouterr().out
