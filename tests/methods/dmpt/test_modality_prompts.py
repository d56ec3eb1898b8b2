from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from promptreid.methods.dmpt.modality_prompts import BlockWordPrompts, FreeModalityPrompts, WordPrompts
from promptreid.methods.dmpt.semantic import SemanticPrompts
from promptreid.methods.dmpt.words import TextConstant


@pytest.mark.parametrize("mapping", ["mlp", "linear"])
@pytest.mark.parametrize("shape", [(3, 4, 16), (3, 1, 24)])
def test_word_prompts_are_mapped_vector_by_vector(mapping, shape):
    torch.manual_seed(0)
    constants = torch.randn(shape)
    prompts = WordPrompts(TextConstant(constants), 4, 32, mapping)
    modality = torch.tensor([2, 0, 2, 1])
    given = prompts(modality)
    assert given.shape == (4, 4, 32)
    for row, one in zip(given, modality, strict=True):
        assert torch.allclose(row, prompts.mapping(constants[one]).reshape(4, 32), atol=1e-6)
    assert len([part for part in prompts.mapping if isinstance(part, nn.Linear)]) == (2 if mapping == "mlp" else 1)
    given.sum().backward()
    assert all(parameter.grad is not None for parameter in prompts.parameters())
    assert "attributes.value" in prompts.state_dict()


def test_free_and_semantic_prompts():
    torch.manual_seed(0)
    free = FreeModalityPrompts(3, 40, 64)
    assert torch.equal(free(torch.tensor([1, 1])), free.prompts[1].expand(2, -1, -1))
    semantic = SemanticPrompts(2, 40, 64)
    assert torch.equal(semantic(1, 5)[3], semantic.prompts[1])
    for prompts in (free.prompts, semantic.prompts):
        assert prompts.std().item() == pytest.approx(0.02, rel=0.05)
        assert abs(prompts.mean().item()) < 0.001


def test_prompts_of_each_block():
    torch.manual_seed(0)
    constant, modality = torch.randn(3, 5, 4, 16), torch.tensor([2, 0, 2])
    shared = BlockWordPrompts(TextConstant(constant), 5, 4, 32)
    assert torch.allclose(shared(modality, 3)[0], shared.mapping(constant[2, 3]), atol=1e-6)
    each = BlockWordPrompts(TextConstant(constant[:, 0]), 5, 4, 32, maps="each")
    assert torch.allclose(each(modality, 3)[1], each.mapping[3](constant[0, 0]), atol=1e-6)
    assert not torch.allclose(each(modality, 3), each(modality, 4), atol=1e-3)
    changed = BlockWordPrompts(TextConstant(constant[:, 0]), 5, 4, 32, maps="low_rank", rank=2)
    assert torch.equal(changed(modality, 1), changed(modality, 4)), "zero at the start"
    down, up = changed.changes[1]
    nn.init.normal_(up.weight)
    expected = changed.mapping(constant[2, 0]) + constant[2, 0] @ down.weight.T @ up.weight.T
    assert torch.allclose(changed(modality, 1)[0], expected, atol=1e-5)
    for prompts in (shared, each, changed):
        assert torch.allclose(prompts.folded()(modality, 2), prompts(modality, 2), atol=1e-6)


def test_offsets_and_sizes():
    torch.manual_seed(0)
    constant = torch.randn(3, 1, 16).expand(3, 4, 16)
    prompts = WordPrompts(TextConstant(constant), 4, 32, std=0.02, offset_std=0.1)
    given = prompts(torch.tensor([1]))[0]
    assert torch.allclose(given.std(dim=1, correction=0), torch.full((4,), 0.02), atol=1e-6)
    assert len({tuple(row.tolist()) for row in given}) == 4, "offsets tell copies apart"
    plain = prompts.mapping(constant[1] + prompts.offsets)
    assert torch.allclose(F.cosine_similarity(given, plain), torch.ones(4), atol=1e-5)
    given.square().sum().backward()
    assert torch.allclose(prompts.folded()(torch.tensor([1])), prompts(torch.tensor([1])), atol=1e-7)
