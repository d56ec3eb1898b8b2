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
    for attention in model.bind.attentions:
        for tensor in (attention.output.weight, attention.output.bias):
            tensor.data = torch.randn(tensor.shape, generator=generator).to(tensor)
    return model
