"""Tables that ``table`` refuses, with the lines of every problem."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from image_tables import people, write_csv
from small_runs import small_config

from promptreid.datasets.table import Table
from promptreid.datasets.table_rows import TableError
from promptreid.runs.run import run

HEADER = "path,pid,camid,split"


def load(file: Path) -> Table:
    return Table(table=str(file), verbose=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    people(tmp_path, images=16)
    return tmp_path


def refused(folder: Path, text: str) -> list[str]:
    (folder / "t.csv").write_text(text)
    with pytest.raises(TableError) as caught:
        load(folder / "t.csv")
    assert str(caught.value).startswith(f"{folder / 't.csv'}: ")
    return caught.value.problems


def test_no_table_and_a_table_without_its_data_set(folder: Path, small_root: Path, tmp_path: Path) -> None:
    names = {"data.sources": ["table"], "data.targets": ["table"]}
    others = {"data.sources": ["sysu_mm01"], "data.targets": ["sysu_mm01"]}
    with pytest.raises(ValueError, match=r"data\.table is empty, but data\.sources or data\.targets names"):
        run(small_config(small_root, tmp_path / "run", **{**names, "data.table": ""}))
    with pytest.raises(ValueError, match=r"data\.table .*people\.csv: none of data\.sources and data\.targets takes"):
        run(small_config(small_root, tmp_path / "run", **{**others, "data.table": str(folder / "people.csv")}))
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such table; set data\.table"):
        load(tmp_path / "none.csv")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("header", "problems"),
    [
        ("path,pdi,camid,split", ["unknown column 'pdi'; did you mean 'pid'? (the columns are path,",
                                  "the column 'pid' is missing"]),
        ("pid,camid,split", ["the column 'path' is missing, or in its place some of visible, infrared"]),
        ("path,visible,pid,camid,split", ["'path' has one image per row, and 'visible' is for rows of several"]),
        ("visible,modality,pid,camid,split", ["'modality' says what 'path' is, but here 'visible' says so itself"]),
        ("path,pid,PID,camid,split", ["2 columns are called 'pid'; keep one"]),
        ("path;pid;camid;split", ["unknown column 'path;pid;camid;split'; separate the columns by commas",
                                  "the column 'pid'", "the column 'camid'", "the column 'split'", "the column 'path'"]),
    ],
)  # fmt: skip
def test_columns(folder: Path, header: str, problems: list[str]) -> None:
    found = refused(folder, f"{header}\na,b,c,d\n")
    assert [problem.startswith(f"line 1: {start}") for problem, start in zip(found, problems, strict=True)] == [
        True
    ] * len(problems), found


def test_cells(folder: Path) -> None:
    rows = ["images/p0-0.jpg,,A,train", "images/p0-1.jpg,p,,train", "images/p0-2.jpg,p,A,",
            "images/p0-3.jpg,p,A,trian",
            '"images/none.jpg",p,"A\nB",train', ",p,A,train",
            "images/p1-0.jpg,p,A", "images/p1-1.jpg,-1,A,train"]  # fmt: skip
    assert refused(folder, "\n".join([HEADER, *rows])) == [
        "line 2: pid is empty",
        "line 3: camid is empty",
        "line 4: split is empty",
        "line 5: split 'trian' is none of train, query, gallery, test; did you mean 'train'?",
        f"line 6: {folder}/images/none.jpg: no such file",
        "line 8: path is empty",
        "line 9: 3 cells, but the header has 4",
        "line 10: pid -1 is negative; leave out rows of nobody or of nowhere (junk)",
    ]


def test_modalities_are_known_ones(folder: Path) -> None:
    rows = ["images/p0-0.jpg,a,A,train,infrarot", "images/p0-1.jpg,a,A,train,"]
    assert refused(folder, "\n".join([f"{HEADER},modality", *rows])) == [
        "line 2: modality 'infrarot' is none of visible, infrared, near_infrared, thermal_infrared; did you mean "
        "'infrared'?"
    ]
    assert refused(folder, "visible,infrared,pid,camid,split\n,,a,A,train\n") == ["line 2: no modality has an image"]


def test_contradictions(folder: Path) -> None:
    rows = ["images/p0-0.jpg,a,A,train,visible", "images/p0-1.jpg,a,A,train,infrared",
            "images/../images/p0-0.jpg,a,B,train,visible", "images/p1-0.jpg,a,A,query,visible",
            "images/p1-1.jpg,b,A,test,visible", "images/p1-1.jpg,b,A,gallery,visible",
            "images/p1-0.jpg,c,A,gallery,infrared", "images/p2-0.jpg,d,A,train,infrared"]  # fmt: skip
    assert refused(folder, "\n".join([f"{HEADER},modality", *rows])) == [
        f"line 4: {folder}/images/p0-0.jpg is in train already, in line 2",
        "line 5: identity 'a' is tested here and trained in line 2; a test of it would be far too good: take it out of "
        "one of the two",
        f"line 7: {folder}/images/p1-1.jpg is in gallery already, in line 6",
        f"line 8: {folder}/images/p1-0.jpg shows 'c' here and 'a' in line 5",
        "line 9: identity 'd' has no visible image in train; cross-modal training needs every modality of everyone: "
        "add some, or take its rows out",
    ]


def test_a_row_that_makes_no_sense_is_not_held_against_others(folder: Path) -> None:
    """With it the identity might have both modalities."""
    rows = ["images/p0-0.jpg,a,A,train,visible", "images/p0-1.jpg,a,,train,infrared", "images/p1-0.jpg,b,A,query,"]
    assert refused(folder, "\n".join([f"{HEADER},modality", *rows])) == ["line 3: camid is empty"]


def test_a_message_shows_ten_problems_and_their_number(folder: Path) -> None:
    (folder / "t.csv").write_text("\n".join([HEADER, *["images/p0-0.jpg,a,,train"] * 13]))
    with pytest.raises(TableError) as caught:
        load(folder / "t.csv")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("t.csv: 13 problems")
    assert lines[1:] == [f"  line {number}: camid is empty" for number in range(2, 12)] + ["  and 3 more"]
    (folder / "t.csv").write_text("\n".join([HEADER, "images/p0-0.jpg,a,,train"]))
    with pytest.raises(TableError, match=r"t\.csv: line 2: camid is empty$"):
        load(folder / "t.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,pid,camid,split\nä,a,b,train\n".encode("latin-1"), r"t\.csv: not UTF-8 \(.* at byte 21\); save it as"),
        ("path,pid,camid,split\n".encode("utf-16"), r"t\.csv: not UTF-8"),
        (b'path,pid,camid,split\n"a"b,a,b,train\n', r"t\.csv: not a CSV file: line 2: "),
        (b"", r"t\.csv: 4 problems"),
        (b"path,pid,camid,split\n\n", r"t\.csv: it has columns and no row"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "t.csv")


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t\.xlsx: tables end in \.csv or \.parquet"):
        load(tmp_path / "t.xlsx")


def test_strangers_among_the_queries_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = people(tmp_path, images=16)
    rows[8] |= {"pid": "stranger"}
    with caplog.at_level(logging.WARNING):
        load(write_csv(tmp_path / "t.csv", rows))
    assert "identities of 1 of 2 queries are nowhere in the gallery; they don't count" in caplog.text
    assert rows[8]["path"] in caplog.text
