"""An interrupted training ends like one that was left alone: weights, optimiser, random states, losses, results."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import assert_same_run, newest, small_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.train_engine import PromptEngine
from promptreid.runs.run import run

STEP = PromptEngine.forward_backward
HALF = {"train.amp": True, "train.amp_dtype": "float16"}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "workers": {"data.workers": 2},
    "all": {**HALF, "train.accumulation": 3, "train.clip_norm": 0.5, "train.ema": 0.9, "train.optim": "adam"},
    "selecting": {"test.select": "test", "test.eval_freq": 1, "train.ema": 0.5, "train.amp": True},
    "torchreid's losses": {
        "loss.name": "triplet", "loss.triplet.weight_x": 1.0, "sampler.train_sampler": "RandomIdentitySampler",
        "data.augment.visible": [], "data.augment.infrared": [], "data.transforms": ["random_flip", "random_crop"],
        "train.optim": "sgd", "train.lr_scheduler": "multi_step", "train.stepsize": [1],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of an uninterrupted run with these settings."""
    folder = tmp_path_factory.mktemp("undisturbed")

    def of(name: str) -> Path:
        if not (folder / name).exists():
            run(small_config(small_root, folder / name, **SETTINGS[name]))
        return folder / name

    return of


def interrupt_after(monkeypatch: pytest.MonkeyPatch, batches: int, number: int = signal.SIGTERM) -> None:
    """Send this process a signal in the middle of a step, as if from outside, once in each run."""
    step, seen = STEP, []

    def interrupted(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
        seen.append(data)
        if len(seen) == batches:
            os.kill(os.getpid(), number)
        return step(self, data)

    monkeypatch.setattr(PromptEngine, "forward_backward", interrupted)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_interrupted_after_every_step_ends_like_one_left_alone(
    name: str, undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path
) -> None:
    cfg = small_config(small_root, tmp_path / "run", **SETTINGS[name])
    whole = undisturbed(name)
    done = [0]
    with pytest.MonkeyPatch.context() as patched:
        while done[-1] < newest(whole)["batches"]:
            interrupt_after(patched, batches=1)
            with pytest.raises(SystemExit) as stopped:
                run(cfg, resume="auto")
            assert stopped.value.code == 143
            done.append(newest(tmp_path / "run")["batches"])
    window = SETTINGS[name].get("train.accumulation", 1)
    assert all(1 <= after - before <= window for before, after in itertools.pairwise(done))
    run(cfg, resume="auto")
    assert_same_run(whole, tmp_path / "run")


def test_with_one_worker_more_or_less_the_run_is_the_same(undisturbed: Callable[[str], Path]) -> None:
    assert_same_run(undisturbed("plain"), undisturbed("workers"))


def test_a_checkpoint_holds_everything(undisturbed: Callable[[str], Path]) -> None:
    state = newest(undisturbed("all"))
    assert {"state_dict", "epoch", "rank1", "optimizer", "scheduler", "scaler", "ema", "rng", "step", "meter"} <= {
        *state
    }
    assert {"selection", "split", "config", "git", "versions"} <= {*state}
    assert set(state["rng"]) == {"python", "numpy", "torch", "cuda"}
    assert set(state["versions"]) == {"python", "torch", "numpy", "promptreid", "torchreid"}
    assert "accumulation: 3" in state["config"]
    assert state["scaler"]["scale"] > 0
    assert any(not torch.equal(value, state["state_dict"][name]) for name, value in state["ema"].items())


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGTERM, SystemExit, 143), (signal.SIGINT, KeyboardInterrupt, None)]
)
def test_a_signal_ends_the_run_after_the_step_with_a_checkpoint(
    number: int, error: type[BaseException], code: int | None, small_root: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    before = signal.getsignal(number)
    interrupt_after(monkeypatch, 3, number)
    with caplog.at_level(logging.WARNING), pytest.raises(error) as caught:
        run(small_config(small_root, tmp_path / "run"))
    assert getattr(caught.value, "code", None) == code
    assert f"{signal.Signals(number).name}: finishing the step, then saving" in caplog.text
    assert (newest(tmp_path / "run")["epoch"], newest(tmp_path / "run")["step"]) == (0, 3)
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_does_not_wait_for_the_step(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the step went on")

    monkeypatch.setattr(PromptEngine, "forward_backward", impatient)
    with pytest.raises(KeyboardInterrupt):
        run(small_config(small_root, tmp_path / "run"))
    assert not (tmp_path / "run" / "model").exists()


def test_a_signal_during_the_final_test_leaves_it_for_the_next_time(
    undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = small_config(small_root, tmp_path / "run")
    extract = PromptEngine.extract_features
    with monkeypatch.context() as patched:
        patched.setattr(
            PromptEngine, "extract_features", lambda *given: (os.kill(os.getpid(), signal.SIGTERM), extract(*given))[1]
        )
        with pytest.raises(SystemExit):
            run(cfg)
    assert not list((tmp_path / "run").glob("results-*"))
    run(cfg, resume="auto")
    assert_same_run(undisturbed("plain"), tmp_path / "run")


def test_checkpoints_within_an_epoch(
    undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *given: (names.append(save(*given).name), save(*given))[1])
    run(small_config(small_root, tmp_path / "run", **{"train.checkpoint_steps": 3}))
    assert names == [f"model.pth.tar-{end}" for end in ("0-3", "1", "1-3", "2")]
    kept = checkpoint.checkpoints(tmp_path / "run" / "model")
    assert [path.name for path in kept] == ["model.pth.tar-2", "model.pth.tar-1-3"]
    assert_same_run(undisturbed("plain"), tmp_path / "run")


def test_an_older_checkpoint_sets_the_newer_ones_aside(
    undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed("plain"), tmp_path / "run")
    run(small_config(small_root, tmp_path / "run"), resume=str(tmp_path / "run" / "model" / "model.pth.tar-1"))
    assert (tmp_path / "run" / "model" / "model.pth.tar-2.abandoned").exists()
    assert_same_run(undisturbed("plain"), tmp_path / "run")


def test_a_run_continues_in_another_folder_with_the_losses_so_far(
    undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path
) -> None:
    source = undisturbed("plain") / "model" / "model.pth.tar-1"
    run(small_config(small_root, tmp_path / "new"), resume=str(source))
    assert_same_run(undisturbed("plain"), tmp_path / "new")
    assert source.exists()


def test_scalars_of_steps_that_were_done_again_stand_once(
    undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed("plain"), tmp_path / "run")
    (tmp_path / "run" / "model" / "model.pth.tar-2").unlink()
    run(small_config(small_root, tmp_path / "run"), resume="auto")
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    batches = newest(undisturbed("plain"))["batches"]
    assert [event.step for event in events.Scalars("Train/loss")] == list(range(batches))


def test_a_finished_run_can_be_made_longer(small_root: Path, tmp_path: Path) -> None:
    lasting = {"train.lr_scheduler": "mip_cosine", "test.eval_freq": 1}
    for epochs in (1, 3):
        run(
            small_config(
                small_root, tmp_path / "run", **{**lasting, "train.max_epoch": epochs, "train.warmup_epochs": 0}
            ),
            resume="auto",
        )
    run(small_config(small_root, tmp_path / "whole", **{**lasting, "train.max_epoch": 3, "train.warmup_epochs": 0}))
    assert_same_run(tmp_path / "whole", tmp_path / "run")


CHANGES = {
    "train.lr": ({"train.lr": 0.002}, r"train\.lr: 0\.001, now 0\.002"),
    "a schedule to the end": ({"train.max_epoch": 5}, r"train\.max_epoch: 2, now 5"),
    "another model": ({"backbone.vit.embed_dim": 24}, r"backbone\.vit\.embed_dim: 16, now 24"),
    "selection": ({"test.select": "test", "test.eval_freq": 1}, r"test\.select: 'last', now 'test'"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_another_configuration_is_refused_with_its_keys(
    case: str, undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path
) -> None:
    changes, message = CHANGES[case]
    with pytest.raises(ValueError, match=message):
        run(small_config(small_root, tmp_path / "run", **changes), resume=str(undisturbed("plain")))
    assert not (tmp_path / "run").exists()


def test_tensors_of_another_model_are_listed(
    undisturbed: Callable[[str], Path], small_root: Path, tmp_path: Path
) -> None:
    state = newest(undisturbed("plain"))
    state["config"] = ""
    state["state_dict"]["classifier.0.weight"] = torch.zeros(3, 16)
    state["state_dict"]["extra"] = state["state_dict"].pop("sie.weight", torch.zeros(1))
    torch.save(state, tmp_path / "model.pth.tar-1")
    with pytest.raises(
        ValueError, match=r"extra is in no part of the model; classifier\.0\.weight has shape \(3, 16\)"
    ):
        run(small_config(small_root, tmp_path / "run"), resume=str(tmp_path / "model.pth.tar-1"))


ZYGOTE = """
import os, random, signal, sys, time
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from small_runs import small_config
from promptreid.runs.run import run

def training(folder):
    cfg = small_config(Path({root!r}), Path(folder), **{changes!r})
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        run(cfg, resume="auto")
        os._exit(0)
    return process

def written():
    return sorted((path.name, path.stat().st_mtime_ns) for path in Path({killed!r}).rglob("model.pth.tar*"))

assert os.waitpid(training({whole!r}), 0)[1] == 0
draw = random.Random(0)
for kill in range(10):
    before, deadline = written(), time.monotonic() + 30
    process = training({killed!r})
    if kill % 5:  # the others die somewhere between the start and the first checkpoint
        while written() == before and time.monotonic() < deadline and os.waitpid(process, os.WNOHANG) == (0, 0):
            time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.2))
    try:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it had finished
    print(*(name for name, _ in written()))
assert os.waitpid(training({killed!r}), 0)[1] == 0
"""


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_like_one_left_alone(small_root: Path, tmp_path: Path) -> None:
    """SIGKILL at random moments. Every start is a fork: importing torch takes longer than this training."""
    changes = {"train.checkpoint_steps": 1, "test.eval_freq": 2, "test.select": "test", "train.max_epoch": 6}
    places = {"root": str(small_root), "whole": str(tmp_path / "whole"), "killed": str(tmp_path / "killed")}
    script = ZYGOTE.format(tests=str(Path(__file__).parents[1] / "helpers"), changes=changes, **places)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(set(done.stdout.splitlines())) >= 5, f"the kills hit nothing new:\n{done.stdout}"
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
