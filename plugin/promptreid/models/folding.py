"""What is constant after training, computed once: parts of a model become tables, with the same outputs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class Foldable(Protocol):
    """A module whose output depends on few values of its input, so that a table can stand for it."""

    def folded(self) -> nn.Module:
        """A module with the same outputs in evaluation mode."""
        ...


@torch.no_grad()
def fold(model: nn.Module) -> list[str]:
    """Replace, in place, every part of a model that can be folded; the model cannot be trained or saved afterwards.

    Args:
        model: in evaluation mode.

    Returns:
        the names of the parts.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("fold: the model is in training mode; call model.eval() first")
    names = [name for name, part in model.named_modules() if name and isinstance(part, Foldable)]
    for name in names:
        parent, _, own = name.rpartition(".")
        part = model.get_submodule(name)
        assert isinstance(part, Foldable)
        setattr(model.get_submodule(parent), own, part.folded().eval())
    return names
