"""Trees with the published numbers, through the real parsers: counts, valid queries, positives and chance."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_triples
import numpy as np
import pytest

from promptreid import DATASETS
from promptreid.data.dataset import ModalDataset, Record
from promptreid.datasets import rgbnt201
from promptreid.datasets.checks import compare
from promptreid.datasets.published import PUBLISHED
from promptreid.evaluation import FeatureSet, MarketProtocol

WRITERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "rgbnt201": ("RGBNT201", fake_triples.write_whole_rgbnt201),
    "rgbnt100": ("RGBNT100", fake_triples.write_whole_rgbnt100),
    "msvr310": ("msvr310", fake_triples.write_whole_msvr310),
    "wmveid863": ("MSVWild863", fake_triples.write_whole_wmveid863),
    "market_mm": ("Market-1501-RGBNT", fake_triples.write_whole_market_mm),
}


@pytest.fixture(scope="module")
def trees() -> Iterator[Path]:
    """All five. They are sixty thousand files, so in memory where there is a file system in memory, and not kept."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as root:
        for folder, write in WRITERS.values():
            write(Path(root) / folder)
        yield Path(root)


def load(name: str, root: Path) -> ModalDataset:
    return DATASETS[name](root=str(root), verbose=False)


def random_sets(data: ModalDataset) -> tuple[FeatureSet, FeatureSet]:
    """Queries and gallery with features of noise; a query that is in the gallery has the same ones there."""
    places = {key: place for place, key in enumerate(sorted({_key(record) for record in data.query + data.gallery}))}
    noise = np.random.default_rng(0).normal(size=(len(places), 16))
    query, gallery = (
        FeatureSet(
            noise[[places[_key(record)] for record in records]],
            *([record[k] for record in records] for k in (1, 2)),
            [record[0].labels.get("scene", 0) for record in records],
        )
        for records in (data.query, data.gallery)
    )
    return query, gallery


def _key(record: Record) -> tuple[int, str]:
    return record[1], Path(record[0]).name


@pytest.mark.parametrize("name", WRITERS)
def test_counts_are_the_published_ones(trees: Path, name: str) -> None:
    published = PUBLISHED[name]
    splits = published.read(published.find(str(trees)))
    rows = compare(published.counts, splits)
    assert [row for row in rows if not row.agrees] == []
    assert len(rows) == {"rgbnt201": 11, "rgbnt100": 4, "wmveid863": 9}.get(name, 6)
    # A sample less is seen in each split.
    rows = compare(published.counts, {split: records[1:] for split, records in splits.items()})
    counted = {row.split for row in rows if row.group == "all" and not row.agrees}
    assert counted == {split for split, group in published.counts if group == "all"}


@pytest.mark.parametrize(
    ("name", "sizes", "positives", "mean_ap"),
    [
        ("rgbnt201", (3951, 836, 836), (7, 13.5, 21), 2.4),
        ("rgbnt100", (8675, 1715, 8575), (50, None, 175), 1.9),
        ("msvr310", (1032, 591, 1055), (1, 10.5, 31), 1.6),
    ],
)
def test_queries_positives_and_chance(
    trees: Path, name: str, sizes: tuple, positives: tuple[int, float | None, int], mean_ap: float
) -> None:
    data = load(name, trees)
    assert (len(data.train), len(data.query), len(data.gallery)) == sizes
    query, gallery = random_sets(data)
    result = data.protocols[0].evaluate(query, gallery)
    assert (result.protocol, result.num_valid, result.num_invalid) == (name, sizes[1], 0)
    matches = result.ranks[0].num_matches
    assert (matches.min(), matches.max()) == (positives[0], positives[2])
    assert positives[1] is None or round(float(matches.mean()), 1) == positives[1]
    assert round(100 * result.chance.mAP, 1) == mean_ap
    # The queries are in the gallery with these very features: were one to see itself, rank-1 would be 100 %.
    assert 100 * result.mAP == pytest.approx(mean_ap, abs=0.25)
    assert result.rank(1) < 0.05
    nothing = MarketProtocol("m", "nothing").evaluate(query.select(np.arange(0, len(query), 9)), gallery)
    assert nothing.rank(1) == 1


def test_rgbnt201_cameras_and_identities(trees: Path) -> None:
    data = load("rgbnt201", trees)
    assert (data.num_train_pids, data.num_cameras) == (171, 4)
    assert Counter(record[2] for record in data.train) == {0: 2592, 1: 1142, 2: 88, 3: 129}
    per_id = Counter(record[1] for record in data.train)
    assert (min(per_id.values()), max(per_id.values())) == (8, 35)
    per_id = Counter(record[1] for record in data.query)
    assert (min(per_id.values()), max(per_id.values())) == (17, 30)
    assert {record[2] for record in data.query} == {0, 1}
    assert data.query == data.gallery


