"""Small DMPTs and batches of triples for the tests of this folder and of others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.model import DMPT
from promptreid.methods.dmpt.options import DMPTOptions

PEOPLE = 5
TOWER = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": 4, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def tiny_dmpt(loss: str = "prompt", seed: int = 0, tower: Any = TOWER, **settings: Any) -> DMPT:
    """CLIP towers of 4 and 2 blocks with random weights; other options by name."""
    names = DMPTOptions.__dataclass_fields__
    chosen = {name: settings.pop(name) for name in list(settings) if name in names}
    torch.manual_seed(seed)
    return build_dmpt(PEOPLE, loss, pretrained=False, options=DMPTOptions(**chosen), tower=tower, **settings)


def triples(samples: int = 4, size: tuple[int, int] = (64, 32), seed: int = 1, count: int = 3) -> dict[str, Tensor]:
    """Samples of ``count`` images, slot s showing modality s."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "images": torch.randn(samples, count, 3, *size, generator=generator),
        "modality": torch.arange(count).expand(samples, count).clone(),
        "camera": torch.arange(samples) % 2,
        "present": torch.ones(samples, count, dtype=torch.bool),
    }


def parts(model: DMPT, batch: dict[str, Tensor]) -> Tensor:
    """The features before the BNNecks, slot by slot, (B, M, D_out), without gradients."""
    with torch.no_grad():
        return torch.cat(model.outputs(batch)["features"], dim=1).unflatten(1, (batch["images"].shape[1], -1))


def exchange(model: DMPT, seed: int = 5) -> DMPT:
    """Give W_O of the bind values, as a few training steps would."""
    generator = torch.Generator().manual_seed(seed)
    for attention in [*model.bind.attentions, *(model.bind.answers or [])]:
        for tensor in (attention.output.weight, attention.output.bias):
            tensor.data = torch.randn(tensor.shape, generator=generator).to(tensor)
    return model


def awake(model: DMPT, seed: int = 5) -> DMPT:
    """The same for all that starts at zero: gates, temperatures, bottlenecks, changes of low rank."""
    generator = torch.Generator().manual_seed(seed)
    zero = [name for name, value in model.named_parameters() if not value.any() and "necks" not in name]
    for name, value in model.named_parameters():
        if name in zero or "carry_gates" in name:
            value.data = torch.randn(value.shape, generator=generator).to(value) / 2
    return exchange(model) if model.bind is not None else model


READINGS: list[dict[str, Any]] = [
    {"bind_keys": "all"},
    {"bind_direction": "medium"},
    {"bind_direction": "medium", "bind_keys": "all"},
    {"bind_direction": "medium", "bind_keys": "all", "bind_source": "both", "deep": False},
    {"bind_direction": "medium", "bind_source": "modality", "word_deep": True},
    {"bind_residual": True},
    {"bind_residual": True, "bind_keys": "all", "bind_direction": "medium"},
    {"bind_residual": True, "bind_output": "semantic", "bind_length": 8},
    {"word_source": "end"},
    {"word_offsets": True},
    {"word_std": 0.02},
    {"word_deep": True},
    {"word_deep": True, "word_source": "layers", "word_offsets": True},
    {"word_deep": True, "word_maps": "each", "word_source": "end"},
    {"word_deep": True, "word_maps": "low_rank", "word_rank": 2},
    {"word_deep": True, "word_source": "learned"},
    {"word_deep": True, "word_output": "semantic", "word_length": 8, "word_std": 0.02},
    {"word_content": 3},
    {"word_content": 3, "word_deep": True, "word_first_layer": 2},
    {"word_first_layer": 3},
    {"word_first_layer": 3, "word_deep": True, "bind_source": "both", "interaction_layers": (3,)},
    {"prompt_attention": "apart"},
    {"prompt_attention": "apart", "word_deep": True, "attention_temperature": True, "bind": False},
    {"prompt_gates": True},
    {"prompt_gates": True, "deep": False, "word_deep": True},
    {"attention_temperature": True},
]
"""Options beside the defaults that change descriptors, each reading of the paper and each mechanism at least once."""
BESIDE: dict[str, Any] = {"adapter": 4, "adapter_shared": False, "exchange": 3, "lora": 2, "fusion": True}
BEYOND: list[dict[str, Any]] = [
    {"adapter": 6},
    {"adapter": 6, "adapter_shared": False, "adapter_scale": 0.5},
    {"exchange": 5},
    {"exchange": 5, "bind": False, "prompt_attention": "apart", "first_layer": 2},
    {"lora": 2, "lora_alpha": 3.0},
    {"lora": 2, "attention_temperature": True},
    {"fusion": True},
    {**BESIDE, "deep": False},
]
"""Options beyond the paper; ``BESIDE`` is all of them at once."""
ALIGNMENTS: list[dict[str, Any]] = [
    {"alignment_symmetric": True},
    {"alignment_on": "modality_prompts"},
    {"alignment_of": "identity", "context_words": 2},
    {"alignment_of": "identity", "context_words": 2, "alignment_on": "modality_prompts", "alignment_symmetric": True},
    {"context_words": 2, "alignment_on": "modality_prompts", "word_deep": True},
]
"""Those that change the loss alone."""
