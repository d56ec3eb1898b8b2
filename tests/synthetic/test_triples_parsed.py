"""The synthetic twins of the RGB + NIR + TIR data sets, read by the parsers of the real ones."""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from triple_twins import LIKES, OPTIONS, moments, plan_of, write_twins

from promptreid import DATASETS
from promptreid.data.images import read_image
from promptreid.evaluation import FeatureSet
from promptreid.synthetic import BANDS, recipe_of, render_shot


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_twins(tmp_path_factory.mktemp("triples"))


def evaluate(data: Any) -> list[Any]:
    """The results of all protocols on random distances."""
    query, gallery = (
        FeatureSet(
            None,
            np.array([record[1] for record in records]),
            np.array([record[0].camera for record in records]),
            scenes=np.array([record[2] for record in records]),
        )
        for records in (data.query, data.gallery)
    )
    distances = np.random.default_rng(0).random((len(data.query), len(data.gallery)))
    return [protocol.evaluate_distances(distances, query, gallery) for protocol in data.protocols]


@pytest.mark.parametrize("like", LIKES)
def test_parsers_load_the_tree_and_protocols_evaluate_it(
    root: Path, caplog: pytest.LogCaptureFixture, like: str
) -> None:
    with caplog.at_level(logging.WARNING):
        data = DATASETS[like](root=str(root), verbose=False)
    plan = plan_of(like, **OPTIONS[like])
    assert bool(caplog.records) == (like == "wmveid863"), "only incomplete triples are worth a warning"
    trained = {shot.pid for shot in plan.shots if "train" in shot.path}
    assert data.num_train_pids == len(trained)
    assert {pid for _, pid, *_ in data.query} <= {pid for _, pid, *_ in data.gallery}
    invalid = [trial.num_invalid for results in evaluate(data) for trial in results.trials]
    assert invalid and (max(invalid) > 0) == (like == "wmveid863"), "vehicles with one view have no match"


@pytest.mark.parametrize("like", ["rgbnt201", "rgbnt100", "rgbn300"])
def test_parsers_find_the_images_of_the_plan(root: Path, like: str) -> None:
    data, plan = DATASETS[like](root=str(root), verbose=False), plan_of(like, **OPTIONS[like])
    path, pid, *_ = data.gallery[0]
    shots = moments(plan)[pid, path.camera + 1, next(iter(sorted(s.frame for s in plan.shots if s.pid == pid)))]
    assert set(path.paths) == set(BANDS[: len(shots)])
    for shot in shots:
        expected = render_shot(shot, 1, shot.camera, recipe_of(like, seed=1, **OPTIONS[like]).size, plan.style)
        read = np.asarray(read_image(path.paths[shot.band])).astype(int)
        assert read.shape == expected.shape
        assert np.abs(read - expected).mean() < 8


@pytest.mark.parametrize("incomplete", ["skip", "keep"])
def test_incomplete_triples_are_skipped_or_kept(root: Path, incomplete: str) -> None:
    data = DATASETS["wmveid863"](root=str(root), verbose=False, incomplete=incomplete)
    found = defaultdict(set)
    for shot in plan_of("wmveid863", **OPTIONS["wmveid863"]).shots:
        found[shot.path.split("/")[0], shot.pid, shot.camera, shot.frame].add(shot.band)
    for records, split in ((data.train, "train"), (data.gallery, "test")):
        bands = [len(seen) for (name, *_), seen in found.items() if name == split]
        assert len(records) == (len(bands) if incomplete == "keep" else bands.count(3))
        assert (None in {file for path, *_ in records for file in path.paths.values()}) == (incomplete == "keep")


def test_rgbnt201_dev_splits_the_twin(root: Path) -> None:
    data = DATASETS["rgbnt201_dev"](root=str(root), verbose=False)
    assert len({pid for _, pid, *_ in data.query}) >= 2
    assert data.num_train_pids + len({pid for _, pid, *_ in data.query}) == 6
