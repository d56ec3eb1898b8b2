"""Which gallery images share a query's identity, and which ones the protocol hides from it."""

from __future__ import annotations

import numpy as np
import torch

from promptreid.evaluation.features import FeatureSet


class MatchTable:
    """The matches of all queries in one gallery, found through the gallery sorted by identity, not by comparing pairs.

    Args:
        query: labels of the Q queries.
        pool: labels of all candidate images.
        subset: pool indices of the gallery; the whole pool when None.
        rule: ``"camera"``, ``"location"`` or ``"none"``.
        device: where the distances are.

    Attributes:
        num_gallery: G, gallery images.
        num_same: (Q,) int64 gallery images of the query's identity, hidden ones included.
        num_kept: (Q,) int64 gallery images that are not hidden.
        identities: (G,) int64 tensor, identities renumbered 0..num_identities-1.
        num_identities: number of different identities in the gallery.
    """

    def __init__(
        self, query: FeatureSet, pool: FeatureSet, subset: np.ndarray | None, rule: str, device: torch.device
    ) -> None:
        pids, camids = (ids if subset is None else ids[subset] for ids in (pool.pids, pool.camids))
        self._device, self._rule = device, rule
        self.num_gallery = len(pids)
        self._columns = None if subset is None else torch.from_numpy(subset).to(device)
        self._by_identity = np.argsort(pids, kind="stable")
        sorted_pids = pids[self._by_identity]
        self._start = np.searchsorted(sorted_pids, query.pids, side="left")
        self.num_same = np.searchsorted(sorted_pids, query.pids, side="right") - self._start
        self._q_camids, self._g_camids = query.camids, camids
        self.num_kept = len(pids) - self._num_hidden(query, pids)
        distinct, identities = np.unique(pids, return_inverse=True)
        self.num_identities = len(distinct)
        self.identities = torch.from_numpy(identities).to(device)

    def _num_hidden(self, query: FeatureSet, pids: np.ndarray) -> np.ndarray:
        """(Q,) numbers of gallery images that each query does not see."""
        if self._rule == "none":
            return np.zeros(len(query), dtype=np.int64)
        if self._rule == "location":
            cameras, counts = np.unique(self._g_camids, return_counts=True)
            return _look_up(self._q_camids, cameras, counts)
        keys = _pair_keys(np.concatenate([query.pids, pids]), np.concatenate([self._q_camids, self._g_camids]))
        pairs, counts = np.unique(keys[len(query) :], return_counts=True)
        return _look_up(keys[: len(query)], pairs, counts)

    def exclude(self, block: torch.Tensor, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Hide what the queries ``rows`` must not see.

        Args:
            block: (B, pool) distances of these queries. Overwritten where the gallery is the whole pool.
            rows: (B,) queries.

        Returns:
            (B, G) distances with ``inf`` at the hidden images, and (B, M) columns of the visible matches, ascending,
            filled up with -1.
        """
        distances = block if self._columns is None else block.index_select(1, self._columns)
        matches = self._same_identity(rows)
        cameras = torch.from_numpy(self._g_camids).to(self._device)
        own = torch.from_numpy(self._q_camids[rows]).to(self._device)[:, None]
        if self._rule == "location":
            distances.masked_fill_(own == cameras, torch.inf)
        if self._rule != "none" and matches.numel():
            hidden = (matches >= 0) & (cameras[matches] == own)
            row, slot = hidden.nonzero(as_tuple=True)
            distances[row, matches[row, slot]] = torch.inf
            matches = _compact(matches.masked_fill(hidden, -1))
        return distances, matches

    def _same_identity(self, rows: np.ndarray) -> torch.Tensor:
        """(B, M) ascending gallery columns of the queries' identities, -1 at the end of the rows."""
        offsets = np.arange(self.num_same[rows].max(initial=0))
        inside = offsets < self.num_same[rows, None]
        position = np.where(inside, self._start[rows, None] + offsets, 0)
        columns = self._by_identity[position] if position.size else np.empty(position.shape, dtype=np.int64)
        return torch.from_numpy(np.where(inside, columns, -1)).to(self._device)


def _compact(matches: torch.Tensor) -> torch.Tensor:
    """Move the -1 of each row to its end, keeping the order of the others."""
    present = matches >= 0
    order = torch.argsort((~present).to(torch.uint8), dim=1, stable=True)
    return matches.gather(1, order)[:, : int(present.sum(1).max())]


def _pair_keys(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One integer per different pair."""
    distinct, code = np.unique(second, return_inverse=True)
    return np.unique(first, return_inverse=True)[1] * len(distinct) + code


def _look_up(keys: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values`` at the position of each key in the sorted ``known``; 0 for unknown keys."""
    if not len(known):
        return np.zeros(len(keys), dtype=np.int64)
    place = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return np.where(known[place] == keys, values[place], 0)
