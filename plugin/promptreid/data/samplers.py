"""Batches of P identities with K visible and K infrared images each, and batches that carry a random seed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from promptreid.data.sampling import pool_by_cell

logger = logging.getLogger(__name__)

_NAMED = 20  # skipped identities that the warning lists


class CrossModalSampler(Sampler[list[int]]):
    """A batch sampler: each batch holds P identities, each with K images of every modality.

    An epoch is that of MIP's released code. Of each identity every modality gets as many draws as its largest one has
    images, and at least K: the largest one each image once, the others with replacement. The draws are cut into chunks
    of K per modality, and a remainder below K is left out. A batch takes one chunk of each of P identities, drawn
    from those that still have one, until fewer than P are left.

    Batches are a function of (seed, epoch) and nothing else. No state is kept, so a resumed run only has to call
    :meth:`set_epoch`, and no other random state is read or changed. Without ``set_epoch`` every epoch is epoch 0.

    Within a batch the images of an identity stand together, first K of modality 0, then K of modality 1.

    *Identities that lack a modality* are skipped, with one warning that names them. *Gaps* in the identities don't
    matter. *Under torchrun* every process draws the same batches and takes its P / world_size identities of each, so
    that shares never overlap, and all processes have equally many batches.

    Args:
        pids: identity of each image.
        modality: modality id of each image, 0 to num_modalities - 1.
        num_identities: P, of the batch that all processes together see; world_size divides it.
        num_instances: K, images per identity and modality.
        seed: at least 0.
        num_modalities: M; the batch has P x M x K images.
        rank: of this process, from 0.
        world_size: number of processes.

    Raises:
        ValueError: a number out of range, or fewer than P identities with all modalities.
    """

    def __init__(
        self,
        pids: Sequence[int],
        modality: Sequence[int],
        num_identities: int,
        num_instances: int,
        seed: int = 0,
        num_modalities: int = 2,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check(num_identities, num_instances, seed, rank, world_size)
        self.num_identities, self.num_instances, self.seed = num_identities, num_instances, seed
        share = num_identities // world_size
        self._share = slice(rank * share, (rank + 1) * share)
        self._pools = _complete_pools(pids, modality, num_modalities)
        self.skipped = sorted(set(map(int, pids)) - set(self._pools))
        if self.skipped:
            named = ", ".join(map(str, self.skipped[:_NAMED])) + (" ..." if len(self.skipped) > _NAMED else "")
            logger.warning("%d identities lack a modality and are never drawn: %s", len(self.skipped), named)
        if len(self._pools) < num_identities:
            raise ValueError(
                f"a batch of {num_identities} identities can't be drawn: the train set has {len(self._pools)} with "
                f"images of all {num_modalities} modalities; lower train.batch_size, or raise sampler.num_instances"
            )
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, 0-based, whose batches the next iteration yields and ``len()`` counts."""
        self.epoch = epoch
        self._plan = self._draw_identities(self._generator(0))

    def __len__(self) -> int:
        """Exact number of batches of the current epoch, the same in every process."""
        return len(self._plan)

    def __iter__(self) -> Iterator[list[int]]:
        rng = self._generator(1)
        chunks = {pid: self._draw_images(pools, rng) for pid, pools in self._pools.items()}
        for identities in self._plan:
            drawn = [chunks[pid].pop() for pid in identities]
            yield [index for chunk in drawn[self._share] for index in chunk]

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.epoch, stream])

    def _draw_identities(self, rng: np.random.Generator) -> list[list[int]]:
        """The P identities of each batch."""
        left = {pid: self._size(pools) // self.num_instances for pid, pools in self._pools.items()}
        plan = []
        while len(left) >= self.num_identities:
            chosen = rng.choice(list(left), self.num_identities, replace=False).tolist()
            plan.append(chosen)
            for pid in chosen:
                left[pid] -= 1
                if not left[pid]:
                    del left[pid]
        return plan

    def _draw_images(self, pools: list[list[int]], rng: np.random.Generator) -> list[list[int]]:
        """The chunks of one identity: M x K image indices each, by modality."""
        size = self._size(pools)
        drawn = np.stack([rng.choice(pool, size, replace=len(pool) < size) for pool in pools])
        count = size // self.num_instances
        chunks = drawn[:, : count * self.num_instances].reshape(len(pools), count, self.num_instances)
        whole: list[list[int]] = chunks.swapaxes(0, 1).reshape(count, -1).tolist()
        return whole

    def _size(self, pools: list[list[int]]) -> int:
        return max(self.num_instances, *map(len, pools))


class SeededBatch(list[int]):
    """The indices of one batch, and the seed from which its augmentation is drawn."""

    def __init__(self, indices: Iterable[int], seed: int) -> None:
        super().__init__(indices)
        self.seed = seed


class SeededBatches:
    """The batches of another batch sampler, each with its own seed.

    Augmentation then depends on (seed, epoch, rank, number of the batch) and not on which worker process loads
    it, how many there are, or how long they have been running.

    Args:
        batches: a batch sampler; its ``set_epoch`` is called where it has one.
        seed: at least 0.
        rank: of this process, so that no two processes augment alike.
    """

    def __init__(self, batches: Any, seed: int = 0, rank: int = 0) -> None:
        self.batches, self.seed, self.rank, self.epoch = batches, seed, rank, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, 0-based, of the next iteration."""
        self.epoch = epoch
        if hasattr(self.batches, "set_epoch"):
            self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[SeededBatch]:
        for number, indices in enumerate(self.batches):
            entropy = np.random.SeedSequence([self.seed, self.epoch, self.rank, number])
            yield SeededBatch(indices, int(entropy.generate_state(1)[0]))


def _check(num_identities: int, num_instances: int, seed: int, rank: int, world_size: int) -> None:
    if min(num_identities, num_instances, world_size) < 1 or seed < 0 or not 0 <= rank < world_size:
        raise ValueError(
            f"num_identities {num_identities}, num_instances {num_instances} and world_size {world_size} must be at "
            f"least 1, seed {seed} at least 0, and rank {rank} from 0 to world_size - 1"
        )
    if num_identities % world_size:
        raise ValueError(
            f"{num_identities} identities per batch can't be shared equally among {world_size} processes: choose "
            f"train.batch_size so that train.batch_size / sampler.num_instances is a multiple of {world_size}"
        )


def _complete_pools(pids: Sequence[int], modality: Sequence[int], num_modalities: int) -> dict[int, list[list[int]]]:
    """For each identity that has all modalities, in ascending order, its image indices by modality."""
    cells = pool_by_cell(pids, modality)
    rows = {pid: [cells.get((pid, m), []) for m in range(num_modalities)] for pid in sorted({pid for pid, _ in cells})}
    return {pid: pools for pid, pools in rows.items() if all(pools)}
