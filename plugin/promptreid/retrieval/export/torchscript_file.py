"""TorchScript files, run by PyTorch on a CPU."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from promptreid.data.batch import ModalBatch
from promptreid.json_texts import parse_json
from promptreid.models.torchscript import is_torchscript
from promptreid.retrieval.export.about import KEYS, About, unreadable
from promptreid.retrieval.export.program import Program, names_of, tensors_of, traced

_FILE = "promptreid.json"


class TorchScriptBackend:
    """A TorchScript program.

    Args:
        program: with its inputs in order.
        names: of these.
    """

    def __init__(self, program: Any, names: Sequence[str]) -> None:
        self.program, self.names = program, list(names)

    @torch.inference_mode()
    def __call__(self, batch: ModalBatch) -> Tensor:
        """Vectors (B, D) float32 on the CPU."""
        vectors: Tensor = self.program(*tensors_of(batch, self.names))
        return vectors


def write(
    program: Program, example: tuple[Tensor, ...], path: Path, about: About, images: Sequence[ModalBatch]
) -> None:
    """Write a program as a TorchScript file.

    Args:
        program: in the dtype of the file.
        example: its inputs, two samples or more.
        path: of the file.
        about: what it says of itself.
        images: not used.

    Raises:
        ValueError: the program cannot be traced.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about shapes; the outcome is compared with the model's
        script: Any = traced(
            about.model.name,
            "TorchScript",
            # Frozen, it keeps the weights alone that the program reads.
            lambda: torch.jit.freeze(torch.jit.trace(program, example, check_trace=False)),
        )
        torch.jit.save(script, str(path), _extra_files={_FILE: json.dumps(about.texts())})


def read(path: Path, device: str | None = None, dtype: str = "float32") -> tuple[About, TorchScriptBackend]:
    """The program of a file, and what the file says.

    A TorchScript file is a program: load none from somebody you do not trust.

    Args:
        path: of the file.
        device: ``"cpu"``; a traced program makes some of its tensors where it was traced.
        dtype: as the file says.

    Raises:
        ValueError: not such a file, or another device.
    """
    if (device or "cpu") != "cpu":
        raise ValueError(f"device: a TorchScript file runs on the CPU, not on {device!r}; load the run itself there")
    if not is_torchscript(path):
        raise ValueError(f"{path} is no TorchScript file, or only a part of one; copy or export it again")
    files = {_FILE: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.jit.load(str(path), map_location="cpu", _extra_files=files)
    except Exception as error:
        raise unreadable(path, "TorchScript", error) from None
    about = About.of_texts(_texts(files[_FILE]), path)
    return about, TorchScriptBackend(program, names_of(about.model))


def _texts(content: Any) -> dict[str, Any]:
    try:
        texts = parse_json(content)
    except ValueError:
        return {}
    return {key: texts.get(key) for key in KEYS} if isinstance(texts, dict) else {}
