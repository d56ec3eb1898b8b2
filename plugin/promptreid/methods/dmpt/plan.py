"""Which blocks of a tower are prompted."""

from __future__ import annotations

from typing import Any, NamedTuple


class Plan(NamedTuple):
    """Which blocks of a tower are prompted, all counted from 1.

    Attributes:
        first: First prompted block.
        last: Last prompted block.
        interactions: Blocks after which modalities exchange.
    """

    first: int
    last: int
    interactions: tuple[int, ...]


def plan_of(options: Any, layers: int) -> Plan:
    """The plan of :class:`~promptreid.methods.dmpt.options.DMPTOptions` for a tower of so many blocks.

    Raises:
        ValueError: More than the tower has, or an interaction or modality prompts where they could not act.
    """
    depth = layers - options.first_layer + 1 if options.prompt_depth is None else options.prompt_depth
    first, last = options.first_layer, options.first_layer + depth - 1
    if depth < 1 or last > layers:
        raise ValueError(
            f"first_layer={first} with prompt_depth={options.prompt_depth} does not fit a tower of {layers} blocks"
        )
    words = options.word_first_layer or first
    if not first <= words <= last:
        raise ValueError(
            f"word_first_layer={words} is none of the prompted blocks {first} to {last}; choose one of them"
        )
    if options.alignment_on == "modality_prompts" and last < layers:
        raise ValueError(
            f"alignment_on='modality_prompts' reads the modality prompts after the last block, {layers}, and prompts "
            f"end with block {last}; leave prompt_depth unset, or set alignment_on='class'"
        )
    if not options.bind:
        return Plan(first, last, ())
    chosen = options.interaction_layers or sorted({first - 1 + round(depth * third / 3) for third in (1, 2)})
    return Plan(first, last, _checked(tuple(chosen), first, last, layers, words, options.bind_source))


def _checked(chosen: tuple[int, ...], first: int, last: int, layers: int, words: int, source: str) -> tuple[int, ...]:
    misplaced = [layer for layer in chosen if not first <= layer < last]
    if misplaced:
        raise ValueError(
            f"interaction after block {misplaced} of {layers} is not possible: it reads prompts of blocks {first} "
            f"to {last} and acts on the block that follows; set interaction_layers in {first}..{last - 1}, or "
            "bind False"
        )
    if source != "semantic" and chosen[0] < words:
        raise ValueError(
            f"bind_source={source!r} reads modality prompts after block {chosen[0]}, and word_first_layer={words}; set "
            f"interaction_layers from {words} on, or bind_source='semantic'"
        )
    return chosen
