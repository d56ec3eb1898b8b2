"""What a model's forward pass keeps for the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def kept_bytes(model: nn.Module, inputs: Any) -> int:
    """Bytes that autograd saves in one training forward pass, each storage once, without the model's own weights.

    The model is in training mode afterwards, and its running statistics have seen ``inputs``.

    Args:
        model: Any module; parameters and buffers, frozen ones too, are not counted.
        inputs: What it is called with.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = tensor  # alive, so that no later tensor gets the same place
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model.train()(inputs)
    del output
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
