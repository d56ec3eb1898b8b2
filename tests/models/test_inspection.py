"""What an inspection holds, and attention rollout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from promptreid.models.inspection import Inspection, LayerAttention, PromptSet, rollout

LENGTHS = (
    {"class": 1, "patches": 4},
    {"class": 1, "patches": 4, "carried": 2},
    {"class": 1, "patches": 4, "carried": 2},
)


def drawn(rows: str = "all", seed: int = 0) -> tuple[Inspection, list[Tensor]]:
    """Two images of 2 x 2 patches through three blocks; prompts enter at the second and are carried on."""
    generator = torch.Generator().manual_seed(seed)
    every = [torch.rand(2, 3, sum(each.values()), sum(each.values()), generator=generator) for each in LENGTHS]
    every = [weights / weights.sum(dim=-1, keepdim=True) for weights in every]
    fresh = [set(), {"carried"}, set()]
    layers = [
        LayerAttention.of(number, lengths, new, weights, rows)
        for number, (lengths, new, weights) in enumerate(zip(LENGTHS, fresh, every, strict=True), start=1)
    ]
    return Inspection(("visible",), torch.zeros(2).long(), torch.arange(2), (2, 2), layers), every


def test_rollout_is_the_plain_product_of_matrices() -> None:
    """Over all seven tokens, whose prompts hold nothing of the image at first."""
    inspection, every = drawn()
    for image in range(2):
        flow = torch.zeros(7, 5)
        flow[:5] = torch.eye(5)
        for weights in every:
            size = weights.shape[-1]
            step = torch.zeros(7, 7)
            step[:size, :size] = 0.5 * weights[image].mean(dim=0)
            step += 0.5 * torch.eye(7)
            flow = step @ flow
        assert torch.allclose(rollout(inspection)[image].flatten(), flow[0, 1:], atol=1e-6)
    assert (rollout(inspection).sum(dim=(1, 2)) < 1).all()


def test_the_class_token_s_mass_is_divided_among_the_families() -> None:
    inspection, every = drawn("prompts")
    mass = inspection.mass()
    assert list(mass) == ["class", "patches", "carried"]
    assert torch.allclose(torch.stack(list(mass.values())).sum(dim=0), torch.ones(3, 2), atol=1e-6)
    assert torch.allclose(mass["carried"][2], every[2][:, :, 0, 5:].sum(dim=-1).mean(dim=1), atol=1e-6)
    assert (mass["carried"][0] == 0).all()


def test_only_wanted_rows_are_kept() -> None:
    inspection, every = drawn("prompts")
    assert inspection.layers[1].rows.tolist() == [0, 5, 6]
    assert torch.equal(inspection.layers[1].by("carried"), every[1][:, :, 5:])
    assert torch.allclose(
        inspection.maps("carried", 2), every[1][:, :, 5:, 1:5].mean(dim=1).unflatten(-1, (2, 2)), atol=1e-7
    )
    for act, message in (
        (lambda: rollout(inspection), "rows='all'"),
        (lambda: inspection.maps("class", 4), "blocks 1 to 3"),
        (lambda: inspection.maps("carried", 1), "block 1 has no such tokens"),
        (lambda: drawn("some"), "'some' is not one of"),
    ):
        with pytest.raises(ValueError, match=message):
            act()


def test_copies_are_equal_bit_by_bit() -> None:
    vectors = torch.randn(5, 8)
    vectors[3] = vectors[1]
    vectors[4] = torch.nextafter(vectors[0], torch.ones(8) * 9)
    found = PromptSet("words", 1, "visible", vectors)
    assert found.copies == [[1, 3]]
    assert torch.allclose(found.norms, vectors.norm(dim=1)) and float(found.cosines[1, 3]) == pytest.approx(1)
