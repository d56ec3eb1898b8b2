"""How many blocks of the ViT are before the heads, and how many of these are prompted."""

from __future__ import annotations

from promptreid.methods.mip.options import MIPOptions


def trunk_depth(blocks: int, options: MIPOptions) -> int:
    """Blocks before the head block.

    Raises:
        ValueError: There would be none.
    """
    depth = blocks - 1 - options.skipped_blocks
    if depth < 1:
        raise ValueError(
            f"skipped_blocks={options.skipped_blocks} leaves no block before the head block of a {blocks}-block ViT"
        )
    return depth


def prompt_depth(trunk: int, options: MIPOptions) -> int:
    """Blocks with prompts, of ``trunk``.

    Raises:
        ValueError: The options ask for more.
    """
    if options.prompt_depth is None:
        return trunk
    if options.prompt_depth > trunk:
        raise ValueError(f"prompt_depth={options.prompt_depth} is more than the {trunk} blocks before the head block")
    return options.prompt_depth


def instance_depth(depth: int, options: MIPOptions) -> int:
    """Blocks with instance prompts, of ``depth`` prompted ones.

    Raises:
        ValueError: The options ask for more.
    """
    if not options.instance_prompts:
        return 0
    if options.instance_depth is not None and options.instance_depth > depth:
        raise ValueError(f"instance_depth={options.instance_depth} is more than the {depth} prompted blocks")
    return options.instance_depth or depth
