"""Weights of CLIP, DINOv2 and DINOv3 under their authors' names, renamed to those of timm's ViTs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from promptreid.models.prefixes import without_prefix

StateDict = dict[str, Tensor]
_CLIP = (
    (r"^conv1\.", "patch_embed.proj."),
    (r"^transformer\.resblocks\.", "blocks."),
    (r"^ln_pre\.", "norm_pre."),
    (r"^ln_post\.", "norm."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
_DINOV2 = ((r"\.mlp\.w12\.", ".mlp.fc1."), (r"\.mlp\.w3\.", ".mlp.fc2."))
_DINOV3 = (
    (r"\.ls(\d)\.gamma$", r".gamma_\1"),
    (r"\.mlp\.w1\.", ".mlp.fc1_g."),
    (r"\.mlp\.w2\.", ".mlp.fc1_x."),
    (r"\.mlp\.w3\.", ".mlp.fc2."),
)
_UNUSED = re.compile(r"mask_token$|\.bias_mask$|\.periods$|^local_cls_norm\.")


def timm_names(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> StateDict:
    """The state dict as timm names it, whoever wrote it; unchanged where it is timm's.

    Args:
        state: Names and tensors, of a ViT alone or under the prefixes that
            :func:`~promptreid.models.prefixes.without_prefix` knows.
        own: The state dict of the ViT that they are for.
    """
    clip = without_prefix(state, "class_embedding")
    if "class_embedding" in clip and "conv1.weight" in clip:
        return _from_clip(clip)
    if "storage_tokens" in state:
        return _from_dinov3(state, own)
    if "register_tokens" in state or "mask_token" in state:
        return _from_dinov2(state, own)
    return dict(state)


def _from_clip(state: Mapping[str, Tensor]) -> StateDict:
    """OpenAI's and open_clip's image tower; its projection has no place in a ViT without classifier."""
    found = {_renamed(name, _CLIP): value for name, value in state.items()}
    found["cls_token"] = found.pop("class_embedding")[None, None]
    found["pos_embed"] = found.pop("positional_embedding")[None]
    return found


def _from_dinov2(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> StateDict:
    found = {_renamed(name, _DINOV2): value for name, value in state.items() if not _UNUSED.search(name)}
    if "register_tokens" in found:  # timm adds the class token's position once and for all
        found["reg_token"] = found.pop("register_tokens")
        found["cls_token"] = found["cls_token"] + found["pos_embed"][:, 0]
        found["pos_embed"] = found["pos_embed"][:, 1:]
    if "fc_norm.weight" in own and "fc_norm.weight" not in found:  # EVA-02 before its fine-tuning
        found = {re.sub(r"^norm\.", "fc_norm.", name): value for name, value in found.items()}
    return found


def _from_dinov3(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> StateDict:
    found = {_renamed(name, _DINOV3): value for name, value in state.items() if not _UNUSED.search(name)}
    found["reg_token"] = found.pop("storage_tokens")
    for name in [name for name in found if name.endswith(".qkv.bias")]:
        query, _, value = found.pop(name).chunk(3)  # the keys' is masked away in training, and zero
        stem = name.removesuffix("qkv.bias")
        if f"{stem}q_bias" in own:
            found |= {f"{stem}q_bias": query, f"{stem}v_bias": value}
    return found


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
