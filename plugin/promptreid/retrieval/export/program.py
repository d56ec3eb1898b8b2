"""A model as a program whose inputs are tensors by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from promptreid.data.batch import ModalBatch
from promptreid.models.inputs import UNKNOWN_CAMERA
from promptreid.retrieval.description import ModelDescription

OUTPUT = "descriptor"
_REFUSALS = (TypeError, AttributeError, ValueError, RuntimeError, NotImplementedError)


class Program(nn.Module):
    """Trained model with one tensor per input.

    Args:
        model: in evaluation mode.
        dtype: of its weights; images come in and descriptors go out in float32.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model, self.dtype = model.to(dtype), dtype

    def forward(self, images: Tensor, modality: Tensor, present: Tensor, camera: Tensor | None = None) -> Tensor:
        """Descriptors (B, D) float32.

        Args:
            images: (B, M, 3, H, W) float32, normalised.
            modality: (B, M) int64.
            present: (B, M) bool.
            camera: (B,) int64; unknown when omitted.
        """
        if camera is None:
            camera = torch.full_like(modality[:, 0], UNKNOWN_CAMERA)
        inputs = {"images": images.to(self.dtype), "modality": modality, "camera": camera, "present": present}
        descriptor: Tensor = self.model(inputs)
        return descriptor.float()


def names_of(model: ModelDescription) -> list[str]:
    """The program's inputs, in order."""
    return ["images", "modality", "present", *(["camera"] if model.cameras else [])]


def tensors_of(batch: ModalBatch, names: Sequence[str]) -> tuple[Tensor, ...]:
    """Tensors of a batch, as the program takes them."""
    return tuple(batch[name].contiguous() for name in names)


def arrays_of(batch: ModalBatch, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of a batch by name, for runtimes that take arrays."""
    return {name: batch[name].contiguous().numpy() for name in names}


def program_of(model: nn.Module, name: str, example: tuple[Tensor, ...], dtype: torch.dtype = torch.float32) -> Program:
    """Build a program and run it once.

    Raises:
        ValueError: the model takes no samples with modalities, as torchreid's own models do not.
    """
    program = Program(model, dtype).eval()
    try:
        with torch.no_grad():
            program(*example)
    except _REFUSALS as error:
        raise ValueError(
            f"{name} cannot be exported: it does not take samples with modalities ({_short(error)}); promptreid "
            "exports the models that it registers, not torchreid's own"
        ) from None
    return program


def traced(name: str, what: str, trace: Callable[[], object]) -> object:
    """Result of ``trace``.

    Raises:
        ValueError: the model does what cannot be traced.
    """
    try:
        with torch.no_grad():
            return trace()
    except Exception as error:
        raise ValueError(
            f"{name} cannot be exported to {what}: its program cannot be traced ({_short(error)})"
        ) from error


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:200]}"
