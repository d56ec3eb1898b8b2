"""The files of a run, written by one process: their names, and who may write them."""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.best_weights import Origin
from promptreid.engine.checkpoints.metrics_log import MetricsLog
from promptreid.engine.checkpoints.provenance import header_of
from promptreid.evaluation.results import Results
from promptreid.files import (
    LOCK,
    FolderInUse,
    FolderLock,
    atomic_write,
    is_temporary,
    remove_leftovers,
    user_of,
    write_text,
)

logger = logging.getLogger(__name__)

_SPARE = 3  # two checkpoints are kept while the next is written
_PART = re.compile(r"(split|seed)-\d+")
_GUESTS = ".eval.json"
_EVENTS = "events.out.tfevents."  # of TensorBoard


class RunFolder:
    """``data.save_dir``: checkpoints, weights, results and metrics.

    Args:
        path: the folder; nothing is created before something is written.
        guest: another process trains here: nothing of the run is written to, and results get a name of their own.
    """

    def __init__(self, path: Path, guest: bool = False) -> None:
        self.path, self.guest = path, guest
        self.config = path / "config.yaml"
        self.log = path / "log.txt"
        self.metrics = MetricsLog(path / "metrics.jsonl")
        self.nonfinite = path / "nonfinite-batch.json"
        self.sweep = path / "sweep.json"
        self.models = path / "model"
        self.weights = self.models / "model.safetensors"
        self.best_weights = self.models / "best.safetensors"
        self._lock: FolderLock | None = None

    @classmethod
    def of_checkpoint(cls, path: Path) -> RunFolder:
        """The folder of the run that has written a checkpoint."""
        return cls(path.parent.parent)

    def results(self, dataset: str) -> Path:
        """The file with the results on a data set."""
        return self.path / f"results-{dataset}{_GUESTS if self.guest else '.json'}"

    def results_files(self) -> list[Path]:
        """The results of the run itself, in the order of their names."""
        return [path for path in sorted(self.path.glob("results-*.json")) if not path.name.endswith(_GUESTS)]

    def part(self, split: int | None, seed: int | None) -> RunFolder:
        """The folder in here of one of several trainings: of a split, from 1, of a seed, or of a split with a seed."""
        names = [f"split-{split}"] * (split is not None) + [f"seed-{seed}"] * (seed is not None)
        return RunFolder(self.path.joinpath(*names))

    def parts(self) -> list[RunFolder]:
        """The folders in here of the trainings of several, split by split and seed by seed."""
        found = []
        for path in sorted(self.path.iterdir()) if self.path.is_dir() else ():
            if _PART.fullmatch(path.name) and path.is_dir():
                found += [RunFolder(path), *RunFolder(path).parts()]
        return found

    def holds_run(self) -> bool:
        """Whether a training or a test has written here."""
        return self.config.exists() or bool(checkpoint.checkpoints(self.models))

    def died_at_start(self) -> bool:
        """Whether a training has opened the folder and left nothing but its log: no loss, checkpoint or result.

        Files of others in the folder speak against it.
        """
        if not (self.config.is_file() and self.log.is_file()):
            return False
        return all(self._is_of_start(path) for path in self._content())

    def holds_sweep(self) -> bool:
        """Whether trainings with a key at several values are in here, or what came of them."""
        values = [RunFolder(path) for path in self.path.glob("*=*") if path.is_dir()]
        return self.sweep.exists() or any(value.holds_run() or value.parts() for value in values)

    def owns(self, source: Path) -> bool:
        """Whether a checkpoint, or a run's folder, is in here."""
        return source.resolve().is_relative_to(self.path.resolve())

    def lock(self) -> None:
        """Keep the folder, until :meth:`unlock` or the end of this process.

        Raises:
            ValueError: another process has it, or it cannot be written to.
        """
        lock = FolderLock(self.path)
        with self._explained():
            try:
                lock.acquire()
            except FolderInUse as user:
                raise FolderInUse(self._in_use(str(user))) from None
        self._lock = lock

    def unlock(self) -> None:
        """Give the folder back, where this object has it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def check_overwritable(self) -> None:
        """Raise ``ValueError`` if what is in here is no run, or if another process has it or a part of it."""
        if not self._is_overwritable():
            raise ValueError(
                f"--overwrite: data.save_dir {self.path} holds files, but no run; choose another data.save_dir, or "
                "move them away yourself"
            )
        for part in (*self.parts(), *([self] if self._lock is None else ())):
            part.check_unused()

    def check_unused(self) -> None:
        """Raise ``ValueError`` if another process has the folder."""
        user = user_of(self.path)
        if user is not None:
            raise ValueError(self._in_use(user))

    def move_aside(self) -> None:
        """Rename the folder to the first free ``<name>.<number>``, where it holds something; a lock stays with it.

        Raises:
            ValueError: it holds files, but no run; or it is in use.
        """
        self.check_overwritable()
        if not self._content():
            return
        number = next(n for n in range(1, 10_000) if not self.path.with_name(f"{self.path.name}.{n}").exists())
        aside = self.path.rename(self.path.with_name(f"{self.path.name}.{number}"))
        logger.info("an earlier run was moved to %s", aside)
        if self._lock is not None:
            before = self._lock
            before.move(aside)
            self.lock()
            before.release()

    def prepare(self, checkpoint_bytes: int) -> None:
        """Create the folder and make sure, before the first step, that checkpoints can be written.

        Args:
            checkpoint_bytes: expected size of one; 0 where only results are written.

        Raises:
            ValueError: no permission, not a folder, or too little room.
        """
        wanted = _SPARE * checkpoint_bytes
        free = shutil.disk_usage(next(place for place in (self.path, *self.path.parents) if place.exists())).free
        if free < wanted:
            raise ValueError(
                f"data.save_dir {self.path}: {_size(free)} are free, and the checkpoints need about {_size(wanted)}; "
                "make room or choose another folder"
            )
        with self._explained():
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.models):
                remove_leftovers(folder)
            with atomic_write(self.path / ".probe") as file:
                file.write(bytes(1024))
            (self.path / ".probe").unlink()

    def save(self, state: dict[str, Any], weights: dict[str, Any]) -> None:
        """Write a checkpoint, and the weights that it is tested with as ``model.safetensors``."""
        self.metrics.sync()
        checkpoint.save(state, self.models)
        about = {
            "epoch": str(state["epoch"]),
            "step": str(state.get("step", 0)),
            "select": "last",
            "split": state["split"],
            **header_of(state),
        }
        checkpoint.save_weights(weights, self.weights, about)

    def save_best(self, weights: dict[str, Any], origin: Origin, trained: Mapping[str, Any]) -> None:
        """Write selected weights as ``best.safetensors``.

        Args:
            weights: by name.
            origin: where they come from.
            trained: what a checkpoint says of the training: its ``split``, ``data`` and ``config``.
        """
        about = {"epoch": str(origin.epoch), "select": origin.select, "target": origin.target}
        about |= {"split": trained["split"], **header_of(trained)}
        checkpoint.save_weights(weights, self.best_weights, about)

    def save_results(self, dataset: str, results: Sequence[Results], about: dict[str, Any]) -> None:
        """Write ``results-<dataset>.json``, or as a guest ``results-<dataset>.eval.json``."""
        record = {
            **about,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "dataset": dataset,
            "results": [result.as_dict() for result in results],
        }
        write_text(self.results(dataset), json.dumps(record, indent=1))

    def save_nonfinite(self, record: dict[str, Any]) -> Path:
        """Write which batch has ended a training; the file's path."""
        write_text(self.nonfinite, json.dumps(record, indent=1))
        return self.nonfinite

    def _content(self) -> list[Path]:
        """What is in here, without the lock."""
        return [path for path in self.path.iterdir() if path.name != LOCK] if self.path.is_dir() else []

    def _is_of_start(self, path: Path) -> bool:
        if path == self.models:
            return path.is_dir() and all(is_temporary(file) for file in path.iterdir())
        if path == self.metrics.path:
            return path.stat().st_size == 0
        known = path in (self.config, self.log, self.nonfinite) or path.name.startswith(_EVENTS)
        return path.is_file() and (known or is_temporary(path))

    def _is_overwritable(self) -> bool:
        """Whether this is a run, several, or what one that died at its start has left; others have config.yaml, too."""
        if any(folder.holds_run() for folder in self.parts()) or self.holds_sweep():
            return True
        if self.holds_run() and (self.log.exists() or self.models.is_dir()):
            return True
        return all(path == self.log or is_temporary(path) for path in self._content())

    def _in_use(self, user: str) -> str:
        return (
            f"data.save_dir {self.path} is in use by {user}: wait until it has ended, or choose another data.save_dir"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ValueError(
                f"data.save_dir {self.path} cannot be written to ({error.strerror or error}); choose another folder"
            ) from None


def expected_checkpoint_bytes(model: nn.Module, copies: int) -> int:
    """About how large a checkpoint of a training will be: the state dict, two optimiser states, and further copies.

    Args:
        model: any module.
        copies: further copies of the weights, such as averaged or selected ones.
    """
    weights = sum(value.nbytes for value in model.state_dict().values() if hasattr(value, "nbytes"))
    trained = sum(parameter.nbytes for parameter in model.parameters())
    return weights * (1 + copies) + 2 * trained


def _size(size: int) -> str:
    power = min(int(math.log(size, 1000)), 4) if size else 0
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
