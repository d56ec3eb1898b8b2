"""What is tested is never trained on: ``combineall`` is for other data sets' tests. And an image is one copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_triples import patches, write_small

from promptreid.data.manager import ModalDataManager
from promptreid.datasets.sysu_mm01 import SYSUMM01

MARKET = {"bounding_box_train": "0002_c1s1_0 0002_c2s1_0", "query": "0001_c1s1_0", "bounding_box_test": "0001_c2s1_0"}


def manager(root: Path, sources: str, *targets: str, **changes: Any) -> ModalDataManager:
    common = {"height": 16, "width": 8, "workers": 0, "use_gpu": False, "combineall": True, "transforms": []}
    return ModalDataManager(**{**common, "root": str(root), "sources": sources, "targets": targets or None, **changes})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small MSVR310, RGBNT201 and Market-1501."""
    for name in ("msvr310", "rgbnt201"):
        write_small(name, tmp_path, patches((16, 8)))
    for split, names in MARKET.items():
        folder = tmp_path / "market1501" / "Market-1501-v15.09.15" / split
        folder.mkdir(parents=True)
        for seed, name in enumerate(names.split()):
            patches((16, 8))(folder / f"{name}00451_03.jpg", seed)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "targets", "told"),
    [
        ("msvr310", (), r"msvr310 \(198 images\)"),
        ("msvr310", ("rgbnt201", "msvr310"), r"msvr310 \(198 images\)"),
        ("market1501", ("market1501_as_triples",), r"market1501_as_triples \(2 images\)"),
        ("market1501_as_triples", ("market1501",), r"market1501 \(2 images\)"),
        ("market1501", (), r"market1501 \(2 images\)"),
    ],
)
def test_test_images_are_not_trained_on(root: Path, sources: str, targets: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.combineall True trains on .* of data\.targets {told}, and a test"):
        manager(root, sources, *targets)
    assert manager(root, sources, *targets, combineall=False).num_train_pids


def test_a_variant_of_a_data_set_is_the_same_one(sysu_root: Path) -> None:
    for target in ("sysu_mm01_indoor", "sysu_mm01_multishot"):
        with pytest.raises(ValueError, match=rf"data\.combineall True .*data\.targets {target} \("):
            manager(sysu_root, "sysu_mm01", target)


def test_other_data_sets_may_be_tested(root: Path) -> None:
    alone = manager(root, "msvr310", "rgbnt201", combineall=False)
    both = manager(root, "msvr310", "rgbnt201")
    assert both.num_train_pids == alone.num_train_pids + 7
    assert manager(root, "rgbnt201_dev", "rgbnt201").num_train_pids == 6


def test_relative_roots_work_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match=r"data\.combineall"):
        manager(Path(), "msvr310")


def test_several_copies_of_an_image_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.k_tfm 2: neither .* set it to 1"):
        manager(root, "msvr310", "rgbnt201", k_tfm=2)


def test_identities_that_are_queries_alone_are_trained_on_too(sysu_root: Path) -> None:
    """Indoor, as on the real SYSU-MM01; torchreid's own looks them up among the gallery's."""
    plain = SYSUMM01(str(sysu_root), search="indoor", verbose=False)
    tested = {record[1] for record in plain.query + plain.gallery}
    assert {record[1] for record in plain.query} - {record[1] for record in plain.gallery}
    data = SYSUMM01(str(sysu_root), search="indoor", verbose=False, combineall=True)
    assert data.num_train_pids == plain.num_train_pids + len(tested)
    assert sorted(str(r[0]) for r in data.train) == sorted(str(r[0]) for r in plain.train + plain.query + plain.gallery)
    assert (data.query, data.gallery) == (plain.query, plain.gallery)
    by_person: dict[str, set[int]] = {}
    for record in data.train:
        by_person.setdefault(Path(record[0]).parent.name, set()).add(record[1])
    assert all(len(labels) == 1 for labels in by_person.values())