def test_rgbnt201_development_split(trees: Path) -> None:
    whole, dev = load("rgbnt201", trees), load("rgbnt201_dev", trees)
    assert (whole.protocols[0].name, dev.protocols[0].name) == ("rgbnt201", "rgbnt201-dev")
    assert (dev.num_train_pids, len({record[1] for record in dev.query})) == (141, 30)
    assert len(dev.train) + len(dev.query) == len(whole.train)
    assert dev.query == dev.gallery
    validated = {Path(record[0]).name[:6] for record in dev.query}
    assert not validated & {Path(record[0]).name[:6] for record in dev.train}
    result = dev.protocols[0].evaluate(*random_sets(dev))
    assert result.num_invalid == 0
    # Evenly spread over the sorted identities of two cameras, which here are 1 to 51.
    assert sorted(map(int, validated)) == [1 + k * 51 // 30 for k in range(30)]


def test_rgbnt100_cameras(trees: Path) -> None:
    data = load("rgbnt100", trees)
    assert {record[2] for record in data.gallery} == set(range(8))
    per_id = Counter(record[1] for record in data.gallery)
    assert (len(per_id), min(per_id.values()), max(per_id.values())) == (50, 75, 200)
    assert {Path(record[0]).name for record in data.query} <= {Path(record[0]).name for record in data.gallery}


def test_msvr310_scenes_views_and_distractors(trees: Path) -> None:
    data = load("msvr310", trees)
    everything = data.train + data.gallery
    assert {record[0].labels["scene"] for record in everything} == set(range(30))
    assert {record[0].labels["view"] for record in everything} == set(range(8))
    scenes: dict[int, set[int]] = {}
    for path, pid, camid, _ in data.gallery:
        assert camid == path.labels["scene"]
        scenes.setdefault(pid, set()).add(camid)
    asked = {record[1] for record in data.query}
    assert asked == {pid for pid, seen in scenes.items() if len(seen) > 1}
    distractors = [record for record in data.gallery if record[1] not in asked]
    assert (len(asked), len({record[1] for record in distractors}), len(distractors)) == (52, 103, 464)
    query, gallery = random_sets(data)
    views = [FeatureSet(s.features, s.pids, [r[0].camera for r in records])
             for s, records in ((query, data.query), (gallery, data.gallery))]  # fmt: skip
    by_view = MarketProtocol("wrong", "camera").evaluate(*views).ranks[0].num_matches
    by_scene = data.protocols[0].evaluate(query, gallery).ranks[0].num_matches
    assert (by_view != by_scene).sum() > 300


def test_wmveid863_is_read_as_published(trees: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = load("wmveid863", trees)
    assert (len(data.train), data.num_train_pids) == (3481, 603)
    assert len(data.gallery) == 1228
    assert (
        "train: 2 samples are incomplete (2 without near_infrared, 1 without thermal_infrared, 1 without" in caplog.text
    )
    assert "identities [325, 331, 397, 406, 451, 471, 862] are both trained and tested on" in caplog.text
    assert "1 samples left out, their names are not of the form v7_n0_s999_004.jpg" in caplog.text
    assert "test/0865/vis/v1_n0_s999_00 4.jpg" in caplog.text
    result = data.protocols[0].evaluate(*random_sets(data))
    assert (result.num_valid, result.num_invalid) == (272 - 121, 121)
    assert "121 of 272 queries have no match from another camera" in caplog.text
    kept = DATASETS["wmveid863"](root=str(trees), verbose=False, incomplete="keep")
    assert (len(kept.train), len(kept.gallery)) == (3483, 1232)


def test_market_mm_is_as_large_as_market1501(trees: Path) -> None:
    data = load("market_mm", trees)
    assert (len(data.train), len(data.query), len(data.gallery)) == (12936, 3368, 15913)
    assert sum(record[1] == 0 for record in data.gallery) == 2798
    assert all(record[1] >= 0 for record in data.gallery)
    query, gallery = random_sets(data)
    result = data.protocols[0].evaluate(query.select(np.arange(0, 3368, 8)), gallery)
    assert (result.protocol, result.num_valid, result.num_invalid) == ("market-mm", 421, 0)


@pytest.mark.parametrize(("pairs", "chosen"), [(51, 30), (17, 10), (5, 2), (4, 2), (2, 2)])
def test_development_split_of_smaller_sets(pairs: int, chosen: int) -> None:
    records = [(_Path(camera), pid, camera) for pid in range(pairs) for camera in (0, 1)] + [(_Path(0), 99, 0)]
    found = rgbnt201.split_for_development(records)
    assert len(found) == len(set(found)) == chosen
    assert set(found) <= set(range(pairs))
    assert np.ptp(np.diff([*found, found[0] + pairs])) <= 1


class _Path:
    def __init__(self, camera: int) -> None:
        self.camera = camera
