"""A small training with everything on: what TensorBoard is told, and that nothing else changes."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import assert_same_run, small_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from promptreid.config import load_config
from promptreid.config.sections import choices_of
from promptreid.engine import run_watch
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.position import Position
from promptreid.engine.loggers import base
from promptreid.engine.loggers.base import LOGGERS, RunLogger, register_logger
from promptreid.engine.run_watch import RunWatch, rates_of
from promptreid.engine.test_engine import EvaluatingEngine
from promptreid.engine.watch_options import WatchOptions
from promptreid.runs.run import run

ON = {
    "train.tensorboard.pictures": True, "train.tensorboard.queries": 3, "train.tensorboard.ranks": 2,
    "train.tensorboard.objects": 40, "train.tensorboard.thumbnail": 16, "test.eval_freq": 1,
}  # fmt: skip
TARGET, PROTOCOL = "sysu_mm01", "sysu-python_indoor_1-shot"
TAG = f"{TARGET}/{PROTOCOL}"


class Kept(RunLogger):
    """Keeps what it is told."""

    told: list[tuple[str, Any]] = []

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.told.append(("scalars", (dict(values), step)))

    def close(self) -> None:
        self.told.append(("close", None))


def loaded(folder: Path) -> EventAccumulator:
    return EventAccumulator(
        str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0, "histograms": 0}
    ).Reload()


@pytest.fixture(scope="session")
def shown(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a run with everything on, and the results and features of its last test."""
    folder = tmp_path_factory.mktemp("shown") / "run"
    last: dict[str, Any] = {}
    watch_test = EvaluatingEngine._report

    def keep(engine: EvaluatingEngine, name: str, results: list[Any]) -> None:
        watch_test(engine, name, results)
        last["results"] = results

    tested = RunWatch.tested

    def keep_features(watch: RunWatch, test: Any, epoch: int, prefix: str = "") -> None:
        last["test"] = test
        tested(watch, test, epoch, prefix)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(EvaluatingEngine, "_report", keep)
        patched.setattr(RunWatch, "tested", keep_features)
        run(small_config(small_root, folder, **ON))
    return folder, last


@pytest.fixture(scope="session")
def events(shown: tuple[Path, dict[str, Any]]) -> EventAccumulator:
    return loaded(shown[0])


def test_scalars_of_batches_rates_speed_and_memory(events: EventAccumulator, shown: tuple[Path, Any]) -> None:
    tags = set(events.Tags()["scalars"])
    assert {"Train/loss", "Train/identity", "Train/triplet", "Train/iael", "Train/acc", "Train/data"} <= tags
    assert {"LR/base", "LR/bias", "LR/prompts", "LR/generator", "LR/generator.queries"} & tags >= {"LR/base", "LR/bias"}
    assert {"Speed/images_per_second", "Memory/cpu_resident"} <= tags
    batches = checkpoint.load_newest(shown[0] / "model")[1]["batches"]
    assert [event.step for event in events.Scalars("Train/loss")] == list(range(batches))
    due = [event.step for event in events.Scalars("LR/base")]
    assert due == [event.step for event in events.Scalars("Memory/cpu_resident")] and 0 < len(due) < batches
    rates = [events.Scalars("Train/lr")[step].value for step in due]
    assert [event.value for event in events.Scalars("LR/base")] == rates


def test_curves_are_those_of_the_results(events: EventAccumulator, shown: tuple[Path, Any]) -> None:
    (result,) = shown[1]["results"]
    for epoch in (1, 2):
        points = events.Scalars(f"CMC/{TAG}/epoch_{epoch:03d}")
        assert [point.step for point in points] == list(range(1, len(result.cmc) + 1))
    assert [point.value for point in points] == pytest.approx(result.cmc.tolist(), abs=1e-7)
    tests = events.Scalars(f"Test/{TAG}/rank1")
    assert [event.step for event in tests] == [0, 1] and tests[-1].value == pytest.approx(result.rank(1))
    curves = events.Tensors(f"PR/{TAG}")
    assert [event.step for event in curves] == [0, 1]
    tp, fp, tn, fn, precision, recall = np.array(curves[-1].tensor_proto.float_val).reshape(6, -1)
    expected = shown[1]["test"].features.precision_recall(**shown[1]["test"].settings)
    assert np.array_equal(tp[::-1], expected.true_positives) and np.array_equal(fp[::-1], expected.false_positives)
    assert precision[::-1] == pytest.approx(expected.precision) and recall[::-1] == pytest.approx(expected.recall)
    assert np.unique(tp + fn).tolist() == [result.ranks[0].num_matches.sum()]  # every pair that the first trial ranks
    assert np.unique(fp + tn).tolist() == [(result.ranks[0].num_kept - result.ranks[0].num_matches).sum()]


