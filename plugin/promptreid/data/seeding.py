"""Batches and augmentation as a function of (seed, epoch, rank, number of the batch), whatever the sampler or data set.

So an epoch can be continued in its middle, with any number of loader workers, exactly as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from promptreid.data.augmentations import random_state_of


class SeededBatch(list[int]):
    """The indices of one batch, and the seed from which its augmentation is drawn."""

    def __init__(self, indices: Iterable[int], seed: int) -> None:
        super().__init__(indices)
        self.seed = seed


class DrawnBatches:
    """The batches of a sampler that uses the process's random state, drawn from (seed, epoch) instead.

    An epoch's batches are drawn at once, so its length is exact, which torchreid's own samplers only estimate. No other
    random state is read or changed.

    Args:
        batches: a batch sampler, such as torch's ``BatchSampler`` over a sampler of torchreid's.
        seed: at least 0.
    """

    def __init__(self, batches: Iterable[Sequence[int]], seed: int = 0) -> None:
        self.batches, self.seed = batches, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, 0-based, whose batches the next iteration yields and ``len()`` counts."""
        entropy = np.random.SeedSequence([self.seed, epoch], spawn_key=(1,))  # not that of any SeededBatch
        with random_state_of(int(entropy.generate_state(1)[0])):
            self._plan = [[int(index) for index in batch] for batch in self.batches]

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._plan)


class SeededBatches:
    """The batches of another batch sampler, each with its own seed.

    Augmentation then depends on (seed, epoch, rank, number of the batch) and not on which worker process loads
    it, how many there are, or how long they have been running.

    Call :meth:`set_epoch` before each epoch. An iteration that wasn't announced goes on to the next epoch, so that
    torchreid's own engine, which announces none, doesn't repeat one.

    Args:
        batches: a batch sampler with ``set_epoch``.
        seed: at least 0.
        rank: of this process, so that no two processes augment alike.
    """

    def __init__(self, batches: Any, seed: int = 0, rank: int = 0) -> None:
        self.batches, self.seed, self.rank = batches, seed, rank
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, 0-based, of the next iteration, and the batch, 0-based, with which it starts.

        ``len()`` counts the whole epoch in any case. The batches before ``start`` are not loaded.

        Raises:
            ValueError: the epoch has no such batch.
        """
        self.batches.set_epoch(epoch)
        if not 0 <= start <= len(self.batches):
            raise ValueError(f"epoch {epoch} has {len(self.batches)} batches, so it can't go on with number {start}")
        self.epoch, self._start, self._announced = epoch, start, True

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[SeededBatch]:
        # Runs at the first next(): torch's loader makes an iterator more than it uses.
        if not self._announced:
            self.set_epoch(self.epoch + 1)
        start, self._announced = self._start, False
        for number, indices in enumerate(self.batches):
            if number >= start:
                entropy = np.random.SeedSequence([self.seed, self.epoch, self.rank, number])
                yield SeededBatch(indices, int(entropy.generate_state(1)[0]))


class SeededDataset:
    """A data set of torchreid's that augments a :class:`SeededBatch` from its own seed, as ours do.

    Everything else is the wrapped data set's: attributes are read from it and set on it.
    """

    def __init__(self, dataset: Any) -> None:
        object.__setattr__(self, "dataset", dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        with random_state_of(getattr(indices, "seed", None)):
            return [self.dataset[index] for index in indices]

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "dataset"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.dataset, name, value)

    def __reduce__(self) -> tuple[type[SeededDataset], tuple[Any]]:
        return SeededDataset, (self.dataset,)
