"""Whether a long training, or one of many tests, leaks: memory, open files and threads over tens of thousands of steps.

A MIP of two narrow blocks on images of 32 x 16 pixels, whose batches are in memory, goes through the training loop of
real runs, with its checkpoints, metrics and event files::

    python benchmarks/long_run.py [--steps 50000] [--tests 5000]

Ends with exit code 1 where the resident memory clearly grows, or files or threads are more in the end.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)
from promptreid.config import dump_config, load_config
from promptreid.engine.train_engine import PromptEngine
from promptreid.runs.build import build_datamanager, build_engine, build_model
from promptreid.synthetic import write_tree

ROOT = Path(__file__).resolve().parents[1]
EPOCH = 500  # steps, with a checkpoint after them
SAMPLES = 400  # of memory in a phase
BLOCKS = 10  # means of neighbouring samples, which depend on each other
WARM = 0.2  # of a phase, in which caches fill
STUDENT = 2.306  # of a two-sided interval of 95 % with BLOCKS - 2 degrees of freedom
TOLERATED = 32_000
"""Bytes for a thousand steps or tests: 1.6 MB in 50 000, far below what a kept tensor or record would take."""
SMALL = {
    "data.synthetic.like": "", "data.workers": 0, "data.height": 32, "data.width": 16, "backbone.vit.depth": 2,
    "backbone.vit.embed_dim": 8, "backbone.vit.num_heads": 1, "backbone.vit.patch_size": 8, "mip.prompt_length": 1,
    "mip.jpm": False, "train.optim": "sgd",
    "backbone.stride": 4, "train.batch_size": 8, "sampler.num_instances": 2, "train.print_freq": 100,
    "train.warmup_epochs": 0, "train.tensorboard.pictures": False, "test.protocols": ["sysu-python indoor 1-shot"],
    "test.batch_size": 256,
}  # fmt: skip


class InMemory:
    """The batches of a loader, kept and given again.

    Args:
        loader: whose.
        count: batches in an epoch; those of the loader when None.
        watch: is told of each batch.
    """

    def __init__(self, loader: Any, count: int | None = None, watch: Any = None) -> None:
        self.loader, self.dataset = loader, loader.dataset
        self.batches = list(loader)
        self.count, self.watch = count or len(self.batches), watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        for number in range(self.count):
            if self.watch is not None:
                self.watch.step()
            yield self.batches[number % len(self.batches)]


class Watch:
    """Samples what a process holds.

    Args:
        steps: of the phase, of which :data:`SAMPLES` are sampled.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.every = steps, 0, max(1, steps // SAMPLES)
        self.rows, self.used = np.ones((steps // self.every + 2, 4)), 0  # taken now, not sample by sample
        self.started = time.process_time()

    def step(self) -> None:
        """Count a step."""
        if self.done % self.every == 0:
            files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
            self.rows[self.used] = self.done, resident(), files, threads
            self.used = min(self.used + 1, len(self.rows) - 1)
        self.done += 1

    def report(self, what: str) -> bool:
        """Print what was seen; whether nothing grew."""
        rows = self.rows[: self.used]
        rows = rows[rows[:, 0] >= WARM * self.steps]
        slope, error = slope_of(rows[:, 0] / 1000, rows[:, 1])
        files, threads = (rows[-1, column] - rows[0, column] for column in (2, 3))
        seconds = time.process_time() - self.started
        print(
            f"{self.done} {what} in {seconds:.0f} s of a core ({1000 * seconds / self.done:.2f} ms each): resident "
            f"{rows[0, 1] / 1e6:.1f} to {rows[-1, 1] / 1e6:.1f} MB, {slope / 1000:+.1f} kB (95 %: "
            f"{(slope - error) / 1000:+.1f} to {(slope + error) / 1000:+.1f}) for 1000 {what}; open files "
            f"{rows[0, 2]:.0f} {files:+.0f}, threads {rows[0, 3]:.0f} {threads:+.0f}",
            flush=True,
        )
        return bool(slope - error <= TOLERATED and files <= 0 and threads <= 0)


def resident() -> float:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))


def slope_of(places: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The slope of a line through the means of blocks, and half its interval of 95 %."""
    x, y = (np.array([part.mean() for part in np.array_split(side, BLOCKS)]) for side in (places, values))
    centred = x - x.mean()
    slope = (centred * y).sum() / (centred**2).sum()
    rest = y - y.mean() - slope * centred
    error = np.sqrt((rest**2).sum() / (BLOCKS - 2) / (centred**2).sum())
    return float(slope), float(STUDENT * error)


def engine_in(folder: Path, steps: int, watch: Watch) -> tuple[PromptEngine, Any]:
    """An engine whose batches are in memory."""
    write_tree("sysu_mm01", folder / "SYSU-MM01", ids=8, seed=3, frames=2, size=(32, 16))
    places = {"data.root": str(folder), "data.save_dir": str(folder / "run"), "train.max_epoch": -(-steps // EPOCH)}
    cfg = load_config(ROOT / "configs" / "mip" / "quickstart.yaml", overrides={**SMALL, **places})
    datamanager = build_datamanager(cfg, False)
    engine = build_engine(cfg, datamanager, build_model(cfg, datamanager, False), False)
    engine.train_loader = InMemory(engine.train_loader, EPOCH, watch)
    for loaders in engine.test_loader.values():
        loaders.update({side: InMemory(loader) for side, loader in loaders.items()})
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text(dump_config(cfg))
    return engine, cfg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--tests", type=int, default=5_000)
    args = parser.parse_args()
    if min(args.steps, args.tests) < 10 * BLOCKS:
        parser.error(f"a slope needs {10 * BLOCKS} steps and tests at least")
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(args.steps)
        engine, cfg = engine_in(Path(folder), args.steps, watch)
        engine.run(cfg.data.save_dir, max_epoch=cfg.train.max_epoch, print_freq=cfg.train.print_freq)
        steady = [watch.report("steps")]
        watch = Watch(args.tests)
        for _ in range(args.tests):
            watch.step()
            engine.test(save_dir=cfg.data.save_dir)
        steady.append(watch.report("tests"))
    sys.exit(0 if all(steady) else 1)


if __name__ == "__main__":
    main()
