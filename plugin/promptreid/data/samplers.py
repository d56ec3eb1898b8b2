"""Batches of P identities with K samples each, or with K images of each modality."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from promptreid.data.sampling import pool_by_cell

logger = logging.getLogger(__name__)

_NAMED = 20  # skipped identities that the warning lists


class _PoolSampler(Sampler[list[int]]):
    """What both samplers share: every identity has one pool of indices, or several that are drawn from in step.

    Of each identity every pool gets as many draws as its largest one has entries, and at least K. The draws are cut
    into chunks of K per pool, and a remainder below K is left out. A batch takes one chunk of each of P identities,
    drawn from those that still have one, until fewer than P are left.

    Batches are a function of (seed, epoch) and nothing else. No state is kept, so a resumed run only has to call
    :meth:`set_epoch`, and no other random state is read or changed. Without ``set_epoch`` every epoch is epoch 0.

    Args:
        pools: identity to its pools.
        described: what distinguishes these identities, for the message when they are too few.
        num_identities, num_instances, seed, rank, world_size: see :class:`IdentitySampler`.
    """

    def __init__(
        self,
        pools: dict[int, list[list[int]]],
        described: str,
        num_identities: int,
        num_instances: int,
        seed: int,
        rank: int,
        world_size: int,
    ) -> None:
        _check(num_identities, num_instances, seed, rank, world_size)
        self.num_identities, self.num_instances, self.seed = num_identities, num_instances, seed
        share = num_identities // world_size
        self._share = slice(rank * share, (rank + 1) * share)
        self._pools = pools
        if len(pools) < num_identities:
            raise ValueError(
                f"a batch of {num_identities} identities can't be drawn: the train set has {len(pools)}{described}; "
                "lower train.batch_size, or raise sampler.num_instances"
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
        """The chunks of one identity: K indices of each pool, pool after pool."""
        size = self._size(pools)
        drawn = np.stack([self._draw_pool(pool, size, rng) for pool in pools])
        count = size // self.num_instances
        chunks = drawn[:, : count * self.num_instances].reshape(len(pools), count, self.num_instances)
        whole: list[list[int]] = chunks.swapaxes(0, 1).reshape(count, -1).tolist()
        return whole

    def _draw_pool(self, pool: list[int], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """So many draws of one pool: each entry at most once, or where it has too few, all with replacement."""
        return rng.choice(pool, size, replace=len(pool) < size)

    def _size(self, pools: list[list[int]]) -> int:
        """Draws of each pool."""
        return max(self.num_instances, *map(len, pools))


class IdentitySampler(_PoolSampler):
    """A batch sampler: each batch holds P identities with K samples each.

    The rule of the RGB + NIR + TIR field, and of torchreid's ``RandomIdentitySampler``: an identity with fewer than K
    samples is filled up by drawing with replacement, a remainder below K is left out, and batches are drawn until
    fewer than P identities have samples left. Unlike there, batches are a function of (seed, epoch) and nothing
    else, the length is exact, and several processes share each batch.

    Within a batch the samples of an identity stand together. *Gaps* in the identities don't matter. *Under torchrun*
    every process draws the same batches and takes its P / world_size identities of each, so that shares never overlap,
    and all processes have equally many batches.

    Args:
        pids: identity of each sample.
        num_identities: P, of the batch that all processes together see; world_size divides it.
        num_instances: K, samples per identity.
        seed: at least 0.
        rank: of this process, from 0.
        world_size: number of processes.

    Raises:
        ValueError: a number out of range, or fewer than P identities.
    """

    def __init__(
        self,
        pids: Sequence[int],
        num_identities: int,
        num_instances: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        pools = _complete_pools(pids, [0] * len(pids), 1)
        super().__init__(pools, "", num_identities, num_instances, seed, rank, world_size)


class CrossModalSampler(_PoolSampler):
    """A batch sampler: each batch holds P identities, each with K images of every modality.

    An epoch is that of MIP's released code. Of each identity every modality gets as many draws as its largest one has
    images, and at least K: each image once, and what is missing then by drawing again, with replacement. The draws,
    in random order, are cut into chunks of K per modality, and a remainder below K is left out. A batch takes one chunk
    of each of P identities, drawn from those that still have one, until fewer than P are left. Everything else is as
    in :class:`IdentitySampler`.

    With ``whole_chunks``, which that code has for RegDB, there is no remainder: every modality gets the next multiple
    of K. (Where the number of images is a multiple already, that code draws K more all the same; here it doesn't.)

    Within a batch the images of an identity stand together, first K of modality 0, then K of modality 1.
    *Identities that lack a modality* are skipped, with one warning that names them.

    Args:
        pids: identity of each image.
        modality: modality id of each image, 0 to num_modalities - 1.
        num_identities: P, of the batch that all processes together see; world_size divides it.
        num_instances: K, images per identity and modality.
        seed: at least 0.
        num_modalities: M; the batch has P x M x K images.
        rank: of this process, from 0.
        world_size: number of processes.
        whole_chunks: draw again instead of leaving a remainder out.

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
        whole_chunks: bool = False,
    ) -> None:
        self.whole_chunks = whole_chunks
        pools = _complete_pools(pids, modality, num_modalities)
        self.skipped = sorted(set(map(int, pids)) - set(pools))
        if self.skipped:
            named = ", ".join(map(str, self.skipped[:_NAMED])) + (" ..." if len(self.skipped) > _NAMED else "")
            logger.warning("%d identities lack a modality and are never drawn: %s", len(self.skipped), named)
        described = f" with images of all {num_modalities} modalities"
        super().__init__(pools, described, num_identities, num_instances, seed, rank, world_size)

    def _draw_pool(self, pool: list[int], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if len(pool) >= size:
            return super()._draw_pool(pool, size, rng)
        return rng.permutation(np.concatenate([pool, rng.choice(pool, size - len(pool))]))

    def _size(self, pools: list[list[int]]) -> int:
        size = super()._size(pools)
        return -(-size // self.num_instances) * self.num_instances if self.whole_chunks else size


def nominal_batches(counts: Iterable[int], batch_size: int, num_instances: int) -> int:
    """Batches of an epoch as the RGB + NIR + TIR field counts them, to compare with published logs.

    It is ceil(sum of max(n, K) // K x K over the identities / batch size). An epoch yields at most as many, as a rule a
    few fewer, since it ends when fewer than P identities have samples left; ``len(IdentitySampler(...))`` is exact.

    Args:
        counts: n, the number of samples of each identity.
        batch_size: P x K.
        num_instances: K.

    Raises:
        ValueError: K or the batch size below 1, or an identity without samples.
    """
    sizes = list(counts)
    if min(batch_size, num_instances, *sizes) < 1:
        raise ValueError(f"counts, batch_size {batch_size} and num_instances {num_instances} must be at least 1")
    drawn = sum(max(size, num_instances) // num_instances for size in sizes) * num_instances
    return -(-drawn // batch_size)


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
