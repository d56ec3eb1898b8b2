"""Rows of a gallery as columns, filters on them, and the check of rows that users add."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np

from promptreid.evaluation.features import as_ids, check_length
from promptreid.retrieval.array_files import texts
from promptreid.retrieval.bands import band_of
from promptreid.retrieval.description import ModelDescription, check_same_model
from promptreid.retrieval.embeddings import Embeddings

Bands = tuple[bool, ...]
"""Of each of a model's bands, whether it is there."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Gallery objects: row by row a vector, and what is known of its object.

    Attributes:
        vectors: (N, D) float32, or of a compressed gallery in memory its codes.
        present: (N, M) bool.
        ids, paths: (N,) texts.
        cameras: (N,) int64, -1 where unknown.
        times: (N,) float64 seconds, NaN where unknown.
    """

    vectors: np.ndarray
    present: np.ndarray
    ids: np.ndarray
    paths: np.ndarray
    cameras: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: np.ndarray | slice) -> Rows:
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def followed_by(self, other: Rows) -> Rows:
        """These rows, then the others."""
        names = [field.name for field in fields(self)]
        return Rows(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})


def no_rows(model: ModelDescription) -> Rows:
    """A gallery without objects."""
    none, bands = np.empty(0, dtype=object), len(model.modalities)
    vectors, present = np.empty((0, model.width_of_vector), np.float32), np.empty((0, bands), bool)
    return Rows(vectors, present, none, none, np.empty(0, np.int64), np.empty(0, np.float64))


def rows_of(
    embeddings: Embeddings,
    model: ModelDescription,
    ids: Sequence[str] | np.ndarray | None,
    cameras: Sequence[int] | np.ndarray | None,
    times: Sequence[Any] | np.ndarray | None,
    paths: Sequence[str] | np.ndarray | None,
) -> Rows:
    """Check the rows that a user adds.

    Raises:
        ValueError: vectors of another model, lengths or kinds that do not fit, or an id twice.
    """
    check_same_model(model, embeddings.model, "the vectors to be added")
    count = len(embeddings)
    for name, given in (("ids", ids), ("cameras", cameras), ("times", times), ("paths", paths)):
        if given is not None:
            check_length(name, len(given), count, "vectors")
    named = texts(embeddings.names if ids is None else ids)
    if "" in named:
        raise ValueError("ids: an empty text is no id")
    twice = [name for name, found in Counter(named.tolist()).items() if found > 1]
    if twice:
        raise ValueError(f"ids: {twice[0]!r} is given twice; each object needs its own")
    return Rows(
        np.array(embeddings.vectors, dtype=np.float32),
        np.array(embeddings.present, dtype=bool),
        named,
        texts(embeddings.names if paths is None else paths),
        as_ids("cameras", embeddings.cameras if cameras is None else cameras),
        np.array([math.nan if times is None else seconds(times[row], "times") for row in range(count)], np.float64),
    )


def seconds(value: Any, name: str) -> float:
    """A time as a number: seconds, or those of a ``datetime`` since 1970; NaN for None.

    Raises:
        ValueError: something else; the message starts with ``name``.
    """
    if value is None:
        return math.nan
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected seconds or a datetime, got {value!r}") from None
    if math.isinf(found):
        raise ValueError(f"{name}: {value!r} is no time")
    return found


@dataclass(frozen=True)
class Filter:
    """Filter: the gallery objects that a search may return.

    Attributes:
        cameras: those of these cameras alone.
        not_cameras: none of these; an object whose camera is unknown stays.
        since, until: with a time from ``since`` to ``until``, both included; objects without a time are left out.
        bands: those that have all of these bands.
    """

    cameras: tuple[int, ...] | None = None
    not_cameras: tuple[int, ...] = ()
    since: float | None = None
    until: float | None = None
    bands: Bands | None = None

    def mask(self, rows: Rows) -> np.ndarray:
        """(N,) bool: which rows pass."""
        kept = np.ones(len(rows), dtype=bool)
        if self.cameras is not None:
            kept &= np.isin(rows.cameras, self.cameras)
        if self.not_cameras:
            kept &= ~np.isin(rows.cameras, self.not_cameras)
        if self.since is not None:
            kept &= rows.times >= self.since
        if self.until is not None:
            kept &= rows.times <= self.until
        if self.bands is not None:
            kept &= rows.present[:, np.array(self.bands)].all(1)
        return kept


def filter_of(
    model: ModelDescription,
    cameras: Sequence[int] | int | None,
    not_cameras: Sequence[int] | int | None,
    since: Any,
    until: Any,
    bands: Sequence[str] | str | None,
) -> Filter:
    """Check a user's filter.

    Raises:
        ValueError: a camera, time or band that is none.
    """
    names = bands.split("+") if isinstance(bands, str) else list(bands or [])
    asked = [band_of(name, model.modalities) for name in names]
    start, stop = (
        None if value is None else seconds(value, name) for value, name in ((since, "since"), (until, "until"))
    )
    if start is not None and stop is not None and start > stop:
        raise ValueError(f"since {start:g} is after until {stop:g}")
    return Filter(
        None if cameras is None else _numbers("cameras", cameras),
        () if not_cameras is None else _numbers("not_cameras", not_cameras),
        start,
        stop,
        tuple(name in asked for name in model.modalities) if asked else None,
    )


def _numbers(name: str, given: Sequence[int] | int) -> tuple[int, ...]:
    values = [given] if isinstance(given, int | np.integer) else list(given)
    return tuple(as_ids(name, np.array(values) if values else np.empty(0, np.int64)).tolist())
