"""Features as points in a plane, coloured by identity, camera and band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from promptreid.evaluation.missing.conditions import short_name
from promptreid.visual.figures import BAND_COLOURS, WIDTHS, bare, marks_of, new_figure, style
from promptreid.visual.projection import TITLES, project

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT = {"tsne": 4_000, "umap": 4_000, "pca": 1_000_000}
"""How many points are drawn at most; of more, as many are drawn at random, and the figure says so."""
_LEGEND = 24


@dataclass(frozen=True, eq=False)
class Points:
    """Images to draw.

    Attributes:
        features: (N, D) floats, as they come out of the model.
        pids, cameras: (N,) int.
        bands: (N,) names of modalities.
    """

    features: np.ndarray
    pids: np.ndarray
    cameras: np.ndarray
    bands: np.ndarray

    def __len__(self) -> int:
        return len(self.pids)

    def select(self, rows: np.ndarray) -> Points:
        """Select images by row numbers or flags."""
        return Points(*(values[rows] for values in (self.features, self.pids, self.cameras, self.bands)))

    def of_identities(self, count: int, seed: int = 0) -> Points:
        """Those of some identities at random; of these that are seen in the most bands first."""
        people = np.unique(self.pids)
        seen = np.array([len(np.unique(self.bands[self.pids == pid])) for pid in people])
        order = np.random.default_rng(seed).permutation(len(people))
        chosen = order[np.argsort(-seen[order], kind="stable")][:count]
        return self.select(np.isin(self.pids, people[chosen]))


def embedding_figure(
    points: Points | Sequence[tuple[str, Points]],
    *,
    method: str = "tsne",
    seed: int = 0,
    limit: int | None = None,
    width: str = "page",
    title: str = "",
) -> Figure:
    """Draw three panels: the same points coloured by identity, camera and band.

    Args:
        points: of one model; or several with their names, such as a model with and without a family of prompts, whose
            points are laid out together, a row of panels each.
        method: ``"tsne"``, ``"umap"`` or ``"pca"``.
        seed: of the layout, and of the choice where there are too many points.
        limit: points drawn at most in each row; :data:`LIMIT` when omitted.
        width: ``"column"`` or ``"page"``.
        title: above all.

    Raises:
        ValueError: fewer than three images with finite features, or rows that show different images.
    """
    rows = [("", points)] if isinstance(points, Points) else list(points)
    notes, kept = _prepared(rows, LIMIT[method] if limit is None else limit, seed)
    features = [each.features for _, each in kept]
    layout = project(features[0] if len(features) == 1 else np.concatenate(features), method, seed)
    parts = np.split(layout, np.cumsum([len(each) for _, each in kept])[:-1])
    panel = WIDTHS[width] / 3
    with style():
        figure = new_figure(width, len(kept) * (panel + 3) + 9)
        figure.suptitle("; ".join(filter(None, [title, f"{TITLES[method]} of {len(kept[0][1])} images", *notes])))
        grid = figure.subplots(len(kept), 3, squeeze=False)
        box = _limits(layout)
        for axes, (name, each), places in zip(grid, kept, parts, strict=True):
            for axis, (what, labels) in zip(axes, _colourings(each), strict=True):
                _scatter(axis, places, labels, what)
                axis.set(xlim=box[0], ylim=box[1], title=what)
            axes[0].set_ylabel(name)
    return figure


def _prepared(rows: Sequence[tuple[str, Points]], limit: int, seed: int) -> tuple[list[str], list[tuple[str, Points]]]:
    """What is to be said of the points, and those that are drawn: the same images in each row."""
    first = rows[0][1]
    if any(not np.array_equal(first.pids, each.pids) for _, each in rows):
        raise ValueError("embedding: the rows show different images")
    good = np.logical_and.reduce([np.isfinite(each.features).all(axis=1) for _, each in rows])
    notes = [] if good.all() else [f"{int((~good).sum())} images with NaN left out"]
    chosen = np.flatnonzero(good)
    if len(chosen) < 3:
        raise ValueError(f"embedding: {len(chosen)} images have finite features, at least 3 are needed")
    if len(chosen) > limit:
        notes.append(f"drawn at random from {len(chosen)}")
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
    whole = len(chosen) == len(first)
    return notes, [(name, each if whole else each.select(chosen)) for name, each in rows]


def _colourings(points: Points) -> list[tuple[str, np.ndarray]]:
    bands = np.array([short_name(name) for name in points.bands])
    return [("identity", points.pids), ("camera", points.cameras), ("band", bands)]


def _scatter(axes: Any, places: np.ndarray, labels: np.ndarray, what: str) -> None:
    kinds = np.unique(labels)
    size = float(np.clip(4000 / len(places), 0.3, 8))
    if len(kinds) > _LEGEND:
        _scatter_many(axes, places, np.searchsorted(kinds, labels), size)
        axes.set_xlabel(f"{len(kinds)} {'identities' if what == 'identity' else f'{what}s'}")
    else:
        colours = {short_name(name): colour for name, colour in BAND_COLOURS.items()}
        for kind, (colour, marker) in marks_of(labels.tolist()).items():
            rows = labels == kind
            axes.scatter(
                *places[rows].T, s=size, c=colours.get(kind, colour), marker=marker, linewidths=0, rasterized=True,
                label=str(kind), alpha=0.8,
            )  # fmt: skip
        if what != "identity":
            axes.legend(loc="upper right", markerscale=max(1.0, (8 / size) ** 0.5), handletextpad=0.1, borderpad=0.3)
        else:
            axes.set_xlabel(f"{len(kinds)} identities, one mark each")
    bare(axes)
    axes.set_aspect("equal", adjustable="box")


def _scatter_many(axes: Any, places: np.ndarray, numbers: np.ndarray, size: float) -> None:
    """Neighbouring numbers get colours far apart."""
    hues = (numbers * 0.61803398875) % 1.0
    axes.scatter(*places.T, s=size, c=hues, cmap="hsv", vmin=0, vmax=1, linewidths=0, rasterized=True, alpha=0.8)


def _limits(layout: np.ndarray) -> list[tuple[float, float]]:
    """A square around all points."""
    low, high = layout.min(axis=0), layout.max(axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-9) * 1.05
    return [(centre - half, centre + half) for centre in middle.tolist()]
