"""How many parameters the parts of a model have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn


class Count(NamedTuple):
    """Numbers of scalars in a part of a model.

    Attributes:
        trainable: In parameters that get a gradient.
        frozen: In parameters that get none, and in frozen weights, which are kept as non-persistent buffers.
    """

    trainable: int
    frozen: int


def count_parameters(model: nn.Module, depth: int = 1) -> dict[str, Count]:
    """Count the parameters of each part of a model.

    Running statistics and other buffers of the state dict are no parameters and are not counted, nor are integers.

    Args:
        model: Any module.
        depth: How many levels of names tell parts apart: 1 counts ``modality_prompts`` as one part, 2 counts
            ``modality_prompts.library`` and ``modality_prompts.projection``.

    Returns:
        A count for each part that has any, in the model's order. A tensor that parts share counts in the first alone.

    Raises:
        ValueError: ``depth`` is below 1.

    Examples:
        >>> sum(part.trainable for part in count_parameters(model).values())
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    counts: dict[str, Count] = {}
    for name, tensor, trainable in _weights(model):
        part = ".".join(name.split(".")[:depth])
        before = counts.get(part, Count(0, 0))
        size = tensor.numel()
        counts[part] = Count(before.trainable + size * trainable, before.frozen + size * (not trainable))
    return counts


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """Name, tensor and whether it is trained."""
    for name, parameter in model.named_parameters():
        yield name, parameter, parameter.requires_grad
    stored = model.state_dict()
    for name, buffer in model.named_buffers():
        if name not in stored and buffer.is_floating_point():
            yield name, buffer, False
