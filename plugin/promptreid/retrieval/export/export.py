"""Export of a trained model to a checked file."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from promptreid.data.batch import ModalBatch
from promptreid.engine.checkpoints.random_state import random_states_kept
from promptreid.files import atomic_path
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.export.about import About
from promptreid.retrieval.export.agreement import Agreement, agreement, drawn_batch
from promptreid.retrieval.export.formats import check_request, module_of
from promptreid.retrieval.export.program import names_of, program_of, tensors_of
from promptreid.retrieval.export.run_data import RunData, data_of
from promptreid.retrieval.loading import load_model
from promptreid.retrieval.torch_backend import TorchBackend
from promptreid.versions import UNKNOWN, version_of

CALIBRATION_IMAGES = 128
_PACKAGES = ("promptreid", "torch", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf")


@dataclass(frozen=True)
class Exported:
    """Result of an export: the written files and their agreement.

    Attributes:
        files: with their sizes in bytes.
        agreement: of the file with PyTorch.
        accuracy: the protocol, and the mAP of the model and of the file; None where it was not measured.
    """

    files: dict[Path, int]
    agreement: Agreement
    accuracy: tuple[str, float, float] | None


@random_states_kept()
def export_model(
    source: str | Path,
    out: str | Path,
    to: str,
    dtype: str = "fp32",
    *,
    config: str | None = None,
    data: str | None = None,
    calibration_images: int = CALIBRATION_IMAGES,
) -> Exported:
    """Write a trained model as a file for another runtime, after checking that the file computes the same.

    Args:
        source: a run's folder, a checkpoint or a file of weights, as :func:`promptreid.load` takes it.
        out: the file.
        to: ``onnx``, ``openvino`` or ``torchscript``.
        dtype: ``fp32``, ``fp16``, ``bf16`` or ``int8``, as far as the runtime has it.
        config: the training's configuration, where the file does not hold it.
        data: the folder of the data sets: of the training images that int8 needs, and of the test images by which the
            loss of mAP is measured. That of the run when omitted.
        calibration_images: how many training samples set the ranges of int8.

    Raises:
        ValueError: what cannot be exported, or a file that does not compute what the model does; none is left then.
        FileNotFoundError: no such source or data.
    """
    source, out = Path(source), Path(out)
    check_request(to, out, dtype)
    if calibration_images < 1:
        raise ValueError(f"calibration_images: expected at least 1, got {calibration_images}")
    model, description = load_model(source, config)
    example = tensors_of(drawn_batch(description, 3), names_of(description))
    program = program_of(model, description.name, example)
    images = None if dtype == "fp32" else data_of(source, description, config, data)
    calibration = _calibration(images, description, calibration_images) if dtype == "int8" else []
    about = About(description, dtype, _versions())
    writer = module_of(to)
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / out.with_suffix(out.suffix.lower()).name
        reference = TorchBackend(model, "cpu")
        expected = None if images is None else images.score(reference)
        if to == "torchscript" and dtype == "bf16":
            half = load_model(source, config)[0]
            program = program_of(half, description.name, example, torch.bfloat16)
        writer.write(program, example, written, about, calibration)
        exported = writer.read(written)[1]
        found = agreement(description, reference, exported)
        found.check(dtype)
        accuracy = None
        if images is not None and expected is not None:
            accuracy = (expected.protocol, expected.mAP, images.score(exported).mAP)
        return Exported(_publish(written, out), found, accuracy)


def _calibration(images: RunData | None, model: ModelDescription, count: int) -> list[ModalBatch]:
    if images is None:
        raise ValueError(
            f"int8 is calibrated on training images, and none of {model.name} are known; give the folder of the data "
            "sets with --data, or choose --dtype fp16"
        )
    return images.training_batches(count)


def _publish(written: Path, out: Path) -> dict[Path, int]:
    """Bring the file, and its weights where they are apart, to their place."""
    sizes = {}
    for suffix in (".bin", written.suffix):  # the file that is loaded comes last
        part = written.with_suffix(suffix)
        if not part.is_file():
            continue
        place = out.with_suffix(suffix) if suffix == ".bin" else out
        with atomic_path(place) as temporary:
            shutil.copyfile(part, temporary)
        sizes[place] = place.stat().st_size
    return sizes


def _versions() -> dict[str, str]:
    found = {name: version_of(name) for name in _PACKAGES}
    return {name: version for name, version in found.items() if version != UNKNOWN}
