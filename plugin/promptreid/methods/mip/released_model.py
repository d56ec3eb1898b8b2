"""From a released MIP checkpoint to the model that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from promptreid.methods.mip.model import MIP, build_mip, mip_release
from promptreid.methods.mip.released_names import from_release, release_pooling
from promptreid.models.backbones.position_embedding import Grid, token_grid
from promptreid.models.backbones.vit import import_timm
from promptreid.models.weights import LoadReport, StateDict, strip_module

IMAGE_SIZE: Grid = (256, 128)
STRIDE = 12
HEAD_DIM = 64
_NEEDED = {
    "base.cls_token": 3,
    "base.pos_embed": 3,
    "base.sie_embed": 3,
    "base.prompt_embeddings": 3,
    "base.patch_embed.proj.weight": 4,
    "classifier.weight": 2,
}


@dataclass(frozen=True)
class ReleaseSize:
    """What the shapes of a released checkpoint tell about its model.

    Attributes:
        classes: C, identities in training.
        cameras: Rows of the camera embedding.
        dim: D.
        depth: Blocks of the ViT; the release runs all but the last two and a copy of the last.
        patch: Side of the patches, in pixels.
        prompt_length: j.
        patches: N, tokens of a training image.
    """

    classes: int
    cameras: int
    dim: int
    depth: int
    patch: int
    prompt_length: int
    patches: int

    def heads(self, given: int | None = None) -> int:
        """Attention heads: those given, or as many as plain ViTs have, of 64 channels each.

        Raises:
            ValueError: D cannot be split so.
        """
        heads = self.dim // HEAD_DIM if given is None else given
        if heads < 1 or self.dim % heads or (given is None and self.dim % HEAD_DIM):
            share = f"of {HEAD_DIM}" if given is None else f"by {given}"
            raise ValueError(f"num_heads: {self.dim} channels cannot be split into heads {share}; give a divisor")
        return heads


def release_size(state: Mapping[str, Tensor]) -> ReleaseSize:
    """Read the sizes of a model off its released state dict.

    Raises:
        ValueError: A tensor that tells a size is missing or has another number of dimensions, or blocks are missing.
    """
    state = strip_module(state)
    problems = [f"{name} is missing" for name in _NEEDED if name not in state]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, not {dimensions} dimensions"
        for name, dimensions in _NEEDED.items()
        if name in state and state[name].ndim != dimensions
    ]
    if problems:
        raise ValueError(f"not a released MIP checkpoint: {'; '.join(problems)}")
    return ReleaseSize(
        classes=state["classifier.weight"].shape[0],
        cameras=state["base.sie_embed"].shape[0],
        dim=state["base.cls_token"].shape[2],
        depth=_depth(state),
        patch=state["base.patch_embed.proj.weight"].shape[-1],
        prompt_length=state["base.prompt_embeddings"].shape[1],
        patches=state["base.pos_embed"].shape[1] - 1,
    )


def _depth(state: StateDict) -> int:
    depth, prompted = _count(state, "base.blocks."), _count(state, "classifiers_ins_prompts.")
    if depth < 3 or (prompted and prompted != depth - 2):
        raise ValueError(
            f"the checkpoint has {depth} blocks (base.blocks) and instance prompt heads for {prompted} "
            f"(classifiers_ins_prompts); the release has two blocks more than heads, so some are missing"
        )
    return depth


def _count(state: StateDict, prefix: str) -> int:
    """How many numbers follow a prefix, from 0 to the largest."""
    numbers = [int(name.removeprefix(prefix).split(".")[0]) for name in state if name.startswith(prefix)]
    return 1 + max(numbers, default=-1)


def _check_positions(size: ReleaseSize, stride: int, image_size: Grid) -> None:
    if stride < 1:
        raise ValueError(f"stride must be at least 1 pixel, got {stride}")
    rows, columns = token_grid(image_size, (size.patch, size.patch), (stride, stride))
    if rows * columns != size.patches:
        raise ValueError(
            f"base.pos_embed is for {size.patches} patches, but images of {image_size[0]} x {image_size[1]} at stride "
            f"{stride} have {rows} x {columns}: give the stride and image size of the checkpoint's training"
        )


def mip_from_release(
    state: Mapping[str, Tensor],
    *,
    queries: str = "zero",
    iael: bool = False,
    num_heads: int | None = None,
    stride: int = STRIDE,
    image_size: Grid = IMAGE_SIZE,
    camera_order: Sequence[int] | None = None,
    loss: str = "prompt",
) -> tuple[MIP, LoadReport]:
    """Build the model of a released state dict and fill it. Its forward pass is the released code's.

    Args:
        state: Names with or without the prefix ``module.``. The model holds its tensors, in their own precision.
        queries: ``zero``, as the release runs, or ``learned``, with its bug-fix switch on (``base.prompt_embed``).
        iael: Keep the identity heads of the instance prompts, pooled as in the checkpoint: by their mean, or by the
            release's learned query and block where it has them. Descriptors do not use them.
        num_heads: Attention heads; D / 64 by default. No tensor tells it.
        stride: Of the patch embedding, in pixels.
        image_size: Height and width of the training images.
        camera_order: See :func:`~promptreid.methods.mip.released_names.from_release`.
        loss: What training returns; see :class:`~promptreid.methods.mip.model.MIP`.

    Returns:
        The model in evaluation mode, and a report of the names in the release that were used or not.

    Raises:
        ValueError: Not a released checkpoint, or tensors are missing or have other shapes; all are named.
    """
    size = release_size(state)
    _check_positions(size, stride, image_size)
    vit = {
        "depth": size.depth,
        "embed_dim": size.dim,
        "num_heads": size.heads(num_heads),
        "patch_size": size.patch,
    }
    options = mip_release(
        queries=queries, iael=iael, iael_pooling=release_pooling(state), prompt_length=size.prompt_length
    )
    import_timm()  # outside the meta device, where it could not set itself up
    with torch.device("meta"):
        model = build_mip(
            size.classes,
            loss,
            pretrained=False,
            options=options,
            cameras=size.cameras,
            stride=stride,
            image_size=image_size,
            vit=vit,
        )
    translated, report = from_release(state, model, camera_order)
    model.load_state_dict(translated, assign=True)
    return model.eval(), report
