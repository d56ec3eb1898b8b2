"""``check-data table``: the counts, images and hash of a table of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_tables import people, triples, write_csv

from promptreid.datasets.checks import check


def test_the_check_counts_and_opens_its_images(tmp_path: Path) -> None:
    rows = triples(tmp_path, 16)
    rows[0]["near_infrared"] = ""
    file = write_csv(tmp_path / "t.csv", rows)
    report = check("table", table=str(file))
    assert report.good and len(report.manifest) == 64
    counts = "2 identities, 8 samples (4 camera 0, 4 camera 1, {0} complete, "
    counts += "{0} near_infrared, 8 thermal_infrared, 8 visible)"
    assert report.notes[:2] == [f"train: {counts.format(7)}", f"query: {counts.format(8)}"]
    assert report.notes[3].startswith("train: ") and "no near_infrared image" in report.notes[3]
    (tmp_path / rows[3]["visible"]).write_bytes(b"")
    report = check("table", table=str(file))
    assert not report.good and rows[3]["visible"] in report.problems[0]
    for row in rows[:12]:
        row["camid"] = ""
    problems = check("table", table=str(write_csv(file, rows))).problems
    assert problems == [f"line {number}: camid is empty" for number in range(2, 14)]
    for name, table in (("table", ""), ("regdb", str(file))):
        with pytest.raises(ValueError, match="--table names the file of the data set 'table'"):
            check(name, str(tmp_path), table=table)


def test_the_check_calls_cameras_what_the_table_calls_them(tmp_path: Path) -> None:
    names = {"cam1": "7", "cam2": "Back  door"}
    rows = people(tmp_path, images=16)
    kinds = sorted({row["camid"] for row in rows})
    rows = [{**row, "camid": names[f"cam{kinds.index(row['camid']) + 1}"]} for row in rows]
    first = check("table", table=str(write_csv(tmp_path / "t.csv", rows))).notes[0]
    assert first == "train: 2 identities, 8 samples (4 camera 7, 4 camera Back  door, 8 complete, 8 visible)"


def test_a_copy_elsewhere_has_the_same_manifest(tmp_path: Path) -> None:
    reports = []
    for name in ("here", "there"):
        rows = people(tmp_path / name, images=16)
        (tmp_path / name / "lists").mkdir()
        rows = [{**row, "path": f"../{row['path']}"} for row in rows]
        reports.append(check("table", table=str(write_csv(tmp_path / name / "lists" / "t.csv", rows))))
    assert reports[0].manifest == reports[1].manifest != ""
