"""What a model accepts, brought into one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

UNKNOWN_CAMERA = -1
_FIELDS = ("images", "modality", "camera", "present")


class Inputs(NamedTuple):
    """A batch of B samples with M images each.

    | field      | shape           |       |                                                   |
    |------------|-----------------|-------|---------------------------------------------------|
    | `images`   | (B, M, 3, H, W) | float | normalised                                        |
    | `modality` | (B, M)          | int64 | index in the model's table of modality names      |
    | `camera`   | (B,)            | int64 | 0-based; ``UNKNOWN_CAMERA`` where it is not known |
    | `present`  | (B, M)          | bool  | False where a modality is missing                 |
    """

    images: Tensor
    modality: Tensor
    camera: Tensor
    present: Tensor


def unpack(inputs: Tensor | Mapping[str, Tensor], modalities: int) -> Inputs:
    """Bring any accepted input into one form.

    What depends on values is checked in the program itself where the model is compiled or exported, and is a
    ``RuntimeError`` there.

    Args:
        inputs: A mapping with the four fields of :class:`Inputs`; or images alone, (B, 3, H, W), which count as
            modality 0 (visible), or (B, M, 3, H, W), where image m of a sample counts as modality m. The camera of
            images alone is unknown.
        modalities: How many modalities the model knows.

    Raises:
        TypeError: Neither a tensor nor a mapping.
        ValueError: A field is missing, shapes or dtypes do not fit, or a modality is out of range.
    """
    if isinstance(inputs, Tensor):
        unpacked = _from_images(inputs)
    elif isinstance(inputs, Mapping):
        unpacked = _from_mapping(inputs)
    else:
        raise TypeError(f"a model takes a tensor or a mapping with {_FIELDS}, got {type(inputs).__name__}")
    _check_modality(unpacked.modality, modalities)
    return unpacked


def _from_images(images: Tensor) -> Inputs:
    if images.ndim == 4:
        images = images.unsqueeze(1)
    _check_images(images)
    batch, count = images.shape[:2]
    modality = torch.arange(count, device=images.device).expand(batch, count)
    camera = torch.full((batch,), UNKNOWN_CAMERA, device=images.device)
    return Inputs(images, modality, camera, torch.ones_like(modality, dtype=torch.bool))


def _from_mapping(inputs: Mapping[str, Tensor]) -> Inputs:
    missing = [field for field in _FIELDS if field not in inputs]
    if missing:
        raise ValueError(f"the batch lacks {missing}; a mapping needs {list(_FIELDS)}")
    images, modality, camera, present = (inputs[field] for field in _FIELDS)
    _check_images(images)
    batch, count = images.shape[:2]
    for field, tensor, shape in (
        ("modality", modality, (batch, count)),
        ("camera", camera, (batch,)),
        ("present", present, (batch, count)),
    ):
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{field} has shape {tuple(tensor.shape)}, expected {shape} for images {tuple(images.shape)}"
            )
    return Inputs(images, modality.long(), camera.long(), present.bool())


def _check_images(images: Tensor) -> None:
    if images.ndim != 5 or images.shape[2] != 3:
        raise ValueError(f"images must be (B, 3, H, W) or (B, M, 3, H, W), got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point and normalised, got {images.dtype}")


def _check_modality(modality: Tensor, modalities: int) -> None:
    wanted = f"modality ids must be in 0..{modalities - 1}"
    remedy = "build the model with the names of all modalities of the data"
    if being_traced():
        assert_in_program(((modality >= 0) & (modality < modalities)).all(), f"{wanted}; {remedy}")
        return
    if not modality.numel():
        return
    low, high = modality.aminmax()
    if low < 0 or high >= modalities:
        raise ValueError(f"{wanted}, got {int(low)}..{int(high)}; {remedy}")


def being_traced() -> bool:
    """True while the model is compiled, exported or traced, where values of tensors cannot be looked at."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def assert_in_program(condition: Tensor, message: str) -> None:
    """Make a check part of a program that is compiled or exported: each run of it looks at the values.

    Args:
        condition: A bool, shape (). Where it is false, the program raises ``RuntimeError`` on a CPU, and on a GPU fails
            like an index out of range. ONNX has no operator that raises an error: there it is left out.
        message: The error's.
    """
    if not torch.onnx.is_in_onnx_export():
        torch._assert_async(condition, message)
