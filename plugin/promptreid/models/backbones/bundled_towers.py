"""Small pretrained towers, for checking in minutes what takes days with real ones.

``mini_clip`` is a CLIP of open_clip's own classes, ``mini_vit`` a ViT of timm's, and ``mini_lit`` a CLIP whose image
tower is ``mini_vit``, all for images of 128 x 64 with mean and standard deviation 0.5. ``tools/pretrain_mini.py``
trained them, on rendered people only; their files are in the package's folder ``weights``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from promptreid.models.weights import StateDict, read_state_dict

FOLDER = Path(__file__).parents[2] / "weights"
VOCABULARY = 49408  # of CLIP's tokenizer
TOKEN_IDS = "token_ids"
TOKENS = "token_embedding.weight"

MINI_CLIP: dict[str, Any] = {
    "embed_dim": 128,
    "quick_gelu": True,
    "vision_cfg": {"layers": 6, "width": 192, "head_width": 64, "patch_size": 16, "image_size": [128, 64]},
    "text_cfg": {"context_length": 48, "vocab_size": VOCABULARY, "width": 64, "heads": 2, "layers": 4},
}
"""Of open_clip's ``CLIP``, or changes to one of its configurations."""

MINI_VIT: dict[str, Any] = {"depth": 6, "img_size": [128, 64]}
"""What :func:`~promptreid.models.backbones.vit.create_vit` overrides in :data:`MINI_VIT_NAME`.

Width 192, 3 heads, patches of 16."""
MINI_VIT_NAME = "vit_tiny_patch16_224"

MINI_LIT: dict[str, Any] = {
    **MINI_CLIP,
    "quick_gelu": False,
    "vision_cfg": {**MINI_CLIP["vision_cfg"], "no_ln_pre": True},
}
"""As :data:`MINI_CLIP`; its image tower is shaped as timm's ViT is."""

SMALL_CLIPS = {"mini_clip": MINI_CLIP, "mini_lit": MINI_LIT}
MINI = ("mini_clip", "mini_vit", "mini_lit")


def mini_file(name: str) -> Path:
    """Where the weights of a small tower are; the ``.json`` beside them says how they were trained.

    Args:
        name: One of :data:`MINI`. The file of ``mini_lit`` holds what it adds to ``mini_vit``.

    Raises:
        ValueError: Another name.
    """
    if name not in MINI:
        raise ValueError(f"there is no small tower called {name!r}; they are {', '.join(MINI)}")
    return FOLDER / f"{name}.safetensors"


def find_weights(weights: str | Path) -> Path:
    """A weight file: that of a small tower, by its name, or else a path."""
    return mini_file(weights) if isinstance(weights, str) and weights in MINI else Path(weights)


def mini_record(name: str) -> dict[str, Any]:
    """How a small tower was trained: recipe, versions, losses, and the sha256 of its file."""
    record: dict[str, Any] = json.loads(mini_file(name).with_suffix(".json").read_text(encoding="utf-8"))
    return record


def mini_state(name: str) -> StateDict:
    """The weights of a small tower in float32, under open_clip's or timm's names, ready for ``load_state_dict``.

    The file holds only those rows of the token embedding that its captions use; the others are zero.

    Args:
        name: One of :data:`MINI`.

    Raises:
        ValueError: Another name, or a file that is not the one that its record describes.
        FileNotFoundError: The file is missing.
    """
    path = mini_file(name)
    state = read_state_dict(path)
    found, recorded = hashlib.sha256(path.read_bytes()).hexdigest(), mini_record(name)["sha256"]
    if found != recorded:
        raise ValueError(
            f"{path} has sha256 {found[:12]}, and {path.with_suffix('.json').name} says {recorded[:12]}; the file is "
            "damaged or another one: install the package again"
        )
    state = expand_tokens({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    if name == "mini_lit":
        image = clip_image_of_vit(mini_state("mini_vit"), state["visual.proj"])
        return {**{f"visual.{key}": value for key, value in image.items()}, **state}
    return state


def clip_image_of_vit(vit: Mapping[str, Tensor], proj: Tensor) -> StateDict:
    """The weights of a plain timm ViT under the names of open_clip's image tower with ``no_ln_pre``.

    open_clip's patch embedding has no bias, so that of the ViT goes into the positions of the patches.

    Args:
        vit: State dict without a classifier.
        proj: Of the image tower, (D, D_out).
    """
    positions = vit["pos_embed"][0].clone()
    positions[1:] += vit["patch_embed.proj.bias"]
    state = {
        "class_embedding": vit["cls_token"][0, 0],
        "positional_embedding": positions,
        "conv1.weight": vit["patch_embed.proj.weight"],
        "ln_post.weight": vit["norm.weight"],
        "ln_post.bias": vit["norm.bias"],
        "proj": proj.detach(),
    }
    for name, value in vit.items():
        _, _, rest = name.partition("blocks.")
        if rest:
            layer, _, part = rest.partition(".")
            module, _, kind = part.rpartition(".")
            state[f"transformer.resblocks.{layer}.{_BLOCK[module]}{kind}"] = value
    return state


_BLOCK = {
    "norm1": "ln_1.",
    "attn.qkv": "attn.in_proj_",
    "attn.proj": "attn.out_proj.",
    "norm2": "ln_2.",
    "mlp.fc1": "mlp.c_fc.",
    "mlp.fc2": "mlp.c_proj.",
}
"""Modules of a block of timm's and their names in open_clip's."""


def clip_state(weights: str | Path) -> StateDict:
    """The weights of a CLIP, from a file or, by its name, the small one.

    Raises:
        ValueError: The file is damaged.
        FileNotFoundError: There is none.
    """
    return mini_state(weights) if weights in MINI else expand_tokens(read_state_dict(Path(weights)))


def expand_tokens(state: Mapping[str, Tensor], vocabulary: int = VOCABULARY) -> StateDict:
    """The token embedding with all its rows, zero where the file has none.

    A file may hold those rows only that ``token_ids`` (int, one number a row) names. A state dict without ``token_ids``
    is returned as it is, so every CLIP file may go through here.

    Args:
        state: Names of open_clip's ``CLIP``.
        vocabulary: Rows of the whole embedding.

    Raises:
        ValueError: The ids are not those of the rows, or beyond the vocabulary.
    """
    if TOKEN_IDS not in state:
        return dict(state)
    ids, rows = state[TOKEN_IDS].long(), state.get(TOKENS)
    if rows is None or ids.shape != rows.shape[:1]:
        raise ValueError(f"{TOKEN_IDS} has shape {tuple(ids.shape)}, which does not fit {TOKENS}; the file is damaged")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary:
        raise ValueError(f"{TOKEN_IDS} names rows outside of 0..{vocabulary - 1}; the file is of another tokenizer")
    whole = rows.new_zeros(vocabulary, rows.shape[1])
    whole[ids] = rows
    return {**{name: value for name, value in state.items() if name != TOKEN_IDS}, TOKENS: whole}
