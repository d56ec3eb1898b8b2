"""The CMC curves of a test."""

from __future__ import annotations

from collections.abc import Iterator

from promptreid.evaluation.results import Results


def cmc_points(result: Results, tag: str) -> Iterator[tuple[int, dict[str, float]]]:
    """Each rank, from 1, with the mean over the trials, as a scalar of this tag."""
    for rank, share in enumerate(result.cmc.tolist(), start=1):
        yield rank, {tag: share}
