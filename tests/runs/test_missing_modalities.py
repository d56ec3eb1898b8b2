"""Testing a trained model under missing modalities: what is extracted, compared, written and refused."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_triples import INCOMPLETE, MODALITIES, SIZE, ToyQueries, ToyTriples, write_triples

from promptreid import host
from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.train_engine import PromptEngine
from promptreid.evaluation.missing.table import MissingTable
from promptreid.methods.baselines.multi_stream import MultiStream
from promptreid.runs.missing_modalities import evaluate_missing
from promptreid.runs.run import run

DISJOINT = [(["RGB", "NIR"], ["TIR"])]


class Stream(nn.Module):
    """Random projections of an image of 4 x 2."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(24, 16)

    def forward(self, images: Tensor) -> Tensor:
        return self.project(nn.functional.adaptive_avg_pool2d(images, (4, 2)).flatten(1))


class Undeclared(MultiStream):
    """Independent parts, of which the model says nothing."""

    modality_slices = None  # type: ignore[assignment]


class Coupled(MultiStream):
    """Each part also depends on the other modalities."""

    def forward(self, inputs: Any) -> Any:
        joined = super().forward(inputs)
        return joined + joined.roll(self.width, dims=1).tanh() if not self.training else joined

    def modality_slices(self, count: int) -> None:  # type: ignore[override]
        return None


class OneSpace(MultiStream):
    """One stream for all modalities."""

    def __init__(self, streams: list[nn.Module], *args: Any) -> None:
        super().__init__([streams[0]] * 3, *args)


class Fused(Coupled):
    """One vector for a sample, whatever it has."""

    def forward(self, inputs: Any) -> Any:
        return torch.stack(MultiStream.forward(self, inputs).split(self.width, dim=1)).sum(dim=0)


def build(kind: type[MultiStream], num_classes: int, loss: str, pretrained: bool, use_gpu: bool) -> MultiStream:
    return kind([Stream() for _ in range(3)], 16, num_classes, loss)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triples")
    write_triples(folder)
    return folder


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, dataset in (("toy_triples", ToyTriples), ("toy_queries", ToyQueries)):
        monkeypatch.setitem(host._DATASETS, name, dataset)
    for kind in (MultiStream, Undeclared, Coupled, OneSpace, Fused):
        monkeypatch.setitem(host._MODELS, f"toy_{kind.__name__.lower()}", partial(build, kind))


