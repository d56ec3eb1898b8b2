"""One modality against another within triples: by name, exactly, and with a reason where it cannot be."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from every_data_set import PatchColours, config_of, write
from toy_triples import ToyQueries, ToyTriples, write_triples
from twin import rank_all

from promptreid import host
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.feature_extraction import protocols_of
from promptreid.evaluation import MarketProtocol
from promptreid.evaluation.missing.across import across_modalities
from promptreid.evaluation.missing.conditions import short_name
from promptreid.evaluation.protocols import find_protocols
from promptreid.runs.build import build_datamanager
from promptreid.runs.missing_modalities import evaluate_missing
from promptreid.runs.run import run

TRIPLES = ("visible", "near_infrared", "thermal_infrared")
PAIRS = [(query, gallery) for query in TRIPLES for gallery in TRIPLES if query != gallery]
WIDTH = 12


class Parts(PatchColours):
    """One projection for all modalities, whose parts stand side by side; a missing one's part is zero."""

    def forward(self, inputs: Any) -> Any:
        features = super().forward(inputs)
        there = inputs["present"].float().repeat_interleave(WIDTH, dim=1)
        return (features[0], features[1] * there) if self.training else features * there

    def modality_slices(self, count: int) -> list[slice]:
        return [slice(place * WIDTH, (place + 1) * WIDTH) for place in range(count)]


class Undeclared(Parts):
    """The same, of which the model says nothing: each side fills other places."""

    modality_slices = None  # type: ignore[assignment]


class Fused(Parts):
    """One vector for a sample, whatever it has."""

    modality_slices = None  # type: ignore[assignment]

    def forward(self, inputs: Any) -> Any:
        return torch.stack(super().forward(inputs).split(WIDTH, dim=1)).sum(dim=0)


def build(kind: type[PatchColours], num_classes: int, loss: str, pretrained: bool, use_gpu: bool) -> PatchColours:
    return kind(num_classes)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_triples(tmp_path)
    for name, data in (("toy_triples", ToyTriples), ("toy_queries", ToyQueries)):
        monkeypatch.setitem(host._DATASETS, name, data)
    for kind in (Parts, Undeclared, Fused):
        monkeypatch.setitem(host._MODELS, f"toy_{kind.__name__.lower()}", partial(build, kind))
    return tmp_path


def config(root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, data: str = "toy_triples", **changes: Any) -> Any:
    settings = {"model.name": f"toy_{kind}", "test.normalize_feature": True, **changes}
    return config_of(data, root, root / f"run-{kind}", monkeypatch, **settings)


def by_hand(cfg: Any, data: str, query: str, gallery: str) -> tuple[list[Any], tuple[int, int]]:
    """Each query's outcome, one image at a time, and how many samples of either side have no such image."""
    model = PatchColours(2)
    model.load_state_dict(checkpoint.load_newest(Path(cfg.data.save_dir) / "model")[1]["state_dict"])
    sides, without = [], []
    for split, modality in (("query", query), ("gallery", gallery)):
        dataset = build_datamanager(cfg, False).test_loader[data][split].dataset
        place, rows, gone = TRIPLES.index(modality), [], 0
        for path, pid, camid, _ in dataset.data:
            if path.paths[modality] is None:
                gone += 1
                continue
            item = dataset[len(rows) + gone]
            with torch.no_grad():
                vector = model.eval()({"images": item["img"]["images"][None, place : place + 1]})[0].double()
            rows.append((vector / vector.norm(), pid, camid))
        sides.append(rows)
        without.append(gone)
    distances = np.array([[float(((a - b) ** 2).sum()) for b, *_ in sides[1]] for a, *_ in sides[0]])
    labels = [[row[place] for row in side] for place in (1, 2) for side in sides]
    return rank_all(distances, labels[0], labels[1], labels[2], labels[3]), (without[0], without[1])


@pytest.mark.parametrize("data", ["toy_triples", "toy_queries"])
def test_equals_one_image_after_the_other(data: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"toy-triples {query}-to-{gallery}" for query, gallery in PAIRS]
    cfg = config(root, monkeypatch, "parts", data, **{"test.protocols": names})
    (results,) = run(cfg, eval_only=True).values()
    assert [result.protocol for result in results] == names
    scores = set()
    for result, (query, gallery) in zip(results, PAIRS, strict=True):
        outcomes, without = by_hand(cfg, data, query, gallery)
        valid = [outcome for outcome in outcomes if outcome.matches]
        assert (result.num_valid, result.num_invalid) == (len(valid), len(outcomes) - len(valid))
        assert result.mAP == pytest.approx(np.mean([outcome.ap for outcome in valid]), abs=1e-6)
        assert result.rank(1) == pytest.approx(np.mean([outcome.first == 1 for outcome in valid]), abs=1e-9)
        left = "; {} queries and {} gallery samples without any of these left out".format(*without)
        assert result.note == f"{short_name(query)} -> {short_name(gallery)}{left if any(without) else ''}"
        scores.add(round(result.mAP, 6))
    assert len(scores) > 3  # no two alike, but by chance


