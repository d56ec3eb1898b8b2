"""PyTorch backend of an embedder."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.data.batch import ModalBatch
from promptreid.models.folding import fold
from promptreid.models.sie import SideInformation

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TorchBackend:
    """Backend that runs a model in evaluation mode.

    Args:
        model: as trained.
        device: ``"cuda"``, ``"cpu"``, ...; a GPU where there is one when omitted.
        dtype: ``"float32"`` or ``"bfloat16"``; vectors are float32 either way.

    Raises:
        ValueError: another dtype.
    """

    def __init__(self, model: nn.Module, device: str | None = None, dtype: str = "float32") -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype: {dtype!r} is none of {', '.join(DTYPES)}")
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model, self.dtype = model.to(self.device).eval(), DTYPES[dtype]

    @torch.inference_mode()
    def __call__(self, batch: ModalBatch) -> Tensor:
        """Vectors (B, D) float32 on the CPU."""
        with self._autocast():
            vectors: Tensor = self.model(batch.to(self.device, non_blocking=True))
        return vectors.float().cpu()

    def fold(self) -> list[str]:
        """Replace parts that are constant after training by tables, with the same vectors; return their names."""
        return fold(self.model)

    def _autocast(self) -> Any:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def camera_rows_of(model: Any) -> int:
    """Number of cameras that a model distinguishes; 0 if its vectors do not depend on the camera."""
    sie = getattr(model, "sie", None)
    by_camera = getattr(getattr(model, "options", None), "sie", "camera") == "camera"
    return sie.table.shape[0] if isinstance(sie, SideInformation) and by_camera else 0
