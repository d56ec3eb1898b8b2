"""Choice of the queries and images that a picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from promptreid.data.batch import PathBundle
from promptreid.evaluation.results import Results
from promptreid.visual.ranks import RankRow
from promptreid.visual.tiles import bands_of, name_of, shown_of
from promptreid.visual.trained_run import SPLITS, TrainedRun


def chosen_queries(
    results: Results, pids: np.ndarray, choose: str, count: int, given: Sequence[int] = (), seed: int = 0
) -> list[int]:
    """Numbers of queries, from 0.

    Args:
        results: of the protocol.
        pids: identities of the queries.
        choose: ``"hardest"``: those with the lowest average precision of the first trial, lowest first, equal ones by
            their number, one of each identity; ``"random"``. Queries without a match come into neither.
        count: how many.
        given: take these instead.
        seed: of the random choice.

    Raises:
        ValueError: another choice, or a number that no query has.
    """
    ranks = results.ranks[0]
    total = len(ranks.first)
    if len(given):
        wrong = [number for number in given if not 0 <= number < total]
        if wrong:
            raise ValueError(f"query {wrong[0]}: there are queries 0 to {total - 1}")
        return [int(number) for number in given]
    valid = np.flatnonzero(ranks.valid)
    if choose == "random":
        return np.sort(np.random.default_rng(seed).permutation(valid)[:count]).tolist()
    if choose != "hardest":
        raise ValueError(f"choose: {choose!r} is neither hardest nor random")
    hardest = valid[np.argsort(ranks.average_precision[valid], kind="stable")]
    first = np.sort(np.unique(pids[hardest], return_index=True)[1])
    return hardest[first][:count].tolist()


def disagreeing(one: Results, other: Results, count: int) -> list[int]:
    """The queries whose average precision differs most between two runs' first trials, largest difference first.

    Raises:
        ValueError: the two have not the same queries.
    """
    first, second = one.ranks[0], other.ranks[0]
    if one.protocol != other.protocol or len(first.first) != len(second.first):
        raise ValueError(
            f"--against: {other.protocol} with {len(second.first)} queries is not {one.protocol} with "
            f"{len(first.first)}; compare runs on one data set and protocol"
        )
    both = np.flatnonzero(first.valid & second.valid)
    difference = np.abs(first.average_precision[both] - second.average_precision[both])
    return both[np.argsort(-difference, kind="stable")][:count].tolist()


def rank_rows(run: TrainedRun, rows: Sequence[int], topk: int, name: str = "") -> list[RankRow]:
    """Some queries of a run with what they found.

    Args:
        run: whose lists.
        rows: numbers of queries.
        topk: gallery images of each.
        name: before each title.
    """
    lists, ranks = run.rank_lists(topk), run.results.ranks[0]
    assert lists.query.names is not None and lists.gallery.names is not None
    records = {split: run.records(split) for split in SPLITS}
    found = []
    for row in rows:
        query = _record(records, str(lists.query.names[row]))
        columns, matches = lists.row(row)
        gallery = [
            shown_of(_record(records, str(lists.gallery.names[column])), bool(match))
            for column, match in zip(columns, matches, strict=True)
        ]
        outcome = "no match in the gallery"
        if ranks.num_matches[row]:
            unit = " of the identities" if lists.level == "identity" else ""
            outcome = f"first match at rank {ranks.first[row]}{unit}, AP {100 * ranks.average_precision[row]:.1f} %"
        bands = " + ".join(bands_of(query[0]))
        title = ", ".join(filter(None, [name, f"query {row} ({bands}) {name_of(query[0])}", outcome]))
        found.append(RankRow(shown_of(query), gallery, title, bands_of(query[0])))
    return found


def samples_of_every_band(
    run: TrainedRun, count: int, seed: int = 0, queries: Sequence[int] = ()
) -> list[tuple[str, int]]:
    """Test samples at random, as many of each band; of samples with several images, ``count`` of them.

    Args:
        run: whose test images.
        count: of each band.
        seed: of the choice.
        queries: numbers of queries to take instead.

    Returns:
        the split and the number in its list of each.

    Raises:
        ValueError: a number that no query has.
    """
    total = len(run.records("query"))
    for number in queries:
        if not 0 <= number < total:
            raise ValueError(f"query {number}: there are queries 0 to {total - 1}")
    if len(queries):
        return [("query", int(number)) for number in queries]
    every = [(split, row) for split in run.splits for row in range(len(run.records(split)))]
    kinds: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for number in np.random.default_rng(seed).permutation(len(every)):
        split, row = every[number]
        path = run.records(split)[row][0]
        kind = tuple(path.paths) if isinstance(path, PathBundle) else ("",)
        kinds.setdefault(kind, []).append((split, row))
    order = sorted(kinds, key=lambda kind: (-len(kind), [_place(run.modalities, name) for name in kind]))
    return [sample for kind in order for sample in kinds[kind][:count]]


def _place(modalities: Sequence[str], name: str) -> int:
    return list(modalities).index(name) if name in modalities else len(modalities)


def _record(records: dict[str, list[Any]], name: str) -> Any:
    split, number = name.split(" ")
    return records[split][int(number)]
