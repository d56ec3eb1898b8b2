"""Which images an identity contributes to a cross-modal batch."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def pool_by_cell(pids: Sequence[int], modality: Sequence[int]) -> dict[tuple[int, int], list[int]]:
    """The image indices of each (identity, modality) that has any, in ascending order.

    Raises:
        ValueError: lists of different lengths.
    """
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, (pid, m) in enumerate(zip(pids, modality, strict=True)):
        cells[int(pid), int(m)].append(index)
    return dict(cells)


class ModalityBalancer:
    """Turns torchreid's identity batches into batches of K visible + K infrared images per identity.

    torchreid's ``RandomIdentitySampler`` draws ``num_instances`` images of an identity from all of its cameras, so on
    VI data about one group in thirteen has no infrared image at all. The balancer keeps as many of the drawn images
    as fit, and fills each modality up to its share.

    The choice is a function of the drawn indices alone: it needs no random state, so it is the same for any number
    of loader workers, and after a resume.

    Args:
        pids: identity of each record.
        modality: modality id of each record.
        num_modalities: M; a group of n images is split into M shares of n / M.
    """

    def __init__(self, pids: Sequence[int], modality: Sequence[int], num_modalities: int = 2) -> None:
        self.pids = np.asarray(pids)
        self.modality = np.asarray(modality)
        self.num_modalities = num_modalities
        self._pool = pool_by_cell(pids, modality)

    def balance(self, indices: Sequence[int]) -> list[int]:
        """The batch with balanced groups; a batch without the identity structure is returned unchanged.

        A batch has it when all runs of equal identity have one length that the number of modalities divides.
        """
        groups = self._groups(indices)
        sizes = {len(group) for group in groups}
        if len(sizes) != 1 or sizes.pop() % self.num_modalities:
            return list(indices)
        return [index for group in groups for index in self._balance_group(group)]

    def _groups(self, indices: Sequence[int]) -> list[list[int]]:
        groups: list[list[int]] = []
        for index in indices:
            if groups and self.pids[groups[-1][0]] == self.pids[index]:
                groups[-1].append(index)
            else:
                groups.append([index])
        return groups

    def _balance_group(self, group: list[int]) -> list[int]:
        share = len(group) // self.num_modalities
        pid = int(self.pids[group[0]])
        rng = np.random.default_rng(zlib.crc32(np.asarray(group, dtype="<i8").tobytes()))
        balanced: list[int] = []
        for modality in range(self.num_modalities):
            drawn = dict.fromkeys(index for index in group if self.modality[index] == modality)
            balanced += self._fill(list(drawn)[:share], self._pool[pid, modality], share, rng)
        return balanced

    @staticmethod
    def _fill(drawn: list[int], pool: list[int], share: int, rng: np.random.Generator) -> list[int]:
        missing = share - len(drawn)
        if missing == 0:
            return drawn
        unused = [index for index in pool if index not in drawn]
        fresh = rng.permutation(unused)[:missing].tolist()
        repeated = rng.choice(pool, missing - len(fresh)).tolist()
        return drawn + fresh + repeated
