from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from promptreid.models.backbones.shaped_attention import Shaping, shaped_attention


def slow_twin(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shaping: Shaping) -> torch.Tensor:
    """Token by token: two softmaxes for the image's, one for a prompt."""
    own, gate, scale = shaping
    rows = []
    for place in range(query.shape[2]):
        scores = (query[:, :, place, None] * key).sum(dim=-1) / query.shape[-1] ** 0.5
        scores = scores if scale is None else scores * scale
        if gate is None or place >= own:
            rows.append((scores.softmax(dim=-1)[..., None] * value).sum(dim=2))
            continue
        parts = [(scores[..., s].softmax(dim=-1)[..., None] * value[:, :, s]).sum(dim=2) for s in _parts(own)]
        rows.append(parts[0] + gate * parts[1])
    return torch.stack(rows, dim=2)


def _parts(own: int) -> tuple[slice, slice]:
    return slice(0, own), slice(own, None)


@pytest.mark.parametrize("reads", [1, 5, 8])
@pytest.mark.parametrize("gate", [None, 0.0, -0.7])
@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_it_is_its_slow_twin(reads: int, gate: float | None, scale: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 8, 4, generator=generator, dtype=torch.double) for _ in range(3))
    shaping = Shaping(5, *(None if number is None else torch.tensor(number) for number in (gate, scale)))
    query = query[:, :, :reads]
    assert torch.allclose(shaped_attention(query, key, value, shaping), slow_twin(query, key, value, shaping))


def test_without_prompts_there_is_one_softmax() -> None:
    tokens = torch.randn(1, 2, 5, 4)
    shaped = shaped_attention(tokens, tokens, tokens, Shaping(5, torch.tensor(9.0)))
    assert torch.equal(shaped, F.scaled_dot_product_attention(tokens, tokens, tokens))
