from __future__ import annotations

import pytest
import torch

from promptreid.methods.mip.prompts import InstancePromptGenerator, ModalityPrompts
from promptreid.models.backbones.partial_block import plain_context_block
from promptreid.models.backbones.vit import import_timm

import_timm()


def make_block(dim=16):
    from timm.models.vision_transformer import Block

    return Block(dim, num_heads=2, qkv_bias=True)


def test_modality_prompts_are_selected_then_projected():
    prompts = ModalityPrompts(layers=3, modalities=2, length=4, dim=16).eval()
    modality = torch.tensor([1, 0, 1])
    result = prompts(modality)
    assert len(result) == 3
    for layer in range(3):
        for sample in range(3):
            raw = prompts.library[layer, modality[sample]]
            torch.testing.assert_close(result[layer][sample], prompts.projection(raw))


def test_the_library_is_uniform_in_the_range_of_visual_prompt_tuning():
    library = ModalityPrompts(layers=12, modalities=2, length=16, dim=768).library
    assert library.abs().max().item() == pytest.approx(1.25, rel=1e-3)
    assert library.std().item() == pytest.approx(1.25 / 3**0.5, rel=1e-2)


def test_dropout_differs_between_samples_in_training():
    first, second = ModalityPrompts(1, 1, 4, 16, dropout=0.5)(torch.tensor([0, 0]))[0]
    assert not torch.equal(first, second)


def test_learned_queries_give_different_prompts():
    generator = InstancePromptGenerator(make_block(), length=4, dim=16)
    prompts = generator(torch.randn(2, 9, 16))
    assert prompts.copies == 1
    assert prompts.tokens.shape == (2, 4, 16)
    assert prompts.tokens.std(dim=1).min() > 0


def test_zero_queries_give_one_prompt_in_copies():
    """The sixteen outputs of the released code, computed in full, are that prompt."""
    generator = InstancePromptGenerator(make_block().double(), 4, 16, learned=False).double()
    patches = torch.randn(2, 9, 16, dtype=torch.double)
    prompts = generator(patches)
    assert (prompts.tokens.shape, prompts.copies) == ((2, 1, 16), 4)
    everything = generator.block(torch.cat([torch.zeros(2, 4, 16), patches], dim=1))[:, :4]
    torch.testing.assert_close(prompts.expanded(), everything)


@pytest.mark.parametrize("learned", [True, False])
def test_the_generator_agrees_with_the_full_block(learned):
    generator = InstancePromptGenerator(make_block(), 4, 16, learned)
    patches = torch.randn(2, 9, 16)
    fast = generator(patches)
    generator.apply_block = plain_context_block
    torch.testing.assert_close(fast.tokens, generator(patches).tokens)


def test_zero_queries_are_no_parameter():
    names = [name for name, _ in InstancePromptGenerator(make_block(), 4, 16, learned=False).named_parameters()]
    assert "queries" not in names
