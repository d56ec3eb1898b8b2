"""The values of prompts and of their gradients, by family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from promptreid.engine.optimizers import prompt_families

MOST = 100_000
"""Values of a family that a histogram is made of; of more, evenly spaced ones."""


def prompt_values(model: nn.Module) -> Iterator[tuple[str, np.ndarray]]:
    """``Prompts/<family>/values`` and ``Gradients/<family>``, (N,) float32 each, without what is not finite.

    Args:
        model: after a training step, its gradients still there.
    """
    for family, parameters in prompt_families(model).items():
        values = _sample(parameters)
        gradients = _sample([parameter.grad for parameter in parameters if parameter.grad is not None])
        if len(values):
            yield f"Prompts/{family}/values", values
        if len(gradients):
            yield f"Gradients/{family}", gradients


def _sample(tensors: Sequence[Tensor]) -> np.ndarray:
    every = max(1, sum(tensor.numel() for tensor in tensors) // MOST)
    parts = [tensor.detach().flatten()[::every].float().cpu() for tensor in tensors]
    joined = torch.cat(parts).numpy() if parts else np.zeros(0, dtype=np.float32)
    return joined[np.isfinite(joined)]
