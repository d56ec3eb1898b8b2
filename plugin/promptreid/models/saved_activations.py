"""What a model's forward pass keeps for the backward pass."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
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
    return saved_bytes(lambda: model.train()(inputs), (*model.parameters(), *model.buffers()))


def saved_bytes(forward: Callable[[], Any], own: Iterable[Tensor]) -> int:
    """Bytes that autograd holds after ``forward`` for the backward pass of what it returns, each storage once.

    Of what is recomputed in the backward pass, only the arguments are held, and counted.

    Args:
        forward: What is called; its result holds the graph, and is dropped afterwards.
        own: Tensors that are not counted, such as weights.
    """
    places = {tensor.untyped_storage().data_ptr() for tensor in own}
    held: weakref.WeakSet[_Held] = weakref.WeakSet()  # those whose part of the graph is still there

    def pack(tensor: Tensor) -> _Held:
        saved = _Held(tensor.detach())  # a node's own result would hold the node, which holds it
        held.add(saved)
        return saved

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        output = forward()
    storages = {saved.tensor.untyped_storage().data_ptr(): saved.tensor.untyped_storage().nbytes() for saved in held}
    del output
    return sum(size for place, size in storages.items() if place not in places)


class _Held:
    """A tensor that a node of the graph has saved; it goes with the node."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
