"""Comparison of prompts: similarity, lengths and copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from promptreid.evaluation.missing.conditions import short_name
from promptreid.models.inspection import PromptSet
from promptreid.visual.figures import BAND_COLOURS, MARKERS, OKABE_ITO, WIDTHS, bare, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":")
_EACH = 96
"""So many prompts of a family are shown one by one; of more, the means of their sets."""


def prompts_figure(sets: Sequence[PromptSet], *, width: str = "page", title: str = "") -> Figure:
    """A map of cosines for each family, between modalities and layers, and the norms by layer.

    Copies, prompts that are equal bit by bit, have a cross in the map and are listed below.

    Args:
        sets: of an inspection; at least one.
        width: ``"column"`` or ``"page"``.
        title: above.

    Raises:
        ValueError: no prompts.
    """
    if not sets:
        raise ValueError("prompts: the model has none; choose one with prompts")
    families = list(dict.fromkeys(each.family for each in sets))
    notes = copies_text(sets)
    panel = (WIDTHS[width] - 22) / (len(families) + 1)
    with style():
        figure = new_figure(width, max(panel, 40) + 9 + 2.6 * len(notes))
        figure.suptitle(title)
        grid = figure.subplots(1, len(families) + 1)
        image = None
        for axes, family in zip(grid, families, strict=False):
            image = _cosine_map(axes, [each for each in sets if each.family == family], family)
        assert image is not None
        figure.colorbar(image, ax=grid[len(families) - 1], label="cosine", shrink=0.6, pad=0.03, aspect=14)
        _norms(grid[-1], sets, families)
        figure.legend(loc="outside right center", frameon=False)
        figure.supxlabel("\n".join(notes), fontsize=5.5, x=0.01, ha="left")
    return figure


def copies_text(sets: Sequence[PromptSet]) -> list[str]:
    """A line for each set of prompts that holds copies; one line that there are none."""
    lines = []
    for each in sets:
        for group in each.copies:
            names = " = ".join(str(number + 1) for number in group)
            whose = f" {short_name(each.modality)}" if each.modality else ""
            lines.append(f"copies: {each.family}{whose}, layer {each.layer}: {names} of {len(each.vectors)}")
    return lines or ["no two prompts of a set are copies"]


def cosine_table(sets: Sequence[PromptSet]) -> tuple[np.ndarray, np.ndarray]:
    """Cosines between all prompts of some sets, (n, n), and which pairs within a set are copies, (n, n) bool."""
    vectors = torch.cat([each.vectors for each in sets])
    cosines = F.cosine_similarity(vectors[:, None], vectors[None], dim=-1).numpy()
    copies = np.zeros(cosines.shape, dtype=bool)
    start = 0
    for each in sets:
        for group in each.copies:
            index = start + np.array(group)
            copies[np.ix_(index, index)] = True
        start += len(each.vectors)
    np.fill_diagonal(copies, False)
    return cosines, copies


def _cosine_map(axes: Any, sets: Sequence[PromptSet], family: str) -> Any:
    count = sum(len(each.vectors) for each in sets)
    one_by_one = count <= _EACH
    shown = sets if one_by_one else [each._replace(vectors=each.vectors.mean(dim=0, keepdim=True)) for each in sets]
    cosines, copies = cosine_table(shown)
    image = axes.imshow(cosines, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
    size = float(np.clip(60 / len(cosines), 1, 4))
    axes.plot(*np.nonzero(copies), "x", color="#000000", markersize=size, markeredgewidth=0.5)
    lengths = np.cumsum([0, *(len(each.vectors) for each in shown)])
    for place in lengths[1:-1]:
        axes.axhline(place - 0.5, color="#FFFFFF", linewidth=0.4)
        axes.axvline(place - 0.5, color="#FFFFFF", linewidth=0.4)
    bare(axes)
    axes.set_yticks((lengths[1:] + lengths[:-1] - 1) / 2, [_label(each) for each in shown], fontsize=5)
    axes.tick_params(axis="y", length=0)
    axes.set_title(family if one_by_one else f"{family}, means of each set")
    return image


def _label(each: PromptSet) -> str:
    return " ".join(filter(None, [short_name(each.modality) if each.modality else "", f"L{each.layer}"]))


def _norms(axes: Any, sets: Sequence[PromptSet], families: Sequence[str]) -> None:
    """A line per family and modality, mean of a set, with its range."""
    for family, marker, line in zip(families, MARKERS, _LINES * len(families), strict=False):
        for modality in dict.fromkeys(each.modality for each in sets if each.family == family):
            mine = [each for each in sets if (each.family, each.modality) == (family, modality)]
            means = np.array([float(each.norms.mean()) for each in mine])
            spread = np.array([[float(each.norms.min()), float(each.norms.max())] for each in mine]).T
            colour = BAND_COLOURS.get(modality, OKABE_ITO[2] if not modality else OKABE_ITO[-1])
            name = " ".join(filter(None, [family, short_name(modality) if modality else ""]))
            axes.errorbar(
                [each.layer for each in mine], means, np.abs(spread - means), marker=marker, color=colour,
                linestyle=line, markersize=3, capsize=1.5, elinewidth=0.5, label=name,
            )  # fmt: skip
    axes.set(xlabel="layer", title="Euclidean length")
    lengths = [float(length) for each in sets for length in each.norms if length > 0]
    if lengths and max(lengths) > 10 * min(lengths):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
