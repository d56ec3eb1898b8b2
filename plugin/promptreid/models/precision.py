"""What is computed in which precision, and tensors that can be trained wherever they are made."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
P = ParamSpec("P")
R = TypeVar("R")


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32 if it is in half precision, else as it is."""
    return tensor.float() if tensor.dtype in HALF else tensor


def outside_inference_mode(function: Callable[P, R]) -> Callable[P, R]:
    """A function that also under ``torch.inference_mode`` makes tensors which can be trained later."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch.is_inference_mode_enabled():
            return function(*args, **kwargs)
        with torch.inference_mode(False):
            return function(*args, **kwargs)

    return call
