"""Weights under their authors' names, against timm's own conversion."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small_towers import small_vit

from promptreid.models.backbones.foreign_names import timm_names
from promptreid.models.weights import load_backbone

State = dict[str, torch.Tensor]


def rename(state: State, *rules: tuple[str, str]) -> State:
    found = {}
    for name, value in state.items():
        for old, new in rules:
            name = name.replace(old, new)
        found[name] = value
    return found


def dinov2(name: str) -> tuple[Any, State]:
    vit = small_vit(name)
    state = {**rename(vit.state_dict(), ("fc1", "w12"), ("fc2", "w3")), "mask_token": torch.zeros(1, 48)}
    if "reg_token" in state:
        place = torch.randn(1, 1, 48)
        state["register_tokens"] = state.pop("reg_token")
        state["cls_token"] = state["cls_token"] - place
        state["pos_embed"] = torch.cat([place, state["pos_embed"]], dim=1)
    return vit, state


def dinov3(name: str) -> tuple[Any, State]:
    vit = small_vit(name)
    rules = (("gamma_", "ls"), ("reg_token", "storage_tokens"), ("fc1_g", "w1"), ("fc1_x", "w2"), ("fc2", "w3"))
    state = rename(vit.state_dict(), *(rules if "plus" in name else rules[:2]))
    state = {f"{key}.gamma" if key.endswith((".ls1", ".ls2")) else key: value for key, value in state.items()}
    for layer in range(3):
        stem = f"blocks.{layer}.attn."
        query, value = (state.pop(f"{stem}{part}_bias", torch.zeros(48)) for part in "qv")
        state[f"{stem}qkv.bias"] = torch.cat([query, torch.zeros(48), value])
        state[f"{stem}qkv.bias_mask"] = torch.ones(144)
    return vit, {**state, "mask_token": torch.zeros(1, 48), "rope_embed.periods": torch.ones(4)}


def clip(name: str) -> tuple[Any, State]:
    vit = small_vit(name)
    rules = (
        ("patch_embed.proj", "conv1"), ("norm_pre", "ln_pre"), ("blocks.", "transformer.resblocks."),
        ("attn.qkv.", "attn.in_proj_"), ("attn.proj", "attn.out_proj"), ("fc1", "c_fc"), ("fc2", "c_proj"),
        (".norm", ".ln_"),
    )  # fmt: skip
    state = rename(vit.state_dict(), *rules)
    state = {
        key.replace("norm.", "ln_post.") if key.startswith("norm.") else key: value for key, value in state.items()
    }
    state["class_embedding"] = state.pop("cls_token")[0, 0]
    state["positional_embedding"] = state.pop("pos_embed")[0]
    state["proj"] = torch.randn(48, 8)
    return vit, {f"visual.{key}": value for key, value in state.items()}


CASES = {
    "vit_small_patch14_dinov2": dinov2,
    "vit_small_patch14_reg4_dinov2": dinov2,
    "vit_giant_patch14_dinov2": dinov2,
    "vit_small_patch16_dinov3": dinov3,
    "vit_small_plus_patch16_dinov3": dinov3,
    "vit_small_patch16_dinov3_qkvb": dinov3,
    "vit_base_patch16_clip_quickgelu_224": clip,
}


def timms(vit: Any, state: State) -> State:
    from timm.models import eva, vision_transformer

    module = eva if type(vit).__name__ == "Eva" else vision_transformer
    converted: State = module.checkpoint_filter_fn(copy.deepcopy(state), vit)
    return converted


@pytest.mark.parametrize("name", CASES)
def test_names_are_timms(name: str) -> None:
    vit, state = CASES[name](name)
    own, ours, theirs = vit.state_dict(), timm_names(state, vit.state_dict()), timms(vit, state)
    assert {*own} <= {*ours}
    for key, value in own.items():
        assert torch.equal(ours[key], theirs[key]), key
        assert torch.allclose(ours[key], value, atol=1e-6), key
    assert not any("mask_token" in key or "periods" in key or "bias_mask" in key for key in ours)


@pytest.mark.parametrize("name", CASES)
def test_such_a_file_fills_the_tower(name: str) -> None:
    vit, state = CASES[name](name)
    empty = small_vit(name, seed=7)
    report = load_backbone(empty, state)
    assert not report.missing
    for key, value in vit.state_dict().items():
        assert torch.allclose(empty.state_dict()[key], value, atol=1e-6), key


def test_timms_own_names_stay() -> None:
    state = small_vit("vit_small_patch16_dinov3").state_dict()
    assert timm_names(state, state) == state


@pytest.mark.parametrize("other", ["vit_small_patch14_dinov2", "vit_base_patch16_clip_quickgelu_224"])
def test_weights_of_another_tower_are_refused(other: str) -> None:
    with pytest.raises(ValueError, match="the weights do not fit the backbone"):
        load_backbone(small_vit("vit_small_patch16_dinov3"), CASES[other](other)[1])
