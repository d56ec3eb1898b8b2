from __future__ import annotations

import pytest
import torch
from released import release_shapes
from torch import nn

from promptreid.methods.mip.model import build_mip, mip_release
from promptreid.models.backbones.vit import import_timm
from promptreid.models.parameter_count import Count, count_parameters


def millions(count: int) -> float:
    return round(count / 1e6, 2)


@pytest.fixture(scope="module")
def released() -> nn.Module:
    """The released model with its IAEL heads, for SYSU-MM01's 395 identities; shapes alone."""
    import_timm()
    with torch.device("meta"):
        return build_mip(395, pretrained=False, options=mip_release(iael=True, iael_pooling="mean"))


def test_the_parts_of_mip_have_the_known_sizes(released: nn.Module) -> None:
    coarse, fine = count_parameters(released), count_parameters(released, depth=2)
    assert fine["modality_prompts.library"].trainable == 2 * 10 * 16 * 768
    assert millions(fine["modality_prompts.library"].trainable) == 0.25
    assert millions(fine["modality_prompts.projection"].trainable) == 0.59
    assert millions(coarse["instance_prompts"].trainable) == 7.09
    assert millions(fine["head.b1"].trainable + fine["head.b2"].trainable) == 14.18
    assert millions(coarse["classifier"].trainable) == 1.52
    assert millions(fine["prompt_head.classifiers"].trainable) == 3.03


def test_the_release_allocates_a_larger_library() -> None:
    shapes = release_shapes()
    allocated = sum(torch.Size(shapes[f"base.{kind}prompt_embeddings"]).numel() for kind in ("", "deep_"))
    assert millions(allocated) == 0.32


def test_nothing_of_mip_is_frozen_and_nothing_is_forgotten(released: nn.Module) -> None:
    counts = count_parameters(released)
    assert sum(part.trainable for part in counts.values()) == sum(p.numel() for p in released.parameters())
    assert {part.frozen for part in counts.values()} == {0}


def test_frozen_weights_are_parameters_without_gradient_and_buffers_outside_the_state_dict() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False), nn.BatchNorm1d(1))
    model[0].weight.requires_grad = False
    model[1].register_buffer("frozen", torch.zeros(4, 2), persistent=False)
    model[1].register_buffer("index", torch.zeros(9, dtype=torch.long), persistent=False)
    assert count_parameters(model) == {"0": Count(3, 6), "1": Count(3, 8), "2": Count(2, 0)}
    assert count_parameters(model, depth=2)["1.frozen"] == Count(0, 8)


def test_shared_tensors_count_once() -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    assert count_parameters(nn.Sequential(first, second)) == {"0": Count(4, 0)}


def test_depth_is_checked() -> None:
    with pytest.raises(ValueError, match="depth must be at least 1"):
        count_parameters(nn.Linear(1, 1), depth=0)
