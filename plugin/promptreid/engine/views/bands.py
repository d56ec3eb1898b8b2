"""A training batch as the model gets it, band by band: pictures, and what normalisation made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from promptreid.data.batch import ModalBatch
from promptreid.engine.views.canvas import GAP, LINE, MARGIN, blank, pixels_of, widest, write
from promptreid.evaluation.missing.conditions import SHORT_NAMES

LONG_SIDE = 128
"""Pixels of the longer side of an image."""
_MISSING = (200, 200, 200)
_SLACK = 1e-3


@dataclass(frozen=True, eq=False)
class Band:
    """The images of one modality in a batch.

    Attributes:
        name: of the modality.
        count: how many images there are.
        mean, std: three numbers each, of the normalised values of a channel over all of them; nan without images.
        outside: share of the values that no pixel has, after normalisation is undone: below 0 or above 1.
        images: the first of them with normalisation undone, (H, W, 3) uint8 each; where a sample has several images,
            those of the first samples, None where one is missing.
        size: H and W.
    """

    name: str
    count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    outside: float
    images: tuple[np.ndarray | None, ...]
    size: tuple[int, int]

    @property
    def title(self) -> str:
        """``near_infrared (NIR)``"""
        short = SHORT_NAMES.get(self.name)
        return f"{self.name} ({short})" if short else self.name


def bands_of(
    images: Any, modalities: Sequence[str], mean: Sequence[float], std: Sequence[float], most: int
) -> list[Band]:
    """Each modality of a batch on its own; where a sample has several images, each slot is a modality.

    Args:
        images: a ``ModalBatch``, or (B, 3, H, W), which counts as the first modality.
        modalities: names; a modality's id is its index.
        mean, std: that images were normalised with, for values in [0, 1].
        most: images of each that are kept for the picture.
    """
    batch = images if isinstance(images, ModalBatch) else _as_batch(images)
    pixels, kinds, present = batch["images"], batch["modality"], batch["present"]
    if kinds.shape[1] == 1:
        slots = [(pixels[:, 0][kinds[:, 0] == number], None) for number in range(len(modalities))]
    else:
        slots = [(pixels[:, slot], present[:, slot]) for slot in range(kinds.shape[1])]
    undo = _Undo(mean, std)
    return [_band(name, *slot, undo, most) for name, slot in zip(modalities, slots, strict=True)]


def _as_batch(images: Tensor) -> ModalBatch:
    zeros = torch.zeros(len(images), 1, dtype=torch.int64)
    return ModalBatch.of(images[:, None], zeros, zeros[:, 0])


class _Undo:
    """Takes normalisation back."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.scale, self.shift = (torch.tensor(list(each)).reshape(3, 1, 1) for each in (std, mean))

    def __call__(self, values: Tensor) -> Tensor:
        """(n, 3, H, W) in [0, 1], where they were pixels."""
        return values * self.scale + self.shift


def _band(name: str, images: Tensor, present: Tensor | None, undo: _Undo, most: int) -> Band:
    there = torch.ones(len(images), dtype=torch.bool) if present is None else present.cpu()
    values, size = images.detach().float().cpu(), (images.shape[-2], images.shape[-1])
    real = values[there]
    shown = (undo(values[:most]).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    pictures = tuple(image if is_there else None for image, is_there in zip(shown, there[:most].tolist(), strict=True))
    if not len(real):
        return Band(name, 0, (np.nan,) * 3, (np.nan,) * 3, np.nan, pictures, size)
    spread, centre = torch.std_mean(real, dim=(0, 2, 3), correction=0)
    undone = undo(real)
    outside = ((undone < -_SLACK) | (undone > 1 + _SLACK)).float().mean()
    return Band(name, len(real), tuple(centre.tolist()), tuple(spread.tolist()), float(outside), pictures, size)


def draw_bands(bands: Sequence[Band], title: str = "") -> np.ndarray:
    """A row of images for each band, with its name and numbers beside it; (H, W, 3) uint8."""
    height, width = bands[0].size
    share = LONG_SIDE / max(height, width)
    resampling = Image.Resampling.NEAREST if share > 1 else Image.Resampling.BILINEAR
    height, width = max(1, round(share * height)), max(1, round(share * width))
    notes = [_notes(band) for band in bands]
    left = MARGIN + widest([line for lines in notes for line in lines]) + 2 * GAP
    row = max(height, max(len(lines) for lines in notes) * LINE) + GAP
    columns = max(1, *(len(band.images) for band in bands))
    wide = max(left + columns * (width + GAP), MARGIN + widest([title])) + MARGIN
    canvas, pen = blank(wide, MARGIN + LINE + GAP + len(bands) * row + MARGIN)
    write(pen, (MARGIN, MARGIN), title)
    for number, (band, lines) in enumerate(zip(bands, notes, strict=True)):
        top = MARGIN + LINE + GAP + number * row
        for place, line in enumerate(lines):
            write(pen, (MARGIN, top + place * LINE), line)
        for place, image in enumerate(band.images):
            corner = (left + place * (width + GAP), top)
            if image is None:
                pen.rectangle((*corner, corner[0] + width - 1, top + height - 1), fill=_MISSING)
            else:
                canvas.paste(Image.fromarray(image).resize((width, height), resampling), corner)
    return pixels_of(canvas)


def _notes(band: Band) -> list[str]:
    if not band.count:
        return [band.title, "no image in this batch"]
    return [
        band.title,
        f"{band.count} images",
        f"mean {_three(band.mean)}",
        f"std {_three(band.std)}",
        *([f"{100 * band.outside:.1f} % outside 0..1"] if band.outside >= _SLACK else []),
    ]


def describe_bands(bands: Sequence[Band], title: str = "") -> str:
    """The same numbers as a table in Markdown, and how to read them."""
    lines = [
        f"{title}. Means and standard deviations are those of the normalised red, green and blue values that the model"
        " gets, over all images of a band. With the right normalisation the means lie around 0 and the deviations"
        " between about 0.4 and 1.3; equal channels are those of grey images. Values outside 0..1 after the"
        " normalisation is undone come from erasing with noise, or from a normalisation that is not the configured"
        " one.",
        "",
        "| band | images | mean | std | outside 0..1 |",
        "|---|---|---|---|---|",
    ]
    for band in bands:
        numbers = (_three(band.mean), _three(band.std), f"{100 * band.outside:.1f} %")
        cells = numbers if band.count else ("", "", "")
        lines.append(f"| {band.title} | {band.count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _three(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)
