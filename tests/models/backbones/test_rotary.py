"""Rotary positions against complex numbers, and what makes them positions."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_towers import small_vit
from torch import Tensor

from promptreid.models.backbones.rotary import Rotary, behind, turned


def angles(count: int, width: int, half: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Angles (count, width / 2), and the table of sines and cosines in the layout of ``half``."""
    found = torch.randn(count, width // 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spread = found.repeat(1, 2) if half else found.repeat_interleave(2, dim=1)
    return found, torch.cat([spread.sin(), spread.cos()], dim=1)


def twin(heads: Tensor, turn: Tensor, half: bool) -> Tensor:
    """Each pair of numbers as one complex number, times exp(i angle)."""
    width = heads.shape[-1]
    places = [(i, i + width // 2) if half else (2 * i, 2 * i + 1) for i in range(width // 2)]
    out = heads.clone()
    for token, row in enumerate(turn):
        for angle, (real, imaginary) in zip(row, places, strict=True):
            value = torch.complex(heads[..., token, real], heads[..., token, imaginary]) * torch.exp(1j * angle)
            out[..., token, real], out[..., token, imaginary] = value.real, value.imag
    return out


@pytest.mark.parametrize("half", [True, False])
def test_a_golden_quarter_turn(half: bool) -> None:
    table = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]])  # sine 1, cosine 0
    heads = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, None, None]
    expected = [-3.0, -4.0, 1.0, 2.0] if half else [-2.0, 1.0, -4.0, 3.0]
    assert turned(heads, table, half).flatten().tolist() == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), st.sampled_from([2, 4, 8]), st.booleans(), st.integers(0, 99))
def test_it_is_a_rotation_of_the_first_tokens(count: int, rest: int, width: int, half: bool, seed: int) -> None:
    turn, table = angles(count, width, half, seed)
    heads = torch.randn(2, 3, count + rest, width, dtype=torch.float64)
    found = turned(heads, table, half)
    assert torch.allclose(found, twin(heads, turn, half))
    assert torch.equal(found[:, :, count:], heads[:, :, count:])
    assert torch.allclose(found.norm(dim=-1), heads.norm(dim=-1))
    assert torch.allclose(turned(found, torch.cat([-table[:, :width], table[:, width:]], dim=1), half), heads)
    every = table.expand(2, -1, -1)
    assert torch.equal(turned(heads, every, half), found)


def test_none_turns_nothing_and_the_dtype_stays() -> None:
    heads = torch.randn(1, 2, 3, 4, dtype=torch.bfloat16)
    assert turned(heads, None, True) is heads
    assert turned(heads, angles(3, 4, True)[1].float(), True).dtype == torch.bfloat16


def test_tokens_without_a_place_stand_in_front() -> None:
    _, table = angles(3, 4, True)
    heads = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    found = turned(heads, behind(2, table), True)
    assert torch.equal(found[:, :, :2], heads[:, :, :2])
    assert torch.equal(found[:, :, 2:], turned(heads[:, :, 2:], table, True))


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "eva02_base_patch16_clip_224"])
def test_a_score_depends_on_the_difference_of_two_places(name: str) -> None:
    """On one grid: patches of a row that are as far apart as others have the same score."""
    vit = small_vit(name)
    rotary, half = Rotary(vit.rope, 0), vit.blocks[0].attn.rotate_half
    turns = rotary.turns((1, 5), torch.device("cpu")).double()
    query, key = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)
    queries, keys = (turned(each.expand(1, 1, 5, 16), turns, half) for each in (query, key))
    scores = (queries @ keys.transpose(-1, -2))[0, 0]
    for apart in range(-4, 5):
        diagonal = scores.diagonal(apart)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5)
    assert scores[0].std() > 0.01


def test_copies_keep_the_formula() -> None:
    rotary = Rotary(small_vit("vit_small_patch16_dinov3").rope, 5)
    expected = rotary.turns((2, 3), torch.device("cpu"))
    assert expected.shape == (5 + 6, 32) and torch.equal(expected[:5, 16:], torch.ones(5, 16))
    for again in (copy.deepcopy(rotary), pickle.loads(pickle.dumps(rotary))):
        assert torch.equal(again.turns((2, 3), torch.device("cpu")), expected)
