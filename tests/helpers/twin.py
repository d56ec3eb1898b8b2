"""Evaluation as the definitions read: sort, filter, walk down the list. Slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Outcome(NamedTuple):
    """One query: rank of the first match (0 without any), AP, INP, number of matches, images looked at."""

    first: int
    ap: float
    inp: float
    matches: int
    kept: int


def rank_query(
    row: Sequence[float], pid: int, camid: int, g_pids: Sequence[int], g_camids: Sequence[int], rule: str, level: str
) -> Outcome:
    """Walk down one ranked list."""
    ranked = []
    for _, index in sorted((float(value), index) for index, value in enumerate(row)):
        same_id, same_camera = g_pids[index] == pid, g_camids[index] == camid
        if rule == "camera" and same_id and same_camera:
            continue
        if rule == "location" and same_camera:
            continue
        ranked.append(g_pids[index])
    found, precisions, last = 0, [], 0
    for place, other in enumerate(ranked, start=1):
        if other == pid:
            found += 1
            precisions.append(found / place)
            last = place
    if not found:
        return Outcome(0, float("nan"), float("nan"), 0, len(ranked))
    listed = ranked if level == "image" else list(dict.fromkeys(ranked))
    return Outcome(listed.index(pid) + 1, sum(precisions) / found, found / last, found, len(ranked))


def rank_all(
    distances: np.ndarray,
    q_pids: Sequence[int],
    g_pids: Sequence[int],
    q_camids: Sequence[int],
    g_camids: Sequence[int],
    rule: str = "camera",
    level: str = "image",
) -> list[Outcome]:
    """Every query."""
    return [
        rank_query(row, pid, camid, g_pids, g_camids, rule, level)
        for row, pid, camid in zip(distances, q_pids, q_camids, strict=True)
    ]
