"""A batch as a figure."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.visual.batch import batch_figure, denormalised


def test_a_batch_is_drawn_as_the_images_were() -> None:
    images = np.random.default_rng(0).random((2, 2, 3, 4, 2))
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    shape = (3, 1, 1)
    normalised = (images - np.reshape(mean, shape)) / np.reshape(std, shape)
    pixels = denormalised(normalised, mean, std)
    assert np.array_equal(pixels, np.moveaxis((images * 255).round(), 2, -1).astype(np.uint8))
    assert denormalised(np.full((3, 1, 1), np.nan), mean, std).max() == 0
    modality, present = np.array([[0, 1], [0, 1]]), np.array([[True, True], [True, False]])
    figure = batch_figure(pixels, modality, present, modalities=("visible", "infrared"), captions=["a", "b"])
    assert np.array_equal(figure.axes[0].images[0].get_array(), pixels[0, 0])
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["RGB", "IR"]
    assert figure.axes[3].texts[0].get_text() == "missing"
    single = batch_figure(pixels[:, :1], modality[:, :1], present[:, :1], modalities=("visible", "infrared"))
    assert len(single.axes) == 2  # one band
    with pytest.raises(ValueError, match="has no images"):
        batch_figure(pixels[:0], modality[:0], present[:0], modalities=("visible",))
