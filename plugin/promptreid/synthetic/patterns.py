"""The geometry of what is woven into or printed on garments, as polygons to be clipped by the garment."""

from __future__ import annotations

from collections.abc import Callable

from promptreid.synthetic.identity import Pattern

Point = tuple[float, float]
Polygon = list[Point]

REACH = 0.28  # patterns extend this far to both sides, in body heights; the garment cuts them


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygon:
    """The corners of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _steps(start: float, stop: float, period: float, phase: float) -> list[float]:
    first = start - phase * period
    return [first + period * index for index in range(int((stop - first) / period) + 1)]


def _bars(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    thick = pattern.share * pattern.period
    return [
        rectangle(-REACH, y, REACH, y + thick) for y in _steps(top, bottom, pattern.period, pattern.phase)
    ]  # fmt: skip


def _stripes(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    thick = pattern.share * pattern.period
    return [rectangle(x, top, x + thick, bottom) for x in _steps(-REACH, REACH, pattern.period, pattern.phase)]


def _diagonal(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    period = 1.3 * pattern.period
    thick, rise = pattern.share * period, 2 * REACH * pattern.lean
    start, stop = top - max(rise, 0.0), bottom - min(rise, 0.0)
    return [
        [(-REACH, y), (REACH, y + rise), (REACH, y + rise + thick), (-REACH, y + thick)]
        for y in _steps(start, stop, period, pattern.phase)
    ]


def _checks(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    side = 0.8 * pattern.period
    rows, columns = _steps(top, bottom, side, pattern.phase), _steps(-REACH / 2, REACH / 2, side, 0.5)
    return [
        rectangle(x, y, x + side, y + side)
        for row, y in enumerate(rows)
        for column, x in enumerate(columns)
        if (row + column) % 2
    ]


def octagon(x: float, y: float, across: float, down: float) -> Polygon:
    """An octagon with half axes ``across`` and ``down``."""
    a, b = 0.42 * across, 0.42 * down
    return [
        (x - a, y - down), (x + a, y - down), (x + across, y - b), (x + across, y + b),
        (x + a, y + down), (x - a, y + down), (x - across, y + b), (x - across, y - b),
    ]  # fmt: skip


def _dots(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    radius = (0.2 + 0.25 * pattern.share) * pattern.period
    columns = _steps(-REACH / 2, REACH / 2, pattern.period, 0.5)
    return [
        octagon(x + (row % 2) * pattern.period / 2, y, radius, radius)
        for row, y in enumerate(_steps(top, bottom, 0.9 * pattern.period, pattern.phase))
        for x in columns
    ]


def _yoke(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    return [rectangle(-REACH, top - 0.1, REACH, top + (bottom - top) * (0.25 + 0.5 * pattern.phase))]


def _band(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    y = top + (bottom - top) * (0.2 + 0.5 * pattern.phase)
    return [rectangle(-REACH, y, REACH, y + 0.8 * pattern.period)]


def _open(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    narrow, wide = 0.018, 0.03 + 0.04 * pattern.phase
    above, below = (wide, narrow) if pattern.lean > 0 else (narrow, wide)
    return [[(-above, top - 0.1), (above, top - 0.1), (below, bottom), (-below, bottom)]]


def _logo(pattern: Pattern, top: float, _: float) -> list[Polygon]:
    y, half = top + 0.06 + 0.06 * pattern.phase, 0.5 * pattern.period
    return [rectangle(-half, y, half, y + 2 * half)] if pattern.lean > 0 else [octagon(0.0, y + half, half, half)]


def _sides(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    inner = 0.03 + 0.03 * pattern.phase
    return [rectangle(-REACH, top, -inner, bottom), rectangle(inner, top, REACH, bottom)]


def _cuffs(pattern: Pattern, _: float, bottom: float) -> list[Polygon]:
    return [rectangle(-REACH, bottom - pattern.period, REACH, bottom + 0.1)]


def _plain(_pattern: Pattern, _top: float, _bottom: float) -> list[Polygon]:
    return []


KINDS: dict[str, Callable[[Pattern, float, float], list[Polygon]]] = {
    "plain": _plain,
    "bars": _bars,
    "stripes": _stripes,
    "diagonal": _diagonal,
    "checks": _checks,
    "dots": _dots,
    "yoke": _yoke,
    "band": _band,
    "open": _open,
    "logo": _logo,
    "sides": _sides,
    "cuffs": _cuffs,
}


def pattern_polygons(pattern: Pattern, top: float, bottom: float) -> list[Polygon]:
    """The polygons of ``pattern`` on a garment from ``top`` to ``bottom`` (body heights); none overlap."""
    return KINDS[pattern.kind](pattern, top, bottom)
