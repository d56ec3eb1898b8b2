"""An exponential moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """``average = decay * average + (1 - decay) * weights`` after each optimisation step, starting from the weights.

    Parameters are averaged; buffers of the state dict, such as the statistics of a batch normalisation, are copied.

    Args:
        model: whose weights are followed.
        decay: in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.clone() for name, value in tensors_of(model).items()}
        # Tied parameters have several names, and each of them is averaged.
        self._averaged = {name for name, _ in model.named_parameters(remove_duplicate=False)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Account for a finished optimisation step."""
        for name, value in tensors_of(model).items():
            if name in self._averaged:
                self.weights[name].lerp_(value, 1 - self.decay)
            else:
                self.weights[name].copy_(value)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Within the block the model has the averaged weights; afterwards its own, bit for bit."""
        own = {name: value.clone() for name, value in tensors_of(model).items()}
        _fill(model, self.weights)
        try:
            yield
        finally:
            _fill(model, own)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from an average that was saved."""
        for name, value in weights.items():
            self.weights[name].copy_(value)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of the state dict, sharing the model's memory."""
    return {name: value.detach() for name, value in model.state_dict().items() if isinstance(value, Tensor)}


@torch.no_grad()
def _fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, value in tensors_of(model).items():
        value.copy_(weights[name])
