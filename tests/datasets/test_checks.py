"""The published counts against whole trees of them, through the real parsers; and what a check finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_trees import write_sysu, write_whole_llcm
from PIL import Image

from promptreid.data.dataset import Record
from promptreid.datasets import checks
from promptreid.datasets.checks import check, compare
from promptreid.datasets.published import PUBLISHED, Count
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.evaluation import FeatureSet


@pytest.fixture(scope="module")
def whole_sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SYSU-MM01 in full."""
    return write_sysu(tmp_path_factory.mktemp("whole") / "SYSU-MM01")


def labels(records: list[Record]) -> FeatureSet:
    return FeatureSet(None, *(np.array([record[k] for record in records]) for k in (1, 2)))


def test_whole_sysu_has_the_published_counts(whole_sysu: Path) -> None:
    published = PUBLISHED["sysu_mm01"]
    rows = compare(published.counts, published.read(whole_sysu))
    assert [row for row in rows if not row.agrees] == []
    assert len(rows) == 23


def test_whole_sysu_gives_the_published_galleries_and_queries(whole_sysu: Path) -> None:
    data = SYSUMM01(str(whole_sysu), verbose=False)
    query, pool = labels(data.query), labels(data.gallery)
    assert (len(query), data.num_train_pids) == (3803, 395)
    sizes = {protocol.name: {len(drawn) for drawn in protocol.trials(pool)} for protocol in data.protocols}
    assert sizes == {
        "sysu-python all 1-shot": {301}, "sysu-python all 10-shot": {3010},
        "sysu-python indoor 1-shot": {112}, "sysu-python indoor 10-shot": {1120},
    }  # fmt: skip
    indoor = SYSUMM01(str(whole_sysu), search="indoor", verbose=False)
    pool = labels(indoor.gallery)
    protocol = indoor.protocols[0]
    protocol.num_trials = 1
    result = protocol.evaluate_distances(np.ones((3803, len(pool)), np.float32), query, pool)
    assert (result.num_valid, result.num_invalid) == (2208, 1595)


def test_whole_llcm_has_the_published_counts(tmp_path: Path) -> None:
    published = PUBLISHED["llcm"]
    rows = compare(published.counts, published.read(write_whole_llcm(tmp_path / "LLCM")))
    assert [row for row in rows if not row.agrees] == []


@pytest.mark.slow
def test_whole_regdb_passes_the_whole_check(whole_regdb: Path) -> None:
    report = check("regdb", str(whole_regdb.parent))
    assert report.good
    assert len(report.rows) == 42
    assert len(report.manifest) == 64
    assert "MISMATCH" not in report.table()


def test_published_totals_add_up() -> None:
    counts = PUBLISHED["sysu_mm01"].counts
    for split in ("train", "val"):
        assert counts[split, "all"].images == counts[split, "visible"].images + counts[split, "infrared"].images
    assert sum(counts["train + val", f"cam{cam}"].images for cam in range(1, 7)) == 34167
    assert sum(counts["gallery", f"cam{cam}"].images for cam in (1, 2, 4, 5)) == counts["gallery", "all"].images
    assert counts["all splits", "visible"].images + counts["all splits", "infrared"].images == 34167 + 3803 + 6775
    counts = PUBLISHED["llcm"].counts
    assert counts["train", "all"].images + counts["test", "all"].images == counts["all splits", "all"].images


def test_a_missing_and_a_surplus_image_are_mismatches(noise_tree: Path) -> None:
    counts = {("query", "all"): Count(2, 8), ("query", "cam3"): Count(None, 4), ("gallery", "cam1"): Count(2, 4)}
    published = PUBLISHED["sysu_mm01"]
    assert all(row.agrees for row in compare(counts, published.read(noise_tree)))
    (noise_tree / "cam3" / "0007" / "0001.jpg").unlink()
    shutil.copy(noise_tree / "cam1" / "0009" / "0001.jpg", noise_tree / "cam1" / "0009" / "0003.jpg")
    rows = compare(counts, published.read(noise_tree))
    assert [row.found for row in rows] == [Count(2, 7), Count(2, 3), Count(2, 5)]
    assert not any(row.agrees for row in rows)


def test_missing_identities_are_a_mismatch() -> None:
    row = checks.Row("query", "all", Count(96, 3803), Count(95, 3803))
    assert not row.agrees
    assert checks.Row("query", "all", Count(None, 3803), Count(95, 3803)).agrees
    table = checks.Report(rows=[row]).table().splitlines()
    assert table[1].split() == ["query", "all", "96", "95", "3803", "3803", "MISMATCH"]


def test_unreadable_lists_and_bad_images_are_problems(small_regdb: Path) -> None:
    report = check("regdb", str(small_regdb))
    assert not report.good
    assert "train_visible_2.txt: no such list" in report.problems[0]
    assert (report.rows, report.manifest) == ([], "")


def test_a_bad_image_is_a_problem_beside_the_counts(small_llcm: Path) -> None:
    bad = next(small_llcm.glob("test_vis/*/*/*.jpg"))
    bad.unlink()
    bad.write_bytes(b"<html>404</html>")
    report = check("llcm", str(small_llcm))
    assert len(report.rows) == 8
    assert len(report.problems) == 1
    assert str(bad) in report.problems[0]
    assert not report.good


def test_no_data_set_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="RegDB not found"):
        check("regdb", str(tmp_path))


def test_what_a_system_adds_to_a_folder_changes_no_hash(small_llcm: Path) -> None:
    before = check("llcm", str(small_llcm))
    for path in [*small_llcm.rglob("*")]:
        for name in (f"._{path.name}", ".DS_Store", "Thumbs.db"):
            (path.parent / name).write_bytes(b"\0")
    assert check("llcm", str(small_llcm)) == before


def test_nearly_constant_thermal_images_are_noted(small_llcm: Path) -> None:
    for path in small_llcm.rglob("*_nir.jpg"):
        path.unlink()
        Image.fromarray(np.arange(7000, 7032, dtype=np.uint16).reshape(8, 4)).save(path.with_suffix(".png"))
    report = check("llcm", str(small_llcm), decode=True)
    assert report.problems == []
    (note,) = report.notes
    assert (
        "_nir.png: a 16-bit image of the levels 7000 to 7031, of which data.range_16bit full makes 1 grey levels"
        in note
    )
    assert note.endswith("(24 of the 24 16-bit images looked at are such)")
