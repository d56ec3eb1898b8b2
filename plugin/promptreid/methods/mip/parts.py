"""The parts that the options of a MIP ask for, made for its ViT."""

from __future__ import annotations

from typing import Any

from torch import nn

from promptreid.methods.mip.options import MIPOptions
from promptreid.methods.mip.prompts import InstancePromptGenerator
from promptreid.methods.mip.variants import PromptAdapter, PromptBank
from promptreid.models.backbones.partial_block import BlockFunction
from promptreid.models.backbones.timm_parts import Readout
from promptreid.models.heads import GlobalHead, JigsawHead, PooledHead
from promptreid.models.sie import SideInformation


def check_tower(vit: Any, options: MIPOptions, reference: bool) -> None:
    """Raise ``ValueError`` for a ViT that the options or ``reference`` cannot have."""
    if options.jpm and Readout(vit).whole:
        raise ValueError(
            "jpm reads runs of patches by the class token, and this tower's feature is not read from one; set jpm "
            "False, or use a tower whose feature is its class token (docs/towers.md)"
        )
    if reference and getattr(vit, "rope", None) is not None:
        raise ValueError("reference=True is for towers without rotary positions; set it False")


def tells_modalities_apart(options: MIPOptions) -> bool:
    """Whether some part has weights of its own for each modality, so that their order means something."""
    prompts = options.modality_prompts and not options.naive_prompts
    return prompts or options.modality_embedding or options.sie == "modality" or options.modality_bn


def trunk_depth_of(blocks: int, options: MIPOptions) -> int:
    """How many of a ViT's blocks are run before the heads; ``ValueError`` if none."""
    depth = blocks - 1 - options.skipped_blocks
    if depth < 1:
        raise ValueError(
            f"skipped_blocks={options.skipped_blocks} leaves no block before the head block of a {blocks}-block ViT"
        )
    return depth


def prompt_depth_of(trunk: int, options: MIPOptions) -> int:
    """How many of these get prompts; ``ValueError`` if there are fewer."""
    if options.prompt_depth is None:
        return trunk
    if options.prompt_depth > trunk:
        raise ValueError(f"prompt_depth={options.prompt_depth} is more than the {trunk} blocks before the head block")
    return options.prompt_depth


def instance_depth_of(depth: int, options: MIPOptions) -> int:
    """How many of the prompted blocks get instance prompts; ``ValueError`` if there are fewer."""
    if not options.instance_prompts:
        return 0
    if options.instance_depth is not None and options.instance_depth > depth:
        raise ValueError(f"instance_depth={options.instance_depth} is more than the {depth} prompted blocks")
    return options.instance_depth or depth


def generator_of(
    options: MIPOptions, block: nn.Module, dim: int, apply: BlockFunction
) -> InstancePromptGenerator | PromptBank:
    """Where instance prompts come from; ``block`` is one of the ViT's, for its shape."""
    if options.generator == "bank":
        return PromptBank(options.prompt_length, dim)
    return InstancePromptGenerator(block, options.prompt_length, dim, options.queries == "learned", apply)


def adapters_of(layers: int, dim: int) -> nn.ModuleList:
    """An adapter for the prompts of each layer."""
    return nn.ModuleList(PromptAdapter(dim) for _ in range(layers))


def feature_head_of(options: MIPOptions, vit: Any, apply: BlockFunction) -> GlobalHead | JigsawHead | PooledHead:
    """The head, or heads, of copies of the ViT's last block and norm."""
    last, norm, readout = vit.blocks[-1], vit.norm, Readout(vit)
    if readout.whole:
        return PooledHead(last, norm, readout, apply)
    if not options.jpm:
        return GlobalHead(last, norm, apply)
    return JigsawHead(last, norm, options.jpm_shift, options.jpm_groups, options.jpm_divide, apply)


def side_information_of(options: MIPOptions, cameras: int, modalities: int, dim: int) -> SideInformation | None:
    """The table whose vectors are added to all tokens, if there is one."""
    if options.sie == "none":
        return None
    return SideInformation(cameras if options.sie == "camera" else modalities, dim, options.sie_weight)
