"""Figures of distances, batches, attention and prompts, from drawn data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid.evaluation.statistics.band_gap import pair_distances
from promptreid.models.inspection import PromptSet
from promptreid.visual.attention import AttentionRow, attention_figure, over
from promptreid.visual.batch import batch_figure, denormalised
from promptreid.visual.distances import distances_figure
from promptreid.visual.prompts import copies_text, cosine_table, prompts_figure
from promptreid.visual.tiles import Tile


def test_distances_say_the_gap_or_that_there_is_none() -> None:
    rng = np.random.default_rng(0)
    features, pids, cameras = rng.standard_normal((30, 4)), rng.integers(0, 4, 30), np.arange(30)
    bands = np.array(["visible", "infrared"])[np.arange(30) % 2]
    pairs = pair_distances(features, pids, cameras, bands)
    axes = distances_figure(pairs, title="run").axes[0]
    assert f"gap between the bands {pairs.gap:+.3f}" in axes.get_title()
    assert len(axes.patches) == 4
    density, edges, _ = axes.patches[0].get_data()
    assert float((density * np.diff(edges)).sum()) == pytest.approx(1)
    one_band = distances_figure(pair_distances(features, pids, cameras, np.full(30, "visible")))
    assert "not defined" in one_band.axes[0].get_title() and len(one_band.axes[0].patches) == 2
    distances_figure(pair_distances(features, np.zeros(30, dtype=int), cameras, bands))
    with pytest.raises(ValueError, match="no pair of images"):
        distances_figure(pair_distances(features[:1], pids[:1], cameras[:1], bands[:1]))


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


def test_a_map_lies_over_its_image() -> None:
    pixels = np.full((8, 4, 3), 100, dtype=np.uint8)
    heat = np.array([[0.0, 0.0], [0.0, 2.0]])
    drawn = over(pixels, heat)
    assert drawn[-1, -1].sum() > drawn[0, 0].sum() and np.ptp(over(pixels, 0 * heat)) < 5
    figure = attention_figure([AttentionRow(Tile(pixels), {"class": heat, "bind 1": None}, "RGB")], note="n")
    assert figure.axes[0].get_ylabel() == "RGB" and figure.axes[1].get_xlabel() == "4.0×"
    assert not figure.axes[2].axison
    with pytest.raises(ValueError, match="no image to draw"):
        attention_figure([])


def test_copies_are_crossed_and_named() -> None:
    vectors = torch.randn(4, 8)
    vectors[2] = vectors[1]
    sets = [PromptSet("words", 1, "visible", vectors), PromptSet("words", 1, "infrared", torch.randn(4, 8))]
    sets += [PromptSet("semantic", layer, "", torch.randn(2, 8)) for layer in (1, 2)]
    assert copies_text(sets) == ["copies: words RGB, layer 1: 2 = 3 of 4"]
    assert copies_text(sets[1:]) == ["no two prompts of a set are copies"]
    cosines, copies = cosine_table(sets[:2])
    assert np.argwhere(copies).tolist() == [[1, 2], [2, 1]]
    expected = torch.cat([sets[0].vectors, sets[1].vectors])
    expected = expected / expected.norm(dim=1, keepdim=True)
    assert np.allclose(cosines, expected @ expected.T, atol=1e-6)
    figure = prompts_figure(sets)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["words", "semantic", "Euclidean length"]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]
    many = prompts_figure([PromptSet("instance", 1, "", torch.randn(100, 4))], width="column")
    assert many.axes[0].images[0].get_array().shape == (1, 1)
    with pytest.raises(ValueError, match="the model has none"):
        prompts_figure([])
