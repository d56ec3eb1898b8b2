"""A loader worker that the kernel ends: who, how, what to do, and a checkpoint of what was done."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import assert_same_run, newest, small_config
from torch.utils.data import DataLoader

from promptreid.engine.checkpoints.loader_workers import WorkerDied, deaths_explained
from promptreid.engine.checkpoints.stop_signals import batches_of
from promptreid.engine.train_engine import PromptEngine
from promptreid.runs.run import run


class Dying(torch.utils.data.Dataset):
    """Its fourth sample ends the process that loads it."""

    def __init__(self, how: int) -> None:
        self.how = how

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 3:
            os._exit(self.how) if self.how < 99 else os.kill(os.getpid(), signal.SIGKILL)
        return index


@pytest.mark.parametrize(
    ("how", "text"), [(99, r"was ended by SIGKILL \(the kernel does so when memory"), (3, "has ended with exit code 3")]
)
def test_the_message_names_the_process_the_cause_and_the_key(how: int, text: str) -> None:
    expected = rf"^(loader worker \d+ {text}|DataLoader worker .*).*: take fewer of them \(data\.workers\) or smaller"
    with pytest.raises(WorkerDied, match=expected), deaths_explained():
        list(batches_of(DataLoader(Dying(how), num_workers=1)))


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), deaths_explained():
        raise RuntimeError("CUDA out of memory")


def test_a_training_keeps_its_steps_and_is_resumed_exactly(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its first epoch, of which there is no checkpoint yet."""
    settings = {"data.workers": 1, "train.batch_size": 16, "train.max_epoch": 1, "train.warmup_epochs": 0}
    step, batches = PromptEngine.forward_backward, PromptEngine._batches_from
    workers: list[Any] = []

    def remembered(self: PromptEngine, start: int) -> Any:
        found = batches(self, start)
        workers[:] = [child for child in torch.multiprocessing.active_children() if child.daemon]
        return found

    def killing(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
        if self.batch_idx == 1:
            os.kill(workers[0].pid, signal.SIGKILL)
        return step(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PromptEngine, "_batches_from", remembered)
        patch.setattr(PromptEngine, "forward_backward", killing)
        message = r"loader worker \d+ was ended by SIGKILL .*take fewer of them .*then go on with --resume"
        with pytest.raises(ValueError, match=message):
            run(small_config(small_root, tmp_path / "run", **settings))
    state = newest(tmp_path / "run")
    assert (state["epoch"], state["step"] >= 2) == (0, True)
    run(small_config(small_root, tmp_path / "run", **settings), resume="auto")
    run(small_config(small_root, tmp_path / "whole", **settings))
    assert_same_run(tmp_path / "whole", tmp_path / "run")
