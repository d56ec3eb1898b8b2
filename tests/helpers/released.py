"""The authors' released checkpoints, made by formula: every name with its shape, and a value for each.

The golden numbers in ``golden/mip_release.json`` belong to weights drawn like this.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, ...]
TINY = {"classes": 5, "cameras": 3, "dim": 16, "blocks": 4, "patches": 28, "patch": 8, "deep": 4}
"""Fits images of 56 x 32 at stride 8, with two heads."""


def release_shapes(
    classes: int = 395,
    cameras: int = 6,
    dim: int = 768,
    blocks: int = 12,
    patches: int = 210,
    patch: int = 16,
    deep: int = 12,
    pooled: bool = False,
) -> dict[str, Shape]:
    """Every name of the released model with its shape."""

    def block(prefix: str) -> Iterator[tuple[str, Shape]]:
        for name, size in (("norm1", 1), ("attn.qkv", 3), ("attn.proj", 1), ("norm2", 1), ("mlp.fc1", 4)):
            yield f"{prefix}.{name}.weight", (size * dim,) if "norm" in name else (size * dim, dim)
            yield f"{prefix}.{name}.bias", (size * dim,)
        yield from ((f"{prefix}.mlp.fc2.weight", (dim, 4 * dim)), (f"{prefix}.mlp.fc2.bias", (dim,)))

    def norm(prefix: str, running: bool = False) -> Iterator[tuple[str, Shape]]:
        yield from ((f"{prefix}.{part}", (dim,)) for part in ("weight", "bias"))
        if running:
            yield from ((f"{prefix}.{part}", (dim,)) for part in ("running_mean", "running_var"))
            yield f"{prefix}.num_batches_tracked", ()

    shapes: dict[str, Shape] = {
        "zero_token": (1, 1, dim),
        "base.cls_token": (1, 1, dim),
        "base.pos_embed": (1, patches + 1, dim),
        "base.sie_embed": (cameras, 1, dim),
        "base.prompt_embeddings": (2, 16, dim),
        "base.deep_prompt_embeddings": (2, deep, 16, dim),
        "base.prompt_embed": (1, 16, dim),
        "base.patch_embed.proj.weight": (dim, 3, patch, patch),
        "base.patch_embed.proj.bias": (dim,),
        "base.fc.weight": (1000, dim),
        "base.fc.bias": (1000,),
        "base.prompt_proj.weight": (dim, dim),
        "base.prompt_proj.bias": (dim,),
    }
    shapes |= norm("base.norm")
    for prefix in (
        *(f"base.blocks.{i}" for i in range(blocks)),
        "base.instance_prompt_generator",
        "b1.0",
        "b2.0",
        *(["b3.0"] if pooled else []),
    ):
        shapes |= block(prefix)
    for i in range(11):
        shapes |= {f"base.prompt_adapters.{i}.fc1.weight": (64, dim), f"base.prompt_adapters.{i}.fc1.bias": (64,)}
        shapes |= {f"base.prompt_adapters.{i}.fc2.weight": (dim, 64), f"base.prompt_adapters.{i}.fc2.bias": (dim,)}
    shapes |= dict([*norm("b1.1"), *norm("b2.1"), *(norm("b3.1") if pooled else ())])
    for suffix in ("", "_1", "_2", "_3", "_4"):
        shapes |= {f"classifier{suffix}.weight": (classes, dim)} | dict(norm(f"bottleneck{suffix}", running=True))
    for i in range(blocks - 2):
        shapes |= {f"classifiers_ins_prompts.{i}.weight": (classes, dim)}
        shapes |= norm(f"bottlenecks_ins_prompts.{i}", running=True)
    return shapes


def draw(salt: str, name: str, shape: Shape) -> np.ndarray:
    """The value of a tensor, by its name."""
    a = np.random.default_rng(zlib.crc32(f"{salt}:{name}".encode())).standard_normal(shape)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(a)
    if name.endswith("running_mean"):
        return 0.1 * a
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if len(shape) == 1 and name.endswith(".weight"):
        return 1 + 0.1 * a
    scale = {"prompt_embeddings": 0.5, "sie_embed": 0.1}
    return next((value for part, value in scale.items() if part in name), 0.02) * a


def draw_state(salt: str, shapes: dict[str, Shape]) -> dict[str, Tensor]:
    """A whole released state dict, float64."""
    return {name: torch.as_tensor(draw(salt, name, shape)) for name, shape in shapes.items()}


def draw_images(salt: str, size: Shape) -> Tensor:
    """Images in [-1, 1], float64."""
    return torch.from_numpy(np.random.default_rng(zlib.crc32(f"{salt}:images".encode())).uniform(-1, 1, size))


def as_batch(images: Tensor, modality: list[int], camera: list[int]) -> dict[str, Tensor]:
    """The release's inputs as promptreid's: its modalities are 0 infrared and 1 visible."""
    return {
        "images": images[:, None],
        "modality": 1 - torch.tensor(modality)[:, None],
        "camera": torch.tensor(camera),
        "present": torch.ones(len(images), 1, dtype=torch.bool),
    }
