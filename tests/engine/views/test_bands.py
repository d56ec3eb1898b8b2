"""A batch by band: what is drawn is what the model gets, and mistakes show."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid.data.batch import ModalBatch
from promptreid.engine.views.bands import bands_of, describe_bands, draw_bands

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
NAMES = ("visible", "near_infrared", "thermal_infrared")
COLOURS = ((200, 40, 90), (128, 131, 128), (20, 23, 20))  # no greys, which text has at its edges


def normalised(colours: tuple[tuple[int, int, int], ...], samples: int = 4) -> ModalBatch:
    """Triples whose images have one colour each; the second sample lacks the last one."""
    pixels = torch.tensor(colours, dtype=torch.float32).reshape(1, 3, 3, 1, 1).expand(samples, 3, 3, 8, 4) / 255
    images = (pixels - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)
    present = torch.ones(samples, 3, dtype=torch.bool)
    present[1, 2] = False
    kinds = torch.arange(3).expand(samples, 3).clone()
    return ModalBatch.of(images.clone(), kinds, torch.zeros(samples, dtype=torch.int64), present)


def test_normalisation_is_undone_to_the_pixel_and_missing_images_keep_their_place() -> None:
    bands = bands_of(normalised(COLOURS), NAMES, MEAN, STD, 3)
    assert [band.title for band in bands] == ["visible (RGB)", "near_infrared (NIR)", "thermal_infrared (TIR)"]
    assert [band.count for band in bands] == [4, 4, 3]
    for band, colour in zip(bands, COLOURS, strict=True):
        assert [image is None for image in band.images] == [False, band.name == NAMES[2], False]
        assert all((image == colour).all() for image in band.images if image is not None)
        expected = [(c / 255 - m) / s for c, m, s in zip(colour, MEAN, STD, strict=True)]
        assert band.mean == pytest.approx(expected, abs=1e-5)
        assert band.std == pytest.approx([0, 0, 0], abs=1e-5) and band.outside == 0


def test_swapped_bands_are_seen_in_picture_and_text() -> None:
    right, swapped = (
        bands_of(normalised(colours), NAMES, MEAN, STD, 2)
        for colours in (COLOURS, (COLOURS[1], COLOURS[0], COLOURS[2]))
    )
    pictures = [draw_bands(bands) for bands in (right, swapped)]
    shown = [
        [COLOURS[n] in {tuple(p) for p in picture.reshape(-1, 3).tolist()} for n in range(3)] for picture in pictures
    ]
    assert shown == [[True] * 3] * 2
    tops = [[np.argwhere((picture == colour).all(axis=2))[0][0] for colour in COLOURS] for picture in pictures]
    assert tops[0][0] < tops[0][1] < tops[0][2]  # the rows of the names, from top to bottom
    assert tops[1][1] < tops[1][0] < tops[1][2]
    texts = [describe_bands(bands, "epoch 1, batch 1") for bands in (right, swapped)]
    lines = [text.splitlines()[-3:] for text in texts]
    assert lines[0][0].split("|")[3:] == lines[1][1].split("|")[3:] != lines[0][1].split("|")[3:]
    assert texts[0].startswith("epoch 1, batch 1. Means")


def test_values_that_no_pixel_has_are_told() -> None:
    batch = normalised(COLOURS)
    batch["images"][:, 0] += 30  # as after a second normalisation
    first, second, _ = bands_of(batch, NAMES, MEAN, STD, 1)
    assert first.outside == 1 and second.outside == 0
    assert "| 100.0 % |" in describe_bands([first])


def test_single_images_go_to_the_row_of_their_modality() -> None:
    kinds = torch.tensor([0, 1, 0, 1, 1])
    images = kinds.float().reshape(5, 1, 1, 1, 1).expand(5, 1, 3, 6, 3).clone()
    batch = ModalBatch.of(images, kinds[:, None], torch.zeros(5, dtype=torch.int64))
    bands = bands_of(batch, ("visible", "infrared", "other"), (0,) * 3, (1,) * 3, 2)
    assert [(band.count, len(band.images)) for band in bands] == [(2, 2), (3, 2), (0, 0)]
    assert (bands[0].images[0] == 0).all() and (bands[1].images[1] == 255).all()
    assert "no image in this batch" not in describe_bands(bands) and "| other | 0 |" in describe_bands(bands)
    assert draw_bands(bands, "title " * 40).shape[1] > 900


def test_a_plain_tensor_is_of_the_first_modality() -> None:
    (band,) = bands_of(torch.zeros(3, 3, 4, 4), ("visible",), MEAN, STD, 8)
    assert (band.count, len(band.images)) == (3, 3)