def test_pictures_decode_and_are_not_blank(events: EventAccumulator) -> None:
    tags = events.Tags()["images"]
    ranked = [tag for tag in tags if tag.startswith(f"Ranked/{TARGET}/query-")]
    assert len(ranked) == 3 and set(tags) == {*ranked, "Batches/1", "Cosines/prompts"}
    steps = {tag: [event.step for event in events.Images(tag)] for tag in tags}
    assert steps == {"Batches/1": [0], "Cosines/prompts": [0, 1], **{tag: [0, 1] for tag in ranked}}
    for tag in tags:
        picture = Image.open(io.BytesIO(events.Images(tag)[-1].encoded_image_string))
        colours = picture.convert("RGB").getcolors(1 << 20)
        assert min(picture.size) > 60 and len(colours) > 20, tag


def test_the_first_batch_tells_its_bands_and_their_numbers(events: EventAccumulator) -> None:
    (text,) = events.Tensors("Batches/1/text_summary")
    content = text.tensor_proto.string_val[0].decode()
    assert text.step == 0 and content.startswith("epoch 1, batch 1.")
    rows = re.findall(r"\| (visible \(RGB\)|infrared \(IR\)) \| 12 \| (\S+) \S+ \S+ \| \S+ \S+ \S+ \|", content)
    assert [name for name, _ in rows] == ["visible (RGB)", "infrared (IR)"]
    assert all(abs(float(mean)) < 1 for _, mean in rows)


def test_histograms_of_prompts_and_gradients(events: EventAccumulator, shown: tuple[Path, Any]) -> None:
    found = set(events.Tags()["histograms"])
    families = ("prompts", "generator")
    assert found == {*(f"Prompts/{f}/values" for f in families), *(f"Gradients/{f}" for f in families)}
    library = checkpoint.load_newest(shown[0] / "model")[1]["state_dict"]["modality_prompts.library"]
    first, last = events.Histograms("Prompts/prompts/values")
    assert (first.step, last.step) == (0, 1)
    assert last.histogram_value.num == library.numel()
    assert last.histogram_value.min == pytest.approx(float(library.min()))


