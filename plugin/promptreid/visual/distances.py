"""Histograms of distances within and between identities, within and across bands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from promptreid.evaluation.statistics.band_gap import KINDS, PairDistances
from promptreid.visual.figures import new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOKS = {
    KINDS[0]: ("#0072B2", "-"),
    KINDS[1]: ("#56B4E9", "--"),
    KINDS[2]: ("#D55E00", "-"),
    KINDS[3]: ("#E69F00", "--"),
}
_BINS = 60


def distances_figure(
    pairs: PairDistances, *, metric: str = "euclidean", width: str = "column", title: str = ""
) -> Figure:
    """Draw one curve per kind of pair, each of area 1, with its mean as a tick, and the gap between bands.

    Args:
        pairs: see :func:`promptreid.evaluation.statistics.band_gap.pair_distances`.
        metric: written below.
        width: ``"column"`` or ``"page"``.
        title: above.

    Raises:
        ValueError: there is no pair at all.
    """
    there = {kind: values for kind, values in pairs.values.items() if len(values)}
    if not there:
        raise ValueError("distances: there is no pair of images with finite features")
    every = np.concatenate(list(there.values()))
    edges = np.linspace(float(every.min()), float(every.max()) + 1e-9, _BINS + 1)
    with style():
        figure = new_figure(width, 62)
        axes = figure.subplots()
        for kind, values in there.items():
            colour, line = _LOOKS[kind]
            density = np.histogram(values, edges, density=True)[0]
            drawn = f"{len(values)}" + (f" of {pairs.totals[kind]}" if pairs.totals[kind] > len(values) else "")
            axes.stairs(density, edges, color=colour, linestyle=line, label=f"{kind} ({drawn})", linewidth=1.1)
            axes.axvline(float(values.mean()), 0, 0.05, color=colour, linestyle=line, linewidth=1.6)
        axes.set(xlabel=f"{metric} distance", ylabel="density", title="\n".join(filter(None, [title, gap_text(pairs)])))
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=1 if width == "column" else 2, frameon=False)
    return figure


def gap_text(pairs: PairDistances) -> str:
    """The gap in words."""
    note = "; pairs of one camera count" if pairs.same_camera else ""
    if math.isnan(pairs.gap):
        return f"gap between the bands: not defined{note}"
    return f"gap between the bands {pairs.gap:+.3f}{note}"
