"""The map of cosines: its values, what methods say their prompts are, and its colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from dmpt_models import tiny_dmpt
from torch import nn

from promptreid.engine.views.cosines import MINUS, PLUS, ZERO, colour_of, cosine_map, draw_cosines
from promptreid.methods.base import method_of
from promptreid.methods.mip.diagnostics import modality_prompt_cosine


def test_values_are_cosines_of_means_in_the_order_of_the_groups() -> None:
    generator = torch.Generator().manual_seed(0)
    sets = {"a": {"1": torch.randn(3, 5, generator=generator)}, "b": {"1": torch.zeros(2, 5), "2": torch.ones(4, 5)}}
    found = cosine_map(sets)
    assert found is not None
    assert found.groups == (("a", 1), ("b", 2)) and found.labels == ("1", "1", "2")
    mean = sets["a"]["1"].numpy().mean(axis=0)
    assert found.values[0, 2] == pytest.approx(mean.sum() / np.linalg.norm(mean) / 5**0.5, abs=1e-6)
    assert np.isnan(found.values[1]).all() and np.isnan(found.values[:, 1]).all()
    assert np.diag(found.values)[[0, 2]] == pytest.approx([1, 1])


def test_nothing_to_compare_is_no_map() -> None:
    assert cosine_map({}) is None
    assert cosine_map({"a": {"1": torch.ones(1, 2)}}) is None
    assert method_of(nn.Linear(1, 1)).prompts(nn.Linear(1, 1)) == {}


def test_mip_says_its_modality_prompts_by_modality_and_layer(tiny_mip: Callable[..., Any]) -> None:
    model = tiny_mip()
    state = torch.get_rng_state()
    found = cosine_map(method_of(model).prompts(model))
    assert torch.equal(torch.get_rng_state(), state) and model.training
    assert found is not None and found.groups == (("visible", 3), ("infrared", 3))
    assert found.labels == ("1", "2", "3") * 2
    between = np.diagonal(found.values[:3, 3:])
    assert between == pytest.approx(modality_prompt_cosine(model), abs=1e-5)
    from promptreid.methods.mip.options import mip_paper

    naive = tiny_mip(options=mip_paper(naive_prompts=True))
    assert [*method_of(naive).prompts(naive)] == ["all modalities"]
    without = tiny_mip(options=mip_paper(modality_prompts=False))
    assert method_of(without).prompts(without) == {}


def test_dmpt_says_its_three_kinds() -> None:
    model = tiny_dmpt()
    prompts = method_of(model).prompts(model)
    assert [*prompts] == ["modality", "semantic", "bind"]
    assert [*prompts["modality"]] == ["visible", "near_infrared", "thermal_infrared"]
    ids = torch.tensor([2])
    assert torch.equal(prompts["modality"]["thermal_infrared"], model.word_prompts(ids)[0])
    layers = range(model.plan.first, model.plan.first + len(model.semantic_prompts.prompts))
    assert [*prompts["semantic"]] == [str(layer) for layer in layers]
    assert cosine_map(prompts) is not None


def test_colours_run_from_blue_to_red_and_undefined_is_grey() -> None:
    assert [colour_of(value) for value in (-1.0, 0.0, 1.0)] == [MINUS, ZERO, PLUS]
    red, _, blue = colour_of(0.5)
    assert red > blue and len(set(colour_of(float("nan")))) == 1
    found = cosine_map({"a": {"1": torch.tensor([[1.0, 0]]), "2": torch.tensor([[-1.0, 0]])}})
    assert found is not None
    colours = {tuple(pixel) for pixel in draw_cosines(found, "title").reshape(-1, 3).tolist()}
    assert {MINUS, PLUS} <= colours