def test_the_projector_holds_features_labels_and_thumbnails(shown: tuple[Path, Any]) -> None:
    folder, last = shown
    home = folder / "projector" / TARGET
    rows = [line.split("\t") for line in (home / "metadata.tsv").read_text().splitlines()]
    tensors = np.loadtxt(home / "tensors.tsv", delimiter="\t", ndmin=2)
    assert rows[0] == ["identity", "camera", "band", "split", "file"] and len(tensors) == len(rows) - 1 <= 40
    features, records = [], {}
    for side in last["test"].features.sides():
        features.append(side.features.numpy())
        for name in side.names:
            split, number = name.split(" ")
            record = last["test"].datasets[split].data[int(number)]
            records["/".join(record[0].split("/")[-2:]), split, str(record[0].camera)] = (record, len(records))
    known = np.concatenate(features)
    sprite = Image.open(home / "sprite.png")
    columns = sprite.width // 16
    for place, (row, values) in enumerate(zip(rows[1:], tensors, strict=True)):
        matching = [key for key in records if key[0] == row[4] and key[1:] == (row[3], row[1])]
        record, number = records[matching[0]]
        assert row[0] == str(record[1]) and row[2] in ("RGB", "IR")
        assert row[2] == {"visible": "RGB", "infrared": "IR"}[next(iter(record[0].paths))]
        np.testing.assert_allclose(values, known[number], rtol=1e-5, atol=1e-6)
        corner = (place % columns * 16, place // columns * 16)
        own = np.asarray(sprite.crop((*corner, corner[0] + 16, corner[1] + 16)).convert("RGB")).astype(int)
        expected = np.asarray(Image.open(record[0]).convert("RGB").resize((8, 16), Image.Resampling.BILINEAR))
        assert abs(own[:, 4:12] - expected).mean() < 3
    config = (folder / "projector_config.pbtxt").read_text()
    paths = re.findall(r'"(projector/[^"]+)"', config)
    assert len(paths) == 3 and all((folder / path).exists() for path in paths)
    assert "single_image_dim: 16 single_image_dim: 16" in config


def test_the_layout_and_the_parameters_with_the_last_metrics(events: EventAccumulator, shown: tuple[Path, Any]) -> None:
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["Training", "Tests", "Prompts"]
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    started = HParamsPluginData.FromString(content).session_start_info.hparams
    assert started["train.max_epoch"].number_value == 2 and started["model.name"].string_value == "mip_vit_tiny_patch16"
    assert "data.save_dir" not in started
    (result,) = shown[1]["results"]
    (final,) = events.Scalars(f"Final/{TARGET}/mAP")
    assert final.value == pytest.approx(result.mAP)


def test_nobody_is_told_and_the_run_ends_with_the_same_bits(
    shown: tuple[Path, Any], small_root: Path, tmp_path: Path
) -> None:
    run(small_config(small_root, tmp_path / "off", **{**ON, "train.loggers": []}))
    assert_same_run(shown[0], tmp_path / "off")
    left = {path.name for path in (tmp_path / "off").iterdir()}
    assert left == {"config.yaml", "log.txt", "metrics.jsonl", "model", f"results-{TARGET}.json"}


def comparable(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All scalars but times and memory, and the steps of all else."""
    events = loaded(folder)
    tags = events.Tags()
    steady = [tag for tag in tags["scalars"] if not tag.startswith(("Speed", "Memory", "Train/data"))]
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in steady}
    found |= {tag: [(event.step, 0) for event in events.Images(tag)] for tag in tags["images"]}
    found |= {tag: [(event.step, 0) for event in events.Histograms(tag)] for tag in tags["histograms"]}
    return found | {tag: [(event.step, 0) for event in events.Tensors(tag)] for tag in tags["tensors"]}


@pytest.mark.parametrize("newest", [1, 2])
def test_a_run_that_goes_on_tells_everything_once(
    newest: int, shown: tuple[Path, Any], small_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(shown[0], folder)
    for path in checkpoint.checkpoints(folder / "model"):
        if int(path.name.rpartition("-")[2]) > newest:
            path.unlink()
    run(small_config(small_root, folder, **ON), resume="auto")
    assert comparable(folder) == comparable(shown[0])


def test_a_test_alone_tells_nobody(shown: tuple[Path, Any], small_root: Path, tmp_path: Path) -> None:
    shutil.copytree(shown[0], tmp_path / "run")
    before = sorted((path.name, path.stat().st_size) for path in (tmp_path / "run").glob("events.*"))
    run(small_config(small_root, tmp_path / "run", **ON), eval_only=True)
    assert sorted((path.name, path.stat().st_size) for path in (tmp_path / "run").glob("events.*")) == before


def test_selected_weights_are_told_apart_from_the_last_ones(small_root: Path, tmp_path: Path) -> None:
    settings = {**ON, "train.tensorboard.queries": 0, "train.tensorboard.objects": 0, "train.max_epoch": 2}
    run(small_config(small_root, tmp_path / "run", **{**settings, "test.select": "test"}))
    events = loaded(tmp_path / "run")
    assert [event.step for event in events.Scalars(f"Test/{TAG}/mAP")] == [0, 1]
    assert len(events.Scalars(f"Final/Test/{TAG}/mAP")) == 1
    assert not (tmp_path / "run" / "projector").exists()


def test_a_logger_of_a_plugin_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(base, "add_choice", lambda key, name: added.append((key, name)))
    added: list[tuple[str, str]] = []
    monkeypatch.setitem(LOGGERS, "kept", Kept)
    register_logger("kept", Kept)  # once more
    del LOGGERS["kept"]
    register_logger("kept", Kept)
    assert added == [("train.loggers", "kept")]
    Kept.told.clear()
    watch = RunWatch(WatchOptions(loggers=["kept"]))
    watch.scalars("Train", {"loss": 1.0}, 0)
    with watch.during(tmp_path, Position()):
        watch.scalars("Train", {"loss_x": 2.0, "loss_t": 1.0}, 5)
    watch.scalars("Train", {"loss": 3.0}, 6)
    assert Kept.told == [("scalars", ({"Train/cross_entropy": 2.0, "Train/triplet": 1.0}, 5)), ("close", None)]
    with pytest.raises(ValueError, match="logger name 'mlflow' is taken by"):
        register_logger("mlflow", Kept)
    with pytest.raises(ValueError, match="logger name 'My-Own': use lower-case letters"):
        register_logger("My-Own", Kept)


def test_another_process_than_the_writer_tells_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_watch, "is_writer", lambda: False)
    watch = RunWatch()
    with watch.during(tmp_path, Position()):
        watch.scalars("Train", {"loss": 1.0}, 0)
        watch.keep_batch(0, 1, torch.zeros(1, 3, 2, 2))
    assert not [*tmp_path.iterdir()]


def test_unknown_names_and_numbers_out_of_range_are_refused(small_root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.loggers: unknown name 'tensorbord'; did you mean 'tensorboard'"):
        RunWatch(WatchOptions(loggers=["tensorbord"]))
    with pytest.raises(ValueError, match=r"train\.loggers: unknown name 'wandb'"):
        run(small_config(small_root, tmp_path / "run", **{"train.loggers": ["wandb"]}))
    with pytest.raises(ValueError, match="ranks 0"):
        WatchOptions(ranks=0)
    from promptreid.config.sections import all_keys

    assert choices_of(all_keys()["train.loggers"])[:2] == ("tensorboard", "mlflow")


def test_a_picture_that_cannot_be_made_is_told_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = RunWatch(WatchOptions())
    monkeypatch.setattr(run_watch, "draw_bands", lambda *arguments: 1 / 0)
    with watch.during(tmp_path, Position()), caplog.at_level(logging.WARNING):
        watch.keep_batch(0, 1, torch.zeros(1, 3, 2, 2))
        watch.epoch(0, torch.nn.Linear(1, 1), None)
    assert caplog.messages == ["the first batches cannot be shown: ZeroDivisionError: division by zero"]


def test_a_logger_that_fails_is_told_nothing_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(RunLogger):
        def scalars(self, values: Mapping[str, float], step: int) -> None:
            raise ConnectionError("no server")

    Kept.told.clear()
    monkeypatch.setitem(LOGGERS, "gone", Gone)
    monkeypatch.setitem(LOGGERS, "kept", Kept)
    watch = RunWatch(WatchOptions(loggers=["gone", "kept"]))
    with watch.during(tmp_path, Position()), caplog.at_level(logging.WARNING):
        watch.scalars("Train", {"loss": 1.0}, 0)
        watch.scalars("Train", {"loss": 2.0}, 1)
    assert caplog.messages == ["Gone is told nothing more: ConnectionError: no server"]
    assert [what for what, _ in Kept.told] == ["scalars", "scalars", "close"]


def test_groups_without_a_name_are_numbered() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [{"params": [parameters[0]], "lr": 0.5, "name": "new bias"}, {"params": parameters[1:]}], 0.1
    )
    assert rates_of(optimizer) == {"new_bias": 0.5, "1": 0.1}


def test_these_keys_may_differ_when_a_run_goes_on() -> None:
    from promptreid.engine.checkpoints.resume_check import config_differences

    written = json.dumps({"train": {"loggers": ["tensorboard"], "tensorboard": {"pictures": True}}})
    current = json.dumps({"train": {"loggers": [], "tensorboard": {"pictures": False}}})
    assert config_differences(written, current)[0] == []


def test_keys_without_a_logger_are_told_to_have_no_effect() -> None:
    from promptreid.config.keys import flatten
    from promptreid.config.unused import without_effect

    cfg = load_config(None, overrides={"train.loggers": [], "train.tensorboard.pictures": False})
    assert any("train.tensorboard.pictures (needs train.loggers)" in line for line in without_effect(flatten(cfg)))