@pytest.fixture
def extractions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What has been extracted: the split, and how many samples."""
    done: list[tuple[str, int]] = []
    original = PromptEngine.features_of

    def counting(self: PromptEngine, loader: Any, normalize: bool, what: str, *rest: Any) -> Any:
        done.append((what, len(loader.dataset)))
        return original(self, loader, normalize, what, *rest)

    monkeypatch.setattr(PromptEngine, "features_of", counting)
    return done


def config(root: Path, folder: Path, model: str, **changes: Any) -> Any:
    """Of a run that has ended, with random weights."""
    tree = load_config(
        None,
        overrides={
            "data.root": str(root),
            "data.sources": ["toy_triples"],
            "data.targets": ["toy_triples"],
            "data.height": SIZE[0],
            "data.width": SIZE[1],
            "data.workers": 0,
            "data.save_dir": str(folder),
            "loss.name": "triplet",
            "model.name": model,
            "sampler.train_sampler": "RandomIdentitySampler",
            "sampler.num_instances": 2,
            "train.batch_size": 4,
            "test.batch_size": 6,
            "test.normalize_feature": True,
            **changes,
        },
    )
    torch.manual_seed(0)
    made = host.models.build_model(model, 4, "triplet", pretrained=False)
    checkpoint.save({"state_dict": made.state_dict(), "epoch": 1}, folder / "model")
    return tree


def numbers(table: MissingTable) -> list[Any]:
    return [pytest.approx([one.mAP, one.mINP, *one.cmc], abs=1e-6) for one in table.results.values()]


@pytest.mark.parametrize("normalize", [True, False])
def test_one_extraction_equals_one_for_every_condition(
    registered: None, root: Path, tmp_path: Path, extractions: list[tuple[str, int]], normalize: bool
) -> None:
    changes = {"test.normalize_feature": normalize}
    for conditions in (None, [(["RGB", "NIR"], ["NIR", "TIR"])]):
        once = evaluate_missing(config(root, tmp_path / "a", "toy_multistream", **changes), conditions)
        assert extractions == [("gallery", 20)]
        extractions.clear()
        each = evaluate_missing(config(root, tmp_path / "b", "toy_undeclared", **changes), conditions)
        assert len(extractions) == (7 if conditions is None else 1)
        extractions.clear()
        assert len({one.mAP for one in once.results.values()}) == len(once.results)  # no two alike, none perfect
        assert all(one.mAP < 1 for one in once.results.values())
        assert [one.note for one in once.results.values()] == [one.note for one in each.results.values()]
        assert [[one.mAP, one.mINP, *one.cmc] for one in once.results.values()] == numbers(each)


def test_a_coupled_model_is_run_for_each_set(
    registered: None, root: Path, tmp_path: Path, extractions: list[tuple[str, int]]
) -> None:
    coupled = evaluate_missing(config(root, tmp_path / "a", "toy_coupled"))
    # Of the two incomplete samples one has nothing left under M(TIR) and wherever two modalities are missing.
    assert [count for _, count in extractions] == [20, 20, 20, 19, 19, 19, 19]
    independent = evaluate_missing(config(root, tmp_path / "b", "toy_multistream"))
    assert coupled.results["M(RGB)"].mAP != independent.results["M(RGB)"].mAP


def test_queries_of_their_own_are_extracted_beside_the_gallery(
    registered: None, root: Path, tmp_path: Path, extractions: list[tuple[str, int]]
) -> None:
    targets = {"data.targets": ["toy_queries"]}
    once = evaluate_missing(config(root, tmp_path / "a", "toy_multistream", **targets))
    assert extractions == [("query", 10), ("gallery", 20)]
    each = evaluate_missing(config(root, tmp_path / "b", "toy_undeclared", **targets))
    assert [[one.mAP, one.mINP, *one.cmc] for one in once.results.values()] == numbers(each)


def test_the_full_row_is_the_runs_own_result(registered: None, root: Path, tmp_path: Path) -> None:
    cfg = config(root, tmp_path, "toy_multistream", **{"test.rerank": True})
    (tested,) = run(cfg, eval_only=True)["toy_triples"]
    full = evaluate_missing(cfg).results["full"]
    assert full.protocol == tested.protocol == "toy-triples + k-reciprocal(20,6,0.3)"
    assert (full.mAP, full.cmc.tolist()) == (pytest.approx(tested.mAP, abs=1e-9), tested.cmc.tolist())


def test_samples_with_nothing_left_are_counted(registered: None, root: Path, tmp_path: Path) -> None:
    results = evaluate_missing(config(root, tmp_path, "toy_multistream")).results
    left_out = {
        name: sum(not set(kept) - set(gone) for gone in INCOMPLETE.values())
        for name, kept in {"full": MODALITIES, "M(TIR)": MODALITIES[:2], "M(RGB+NIR)": MODALITIES[2:]}.items()
    }
    assert left_out == {"full": 0, "M(TIR)": 1, "M(RGB+NIR)": 1}
    for name, count in left_out.items():
        note = f"; {count} queries and {count} gallery samples without any of these left out" if count else ""
        assert results[name].note == name + note
        assert results[name].num_valid == 20 - count


def test_results_say_what_of_the_published_set_is_not_there(
    registered: None, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ToyTriples, "incomplete_note", "20 of 99 queries")
    with caplog.at_level("INFO"):
        table = evaluate_missing(config(root, tmp_path, "toy_multistream"), [(["RGB"], ["RGB"]), (["TIR"], ["NIR"])])
    lines = [line for line in caplog.messages if line.startswith("toy-triples: ")]
    assert len(lines) == 2 and all(line.endswith("; 20 of 99 queries") for line in lines)
    assert all(one.note.endswith("; 20 of 99 queries") for one in table.results.values())
    assert table.text().splitlines()[0] == "toy-triples, 20 of 99 queries"
    assert table.markdown().startswith("| toy-triples, 20 of 99 queries | mAP |")
    (written,) = tmp_path.glob("missing-*.json")
    notes = [one["note"] for one in json.loads(written.read_text())["conditions"]]
    assert notes == [one.note for one in table.results.values()]


def test_what_is_written(registered: None, root: Path, tmp_path: Path) -> None:
    table = evaluate_missing(config(root, tmp_path, "toy_multistream"))
    stem = tmp_path / "missing-toy_triples"
    record = json.loads(stem.with_suffix(".json").read_text())
    assert record["dataset"] == "toy_triples"
    assert {key: record[key] for key in ("mean", "conditions")} == json.loads(json.dumps(table.as_dict()))
    assert stem.with_suffix(".md").read_text() == table.markdown()
    rows = list(csv.DictReader(stem.with_suffix(".csv").open()))
    assert [float(row["R1"]) for row in rows] == [*(one.rank(1) for one in table.results.values()), table.mean[1]]
    evaluate_missing(config(root, tmp_path, "toy_multistream"), [(["RGB", "NIR"], ["NIR"])])
    files = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    endings = (".csv", ".json", ".md")
    assert files == [f"missing-toy_triples{part}{end}" for part in ("-RGB+NIR-NIR", "") for end in endings]
    assert json.loads(stem.with_suffix(".json").read_text()) == record


def test_sides_without_a_common_modality(registered: None, root: Path, tmp_path: Path) -> None:
    """A shared space, or one vector per sample, can be compared; places of its own per modality cannot."""
    shared = evaluate_missing(config(root, tmp_path / "a", "toy_onespace"), DISJOINT)
    fused = evaluate_missing(config(root, tmp_path / "b", "toy_fused"), DISJOINT)
    for table in (shared, fused):
        assert 0 < table.results["RGB+NIR -> TIR"].mAP <= 1
    with pytest.raises(ValueError, match=r"RGB\+NIR -> TIR: .* no dimension in common"):
        evaluate_missing(config(root, tmp_path / "c", "toy_undeclared"), DISJOINT)


def test_modalities_go_by_either_name_and_in_any_order(registered: None, root: Path, tmp_path: Path) -> None:
    cfg = config(root, tmp_path, "toy_multistream")
    spelt = [(["thermal_infrared", "visible"], ["visible", "thermal_infrared"]), (["tir", "RGB"], ["rgb", "TIR"])]
    for conditions in spelt:
        assert list(evaluate_missing(cfg, [conditions]).results) == ["M(NIR)"]


@pytest.mark.parametrize(
    ("changes", "conditions", "message"),
    [
        ({}, [(["termal_infrared"], ["TIR"])], r"modality 'termal_infrared' is none of visible, .*mean 'thermal_inf"),
        ({}, [(["TIR"], [])], "gallery: .* is no selection"),
        ({"data.targets": ["toy_triples", "toy_queries"]}, None, r"data\.targets: .* choose one of"),
        ({"data.targets": ["sysu_mm01"]}, None, "a sample of sysu_mm01 is an image of one modality.*such as rgbnt201"),
        ({"data.targets": ["toy_tripels"]}, None, "toy_tripels"),
    ],
)
def test_refuses(
    registered: None,
    root: Path,
    sysu_root: Path,
    tmp_path: Path,
    changes: dict[str, Any],
    conditions: Any,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(host._DATASETS, "toy_triples", lambda **kwargs: ToyTriples(**{**kwargs, "root": str(root)}))
    folder = sysu_root if "sysu" in str(changes) else root
    with pytest.raises(ValueError, match=message):
        evaluate_missing(config(folder, tmp_path, "toy_multistream", **changes), conditions)


def test_a_run_without_weights_is_told(registered: None, root: Path, tmp_path: Path) -> None:
    cfg = config(root, tmp_path, "toy_multistream")
    cfg.defrost()
    cfg.data.save_dir = str(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="none"):
        evaluate_missing(cfg)
