"""Prompts beside one another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid.models.inspection import PromptSet
from promptreid.visual.prompts import copies_text, cosine_table, prompts_figure


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
