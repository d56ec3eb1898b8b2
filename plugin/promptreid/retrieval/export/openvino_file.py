"""OpenVINO's pairs of files, ``NAME.xml`` and ``NAME.bin``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from promptreid.data.batch import ModalBatch
from promptreid.retrieval.export.about import KEYS, About, unreadable
from promptreid.retrieval.export.onnx_file import to_plain_onnx
from promptreid.retrieval.export.program import OUTPUT, Program, arrays_of, names_of

logger = logging.getLogger(__name__)

_ROOM, _DIGEST = "promptreid", "promptreid.weights"
_HINT = "INFERENCE_PRECISION_HINT"


class OpenVINOBackend:
    """A compiled OpenVINO model.

    Args:
        compiled: with the program's inputs.
        names: of these.
    """

    def __init__(self, compiled: Any, names: Sequence[str]) -> None:
        self.compiled, self.names = compiled, list(names)

    def __call__(self, batch: ModalBatch) -> Tensor:
        """Vectors (B, D) float32 on the CPU."""
        return torch.from_numpy(self.compiled(arrays_of(batch, self.names))[OUTPUT].copy())


def write(
    program: Program, example: tuple[Tensor, ...], path: Path, about: About, images: Sequence[ModalBatch]
) -> None:
    """Write a program as ``path`` and, beside it, the weights in a ``.bin`` file.

    Args:
        program: in float32.
        example: its inputs, two samples or more.
        path: of the ``.xml`` file.
        about: what it says of itself. Weights are kept in half precision with ``fp16`` and ``bf16``; the latter is
            also what OpenVINO is asked to compute in.
        images: batches to calibrate int8 on.

    Raises:
        ValueError: the program cannot be traced.
    """
    import openvino

    plain = path.with_name("plain.onnx")
    to_plain_onnx(program, example, plain, about)
    names = names_of(about.model)
    model = _quantised(plain, names, images) if about.precision == "int8" else openvino.convert_model(plain)
    for key, text in about.texts().items():
        model.set_rt_info(text, [_ROOM, key])
    half = about.precision in ("fp16", "bf16")
    openvino.save_model(model, path, compress_to_fp16=half)
    # Again, with the digest of the weights: the two files are useless with those of another export.
    model.set_rt_info(_digest(path), [_ROOM, _DIGEST])
    openvino.save_model(model, path, compress_to_fp16=half)


def read(path: Path, device: str | None = None, dtype: str = "float32") -> tuple[About, OpenVINOBackend]:
    """A compiled model of a pair of files, and what they say.

    Args:
        path: of the ``.xml`` file.
        device: one of OpenVINO's, such as ``"CPU"`` or ``"GPU"``; the CPU when omitted.
        dtype: ``"bfloat16"`` computes in it where the processor has it, whatever the file's precision.

    Raises:
        ValueError: not such files, files of two exports, or no such device.
    """
    import openvino

    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise ValueError(f"{path}: {weights.name} with the weights is not beside it; copy both files")
    core = openvino.Core()
    target = (device or "CPU").upper()
    if target.partition(".")[0] not in core.available_devices:
        raise ValueError(f"device: OpenVINO finds {', '.join(core.available_devices)} here, not {target}")
    try:
        model = core.read_model(path)
    except Exception as error:
        raise unreadable(path, "OpenVINO", error) from None
    texts = {key: _text(model, key) for key in (*KEYS, _DIGEST)}
    about = About.of_texts(texts, path)
    if texts[_DIGEST] != _digest(path):
        raise ValueError(f"{weights} is not what {path.name} was written with; copy both files, or export again")
    names = names_of(about.model)
    known = set().union(*(part.names for part in model.inputs))
    if not known.issuperset(names):
        raise ValueError(f"{path}: it lacks inputs named {', '.join(names)}; export it again")
    bf16 = dtype == "bfloat16" or about.precision == "bf16"
    # Unless told, OpenVINO computes in bfloat16 on processors that have it.
    hint = {_HINT: "bf16" if bf16 else "f16" if about.precision == "fp16" and target != "CPU" else "f32"}
    try:
        compiled = core.compile_model(model, target, hint)
    except Exception as error:
        raise ValueError(
            f"{path}: this OpenVINO cannot compile the model in {about.precision}; choose another --dtype ({error})"
        ) from None
    return about, OpenVINOBackend(compiled, names)


def _quantised(plain: Path, names: Sequence[str], images: Sequence[ModalBatch]) -> Any:
    """Weights and activations in 8 bits, by the ranges seen on the images.

    The form for transformers comes first. OpenVINO cannot compile it of every model (2026.4: constants in 8 bits of
    which rows are chosen, such as MIP's prompts by modality); then the general form.
    """
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    batches = nncf.Dataset(list(images), lambda batch: arrays_of(batch, names))
    for kind in (nncf.ModelType.TRANSFORMER, None):
        model = nncf.quantize(openvino.convert_model(plain), batches, subset_size=len(images), model_type=kind)
        try:
            openvino.Core().compile_model(model, "CPU", {_HINT: "f32"})
        except RuntimeError as error:
            logger.debug("int8 as %s cannot be compiled: %s", kind, error)
        else:
            break
    return model


def _text(model: Any, key: str) -> str:
    path = [_ROOM, key]
    return str(model.get_rt_info(path).astype(str)) if model.has_rt_info(path) else ""


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.with_suffix(".bin").open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
