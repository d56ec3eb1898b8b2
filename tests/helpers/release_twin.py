"""The released code's forward pass in evaluation mode, slow and literal, on a released state dict."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIE_WEIGHT, LENGTH, SHIFT, GROUPS, RUNS = 3.0, 16, 5, 2, 4
State = dict[str, Tensor]


def norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def attention(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    batch, count, dim = x.shape
    q, k, v = linear(state, f"{name}.qkv", x).reshape(batch, count, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-1, -2) * (dim // heads) ** -0.5).softmax(-1)
    return linear(state, f"{name}.proj", (weights @ v).transpose(1, 2).reshape(batch, count, dim))


def block(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    x = x + attention(state, f"{name}.attn", norm(state, f"{name}.norm1", x), heads)
    hidden = F.gelu(linear(state, f"{name}.mlp.fc1", norm(state, f"{name}.norm2", x)))
    return x + linear(state, f"{name}.mlp.fc2", hidden)


def neck(state: State, name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return (x - mean) / (variance + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def shuffled(tokens: Tensor) -> Tensor:
    """TransReID's shift and shuffle of tokens behind the class token."""
    batch, _, dim = tokens.shape
    x = torch.cat([tokens[:, SHIFT:], tokens[:, 1:SHIFT]], dim=1)
    if x.shape[1] % GROUPS:
        x = torch.cat([x, x[:, -2:-1]], dim=1)
    return x.reshape(batch, GROUPS, -1, dim).transpose(1, 2).reshape(batch, -1, dim)


def features(
    state: State, images: Tensor, modality: list[int], camera: list[int], heads: int, stride: int, learned: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Five features before BN, and the instance prompts of every layer; modality 0 infrared, 1 visible."""
    batch = len(images)
    patches = F.conv2d(images, state["base.patch_embed.proj.weight"], state["base.patch_embed.proj.bias"], stride)
    x = torch.cat([state["base.cls_token"].expand(batch, -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
    x = x + state["base.pos_embed"] + SIE_WEIGHT * state["base.sie_embed"][camera]
    zeros = torch.zeros(batch, LENGTH, x.shape[-1], dtype=x.dtype)
    queries = state["base.prompt_embed"].expand(batch, -1, -1) if learned else zeros
    blocks = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("base.blocks."))
    instance = []
    for i in range(blocks - 2):
        library = state["base.prompt_embeddings"] if i == 0 else state["base.deep_prompt_embeddings"][:, i - 1]
        chosen = linear(state, "base.prompt_proj", library[modality])
        generator = torch.cat([queries, x[:, 1:]], dim=1)
        instance.append(block(state, "base.instance_prompt_generator", generator, heads)[:, :LENGTH])
        x = block(state, f"base.blocks.{i}", torch.cat([x[:, :1], chosen, instance[-1], x[:, 1:]], dim=1), heads)
        x = torch.cat([x[:, :1], x[:, 1 + 2 * LENGTH :]], dim=1)
    found = [norm(state, "b1.1", block(state, "b1.0", x, heads))[:, 0]]
    patches, length = shuffled(x), (x.shape[1] - 1) // RUNS
    for run in range(RUNS):
        tokens = torch.cat([x[:, :1], patches[:, run * length : (run + 1) * length]], dim=1)
        found.append(norm(state, "b2.1", block(state, "b2.0", tokens, heads))[:, 0])
    return found, instance


def outputs(
    state: State, images: Tensor, modality: list[int], camera: list[int], heads: int, stride: int, learned: bool
) -> dict[str, Tensor]:
    """The descriptor (B, 5 D), logits (5, B, C) and IAEL logits (N_p, B, C) from prompt means."""
    found, instance = features(state, images, modality, camera, heads, stride, learned)
    suffixes = ("", "_1", "_2", "_3", "_4")
    logits = [
        neck(state, f"bottleneck{suffix}", feature) @ state[f"classifier{suffix}.weight"].T
        for suffix, feature in zip(suffixes, found, strict=True)
    ]
    prompted = [
        neck(state, f"bottlenecks_ins_prompts.{i}", prompts.mean(1)) @ state[f"classifiers_ins_prompts.{i}.weight"].T
        for i, prompts in enumerate(instance)
    ]
    return {
        "descriptor": torch.cat([found[0], *(local / RUNS for local in found[1:])], dim=1),
        "logits": torch.stack(logits),
        "prompt_logits": torch.stack(prompted),
    }