def test_they_stand_beside_the_plain_one_and_are_asked_for_by_their_whole_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "toy-triples visible-to-thermal_infrared"
    cfg = config(root, monkeypatch, "parts", **{"test.protocols": ["toy-triples", name]})
    (both,) = run(cfg, eval_only=True).values()
    assert [result.protocol for result in both] == ["toy-triples", name]
    cfg.defrost()
    cfg.test.protocols = []
    ((plain,),) = run(cfg, eval_only=True).values()
    assert plain.as_dict() == both[0].as_dict()
    table = evaluate_missing(cfg, [name, (["RGB"], ["TIR"])])
    assert list(table.results) == ["RGB -> TIR"]
    for _, found in table.outcomes:
        assert {**found.as_dict(), "protocol": ""} == {**both[1].as_dict(), "protocol": ""}


def test_a_vector_for_the_whole_sample_is_compared_as_it_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image alone gives the fused model what the parts of the other are."""
    name = "toy-triples near_infrared-to-visible"
    results = []
    for kind in ("fused", "parts"):
        cfg = config(root, monkeypatch, kind, **{"test.protocols": [name]})
        ((result,),) = run(cfg, eval_only=True).values()
        results.append([result.mAP, result.mINP, *result.cmc])
    assert results[0] == pytest.approx(results[1], abs=1e-6)


def test_places_of_their_own_cannot_be_compared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = config(root, monkeypatch, "undeclared", **{"test.protocols": ["toy-triples visible-to-near_infrared"]})
    with pytest.raises(ValueError, match=r"RGB -> NIR: the two sides' descriptors have no dimension in common"):
        run(cfg, eval_only=True)


def test_its_ranked_lists_are_drawn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"test.protocols": ["toy-triples visible-to-thermal_infrared"], "test.visrank": True}
    cfg = config(root, monkeypatch, "parts", **changes)
    ((result,),) = run(cfg, eval_only=True).values()
    pictures = list((root / "run-parts" / "visrank_toy_triples").iterdir())
    assert len(pictures) == result.num_valid + result.num_invalid == 19  # of 20, one has no visible image


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("toy-triples visible-to-visible", "not one of .*'toy-triples visible-to-near_infrared'"),
        ("toy-triples RGB-to-TIR", "not one of "),
    ],
)
def test_unknown_names(wanted: str, message: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=message):
        run(config(root, monkeypatch, "parts", **{"test.protocols": [wanted]}), eval_only=True)
    with pytest.raises(ValueError, match=r"protocol '.*' is none of toy-triples visible-to-near_infrared, "):
        evaluate_missing(config(root, monkeypatch, "parts"), [wanted])


def test_names_of_pairs_and_of_sets_with_one_image() -> None:
    pair = across_modalities(MarketProtocol("rgbn300"), TRIPLES[:2])
    assert [one.name for one in pair] == ["rgbn300 visible-to-near_infrared", "rgbn300 near_infrared-to-visible"]
    assert pair[0].protocol.rule == "camera" and pair[0].condition.name == "RGB -> NIR"

    class Single:
        protocols = (MarketProtocol("one"),)
        images_per_sample = 1

    with pytest.raises(ValueError, match=r"test\.protocols 'one visible-to-infrared': not one of \['one'\]"):
        protocols_of(Single(), ["one visible-to-infrared"])


def test_a_file_of_features_cannot_be_tested_so() -> None:
    with pytest.raises(ValueError, match="does not say which part of a descriptor is of which modality"):
        find_protocols("rgbnt201 visible-to-thermal_infrared")


@pytest.mark.parametrize("name", ["rgbnt201", "msvr310"])
def test_real_sets_know_them(name: str, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MSVR310's excludes on scenes here, too."""
    write(name, tmp_path / "data")
    wanted = f"{name} visible-to-thermal_infrared"
    cfg = config(tmp_path / "data", monkeypatch, "parts", name, **{"test.protocols": [wanted]})
    ((result,),) = run(cfg, eval_only=True).values()
    assert result.protocol == wanted and 0 < result.mAP < 1 and result.num_invalid == 0
