"""After a run or a library call the process is as it was: no switch, variable, handler or filter stays changed."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from process_state import changed, process_state
from small_runs import small_config
from vectors import description, vectors_of

import promptreid
from promptreid.config.merge import merged
from promptreid.data.packing import files_of, write_pack
from promptreid.engine.train_engine import PromptEngine
from promptreid.retrieval.export.export import export_model
from promptreid.retrieval.extraction import extract
from promptreid.runs.build import build_datamanager
from promptreid.runs.run import deterministic_kernels, run

ALL = {
    "train.deterministic": True, "train.ema": 0.5, "test.rerank": True, "test.flip": True, "data.workers": 1,
    "train.max_epoch": 1, "train.warmup_epochs": 0,
}  # fmt: skip
Action = Callable[[Any, Path], object]


def evaluated(cfg: Any, folder: Path) -> None:
    run(cfg, eval_only=True)


def embedded(cfg: Any, folder: Path) -> None:
    image = next(Path(cfg.data.root).rglob("*.jpg"))
    reid = promptreid.load(cfg.data.save_dir)
    reid.compare([str(image)], [str(image)], band="visible")


def extracted(cfg: Any, folder: Path) -> None:
    extract(cfg)


def packed(cfg: Any, folder: Path) -> None:
    files = files_of(build_datamanager(cfg, False).train_loader.dataset.data)
    write_pack(folder / "p.npy", cfg.data.root, files, 32, 16, "bilinear")


def trained(cfg: Any, folder: Path) -> None:
    run(merged(cfg, {"data.save_dir": str(folder / "run")}))


def handed_on(cfg: Any, folder: Path) -> None:
    promptreid.load(cfg.data.save_dir).save_pretrained(folder / "bundle")
    promptreid.load(folder / "bundle")


def searched(cfg: Any, folder: Path) -> None:
    model = description()
    index = promptreid.GalleryIndex(model)
    index.add(vectors_of(model, np.arange(20) % 5))
    index.save(folder / "g.safetensors")
    promptreid.GalleryIndex.load(folder / "g.safetensors").search(vectors_of(model, [0], 3))


def failed(cfg: Any, folder: Path) -> None:
    with pytest.raises(ValueError, match="holds a run already"):
        run(cfg)


@pytest.fixture(scope="module")
def finished(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run; what is imported late is imported now, and torch has its handler for ends of workers."""
    cfg = small_config(small_root, tmp_path_factory.mktemp("state") / "run", **ALL)
    run(cfg)
    return cfg


def draw_some() -> None:
    """Random states that no seed of ours gives."""
    random.seed(81)
    np.random.seed(82)
    torch.manual_seed(83)


@pytest.mark.parametrize("action", [trained, evaluated, embedded, handed_on, extracted, packed, searched, failed])
def test_nothing_stays_changed(action: Action, finished: Any, tmp_path: Path) -> None:
    draw_some()
    before = process_state()
    action(finished, tmp_path)
    assert changed(before, process_state()) == {}


@pytest.mark.slow
def test_nothing_stays_changed_by_an_export(finished: Any, tmp_path: Path) -> None:
    """From the second on: torch sets up its own logging when the exporter is imported."""
    export_model(finished.data.save_dir, tmp_path / "first.onnx", "onnx")
    draw_some()
    before = process_state()
    export_model(finished.data.save_dir, tmp_path / "second.onnx", "onnx")
    assert changed(before, process_state()) == {}


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_training_leaves_a_users_own_settings(
    deterministic: bool, finished: Any, small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are not the defaults, too, and after a signal that ended it."""
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not deterministic)
    try:
        before = process_state()
        step = PromptEngine.forward_backward

        def stopped(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
            os.kill(os.getpid(), signal.SIGTERM)
            return step(self, data)

        monkeypatch.setattr(PromptEngine, "forward_backward", stopped)
        with pytest.raises(SystemExit):
            run(small_config(small_root, tmp_path / "run", **{**ALL, "train.deterministic": deterministic}))
        after = process_state()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert changed(before, after) == {}


def test_the_workspace_variable_of_a_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with deterministic_kernels(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with deterministic_kernels(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_handlers_of_signals_that_a_platform_lacks_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which has no SIGCHLD."""
    from promptreid.engine.checkpoints.stop_signals import StopRequest

    monkeypatch.delattr(signal, "SIGCHLD")
    with StopRequest() as stop:
        stop.hold_children()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
