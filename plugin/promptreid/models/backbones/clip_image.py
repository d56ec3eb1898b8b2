"""CLIP's image tower, taken apart so that prompts can enter between its blocks; the modules are open_clip's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.compat import declare_torchvision_operators
from promptreid.models.backbones.attention import residual_attention
from promptreid.models.backbones.beside import Beside, added
from promptreid.models.backbones.block_form import PLAIN, BlockForm
from promptreid.models.backbones.patches import embed_patches
from promptreid.models.backbones.position_embedding import Grid, resample_positions, token_grid
from promptreid.models.backbones.shaped_attention import Shaping, shaped_attention
from promptreid.models.backbones.vit import create_vit
from promptreid.models.inputs import being_traced
from promptreid.models.precision import at_least_float32, outside_inference_mode

QUICK = 1.702


def import_open_clip() -> Any:
    """The open_clip package: its import takes seconds, so it waits until a model is wanted."""
    declare_torchvision_operators()  # open_clip imports torchvision
    import open_clip

    return open_clip


def is_clip(name: str) -> bool:
    """Whether a name, without its tag, is one of open_clip's architectures."""
    return name.partition(":")[0] in import_open_clip().list_models()


def clip_config(name: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """open_clip's configuration of an architecture.

    Args:
        name: Such as ``ViT-B-16-quickgelu``, with or without a tag of pretrained weights (``:openai``).
        changes: Replace entries; those under ``vision_cfg`` and ``text_cfg`` one by one.

    Raises:
        ValueError: Unknown to open_clip, or its image tower is neither open_clip's ViT nor a whole model of timm.
    """
    open_clip = import_open_clip()
    if not is_clip(name):
        raise ValueError(f"open_clip has no {name!r}; open_clip.list_models() names them")
    config: dict[str, Any] = open_clip.get_model_config(name.partition(":")[0])
    for key, value in (changes or {}).items():
        config[key] = {**config[key], **value} if isinstance(value, Mapping) else value
    vision = config["vision_cfg"]
    whole = vision.get("timm_proj") in (None, "none") and vision.get("timm_pool") in ("token", "map", "avg")
    if not whole if "timm_model_name" in vision else not isinstance(vision.get("layers", 12), int):
        raise ValueError(
            f"{name!r} cannot be prompted: its image tower is not open_clip's ViT, nor one of timm that is used as it "
            "is; use one of docs/towers.md, such as ViT-B-16-quickgelu"
        )
    return config


def has_plain_text(config: Mapping[str, Any]) -> bool:
    """Whether a configuration has CLIP's plain text transformer with CLIP's own tokenizer."""
    text = config["text_cfg"]
    return not ("hf_model_name" in text or "hf_tokenizer_name" in text or config.get("multimodal_cfg"))


class TimmVisual(nn.Module):
    """An image tower of open_clip that is a ViT of timm; its weights have the names that open_clip gives them.

    Args:
        trunk: From :func:`~promptreid.models.backbones.vit.create_vit`.
    """

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk


def create_visual(config: Mapping[str, Any]) -> nn.Module:
    """A randomly initialised image tower of open_clip from :func:`clip_config`.

    Raises:
        ValueError: It is one of timm that cannot be taken apart.
    """
    import_open_clip()
    vision = config["vision_cfg"]
    if "timm_model_name" in vision:
        return TimmVisual(create_trunk(config))
    from open_clip.model import _build_vision_tower

    visual: nn.Module = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
    return visual


def create_trunk(config: Mapping[str, Any], drop_path: float = 0.0, projected: bool = True, **sizes: Any) -> nn.Module:
    """The timm ViT of such a configuration, whose positions are those of timm's own image size.

    Args:
        config: From :func:`clip_config`; its ``vision_cfg`` may have ``timm_sizes``, arguments of timm's ViT.
        drop_path: Rate of the last block.
        projected: Keep the projection to the feature that sentences are compared with, where there is one.
        sizes: Further arguments of timm's ViT.
    """
    vision = config["vision_cfg"]
    width = config["embed_dim"] if projected and vision.get("timm_proj") is None else 0
    arguments = {"global_pool": vision["timm_pool"], "num_classes": width, **vision.get("timm_sizes", {}), **sizes}
    return create_vit(vision["timm_model_name"], drop_path, **arguments)


class _QuickGELU(torch.autograd.Function):
    """x sigmoid(1.702 x), remembering x alone: written out, autograd would keep its sigmoid as well."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.sigmoid(QUICK * x).mul_(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gate = torch.sigmoid(QUICK * x)
        return grads[0] * gate * (1 + QUICK * x * (1 - gate))


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's activation, x sigmoid(1.702 x)."""
    return x * torch.sigmoid(QUICK * x) if being_traced() else _QuickGELU.apply(x)


def residual_block(
    block: Any,
    tokens: Tensor,
    reads: int | None = None,
    mask: Tensor | None = None,
    form: BlockForm = PLAIN,
) -> Tensor:
    """The outputs of the first ``reads`` tokens when a block of open_clip runs on all of them; exact.

    The other tokens serve as keys and values only: their queries and their MLP have no effect and are left out.

    Args:
        block: An open_clip ``ResidualAttentionBlock``.
        tokens: Shape (B, n, D).
        reads: None for all.
        mask: Added to the attention scores, (n, n).
        form: See there; without turns, and with a mask without a shaping.

    Returns:
        Shape (B, reads, D).
    """
    reads = tokens.shape[1] if reads is None else reads
    assert form.turns is None, "these blocks have no rotary positions"
    mixed = _attend(block.attn, block.ln_1(tokens), reads, mask, form.shaping, form.beside)
    read = tokens[:, :reads] + block.ls_1(mixed)
    normed = block.ln_2(read)
    hidden = block.mlp.c_fc(normed)
    active = quick_gelu(hidden) if type(block.mlp.gelu).__name__ == "QuickGELU" else block.mlp.gelu(hidden)
    return added(read + block.ls_2(block.mlp.c_proj(active)), form.beside.mlp, normed)


def _attend(
    attn: Any, tokens: Tensor, reads: int, mask: Tensor | None, shaping: Shaping | None, beside: Beside
) -> Tensor:
    weight, bias, dim = attn.in_proj_weight, attn.in_proj_bias, attn.embed_dim
    if reads == tokens.shape[1]:
        query, key, value = F.linear(tokens, weight, bias).chunk(3, dim=-1)
    else:
        query = F.linear(tokens[:, :reads], weight[:dim], bias[:dim])
        key, value = F.linear(tokens, weight[dim:], bias[dim:]).chunk(2, dim=-1)
    query, value = added(query, beside.query, tokens[:, :reads]), added(value, beside.value, tokens)
    query, key, value = (part.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for part in (query, key, value))
    mask = None if mask is None else mask[:reads].to(query.dtype)
    if shaping is None:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    else:
        mixed = shaped_attention(query, key, value, shaping)
    output: Tensor = attn.out_proj(mixed.transpose(1, 2).flatten(2))
    return output


class ClipTower(nn.Module):
    """CLIP's image tower as a :class:`~promptreid.models.backbones.towers.Tower`.

    Args:
        visual: From :func:`create_visual`; taken over, not copied.
        stride: Of the patch embedding, in pixels; None for the patch size.

    Raises:
        ValueError: Not a plain ViT with a class token that is read at the end.
    """

    def __init__(self, visual: Any, stride: int | None = None) -> None:
        super().__init__()
        _check_visual(visual)
        self.visual = visual
        if stride is not None:
            if stride < 1:
                raise ValueError(f"stride must be at least 1 pixel, got {stride}")
            visual.conv1.stride = (stride, stride)
        self.dim: int = visual.conv1.out_channels
        self.out_dim: int = visual.output_dim
        self.heads: int = visual.transformer.resblocks[0].attn.num_heads
        self.layers: int = len(visual.transformer.resblocks)
        self.prefix, self.has_class, self.reads_all = 1, True, False
        self._resampled: dict[Grid, tuple[Tensor, int, Tensor]] = {}

    def grid_of(self, image_size: Grid) -> Grid:
        """Rows and columns of tokens for an image size (height, width)."""
        conv = self.visual.conv1
        return token_grid(image_size, conv.kernel_size, conv.stride)

    def embed(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """Tokens before the first block, (B, 1 + N, D); see :class:`~promptreid.models.backbones.towers.Tower`."""
        visual = self.visual
        positions = self._positions(self.grid_of((images.shape[-2], images.shape[-1])))
        patches = embed_patches(visual.conv1, images.to(visual.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        token = visual.class_embedding.to(patches.dtype).expand(images.shape[0], 1, -1)
        if side is not None:
            token = token + side.to(token.dtype)
        return visual.ln_pre(torch.cat([token, patches], dim=1) + positions.to(patches.dtype))

    def turns(self, image_size: Grid, device: torch.device) -> None:
        """None: the positions are in the tokens."""

    def run(self, layer: int, tokens: Tensor, reads: int | None = None, form: BlockForm = PLAIN) -> Tensor:
        """Block number ``layer``; see :class:`~promptreid.models.backbones.towers.Tower`."""
        return residual_block(self.visual.transformer.resblocks[layer], tokens, reads, None, form)

    def attention(self, layer: int, tokens: Tensor, form: BlockForm = PLAIN) -> Tensor:
        """Of block number ``layer``; see :class:`~promptreid.models.backbones.towers.Tower`."""
        return residual_attention(self.visual.transformer.resblocks[layer], tokens, form)

    def read(self, tokens: Tensor) -> Tensor:
        """The class token after the final norm and the projection, (B, D_out), at least float32."""
        pooled = self.visual.ln_post(tokens[:, 0]) @ self.visual.proj
        return at_least_float32(pooled)

    def _positions(self, grid: Grid) -> Tensor:
        """The position table on a grid; resampled once per grid while the table does not change."""
        table, own = self.visual.positional_embedding, tuple(self.visual.grid_size)
        if grid == own or being_traced() or table.requires_grad or table.is_inference():
            return resample_positions(table[None], own, grid)
        known = self._resampled.get(grid)
        if known is None or known[0] is not table or known[1] != table._version:
            positions = outside_inference_mode(resample_positions)(table[None], own, grid)
            known = self._resampled[grid] = (table, table._version, positions)
        return known[2]


def _check_visual(visual: Any) -> None:
    def refuse(reason: str) -> None:
        raise ValueError(f"this image tower cannot be prompted: {reason}; use one such as ViT-B-16-quickgelu's")

    if type(visual).__name__ != "VisionTransformer" or not hasattr(visual, "class_embedding"):
        refuse(f"it is a {type(visual).__name__}, not open_clip's VisionTransformer")
    if visual.attn_pool is not None or visual.pool_type != "tok":
        refuse("its feature is not read from the class token")
    check_blocks(visual.transformer.resblocks, refuse)


def check_blocks(blocks: Any, refuse: Any) -> None:
    """Call ``refuse(reason)`` where blocks are not those that :func:`residual_block` computes."""
    if any(type(block).__name__ != "ResidualAttentionBlock" or not block.attn._qkv_same_embed_dim for block in blocks):
        refuse(f"its blocks are {sorted({type(block).__name__ for block in blocks})}")
