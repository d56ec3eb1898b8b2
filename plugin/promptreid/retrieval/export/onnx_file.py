"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from promptreid.data.batch import ModalBatch
from promptreid.retrieval.export.about import About, unreadable
from promptreid.retrieval.export.program import OUTPUT, Program, arrays_of, names_of, traced

_QUANTISED = ["MatMul", "Gemm", "Conv"]


class OnnxBackend:
    """An ONNX Runtime session.

    Args:
        session: with the program's inputs.
        names: of these.
    """

    def __init__(self, session: Any, names: Sequence[str]) -> None:
        self.session, self.names = session, list(names)

    def __call__(self, batch: ModalBatch) -> Tensor:
        """Vectors (B, D) float32 on the CPU."""
        return torch.from_numpy(self.session.run([OUTPUT], arrays_of(batch, self.names))[0])


def write(
    program: Program, example: tuple[Tensor, ...], path: Path, about: About, images: Sequence[ModalBatch]
) -> None:
    """Write a program as an ONNX file.

    Args:
        program: in float32.
        example: its inputs, two samples or more.
        path: of the file.
        about: what it says of itself; its precision is that of the file.
        images: batches to calibrate int8 on.

    Raises:
        ValueError: the program cannot be traced.
    """
    import onnx

    names = names_of(about.model)
    plain = path.with_name("plain.onnx")
    traced(about.model.name, "ONNX", lambda: _export(program, example, names, plain))
    if about.precision == "int8":
        quantised = path.with_name("quantised.onnx")
        _quantise(plain, quantised, names, images)
        content = onnx.load(quantised)
    else:
        content = onnx.load(plain)
    if about.precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        content = convert_float_to_float16(content, keep_io_types=True)
    _strip(content.graph)
    onnx.helper.set_model_props(content, about.texts())
    onnx.save(content, path)


def read(path: Path, device: str | None = None, dtype: str = "float32") -> tuple[About, OnnxBackend]:
    """A session of a file, and what the file says.

    Args:
        path: of the file.
        device: ``"cpu"`` or ``"cuda"``; the CPU when omitted.
        dtype: as the file says.

    Raises:
        ValueError: not such a file, or no such device.
    """
    import onnxruntime

    wanted = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get((device or "cpu").partition(":")[0])
    found = onnxruntime.get_available_providers()
    if wanted not in found:
        raise ValueError(f"device: this ONNX Runtime has {', '.join(found)}, nothing for {device!r}")
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=[wanted])
    except Exception as error:
        raise unreadable(path, "ONNX", error) from None
    try:
        texts = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise unreadable(path, "ONNX", error) from None
    about = About.of_texts(texts, path)
    names = names_of(about.model)
    inputs = [part.name for part in session.get_inputs()]
    if sorted(inputs) != sorted(names) or [part.name for part in session.get_outputs()] != [OUTPUT]:
        raise ValueError(f"{path}: its inputs are {', '.join(inputs)}, not {', '.join(names)}; export it again")
    return about, OnnxBackend(session, names)


def to_plain_onnx(program: Program, example: tuple[Tensor, ...], path: Path, about: About) -> None:
    """The float32 program as an ONNX file without texts, for other converters.

    Raises:
        ValueError: the program cannot be traced.
    """
    traced(about.model.name, "ONNX", lambda: _export(program, example, names_of(about.model), path))


def _export(program: Program, example: tuple[Tensor, ...], names: Sequence[str], path: Path) -> None:
    batch = torch.export.Dim("batch")
    with _quiet():
        exported: Any = torch.onnx.export(
            program,
            example,
            dynamo=True,
            dynamic_shapes={name: {0: batch} for name in names},
            input_names=list(names),
            output_names=[OUTPUT],
            verbose=False,
        )
        exported.save(path)


def _strip(graph: Any) -> None:
    """Take out what the exporter notes of each node: source lines, with the paths of this machine."""
    for part in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


def _quantise(plain: Path, quantised: Path, names: Sequence[str], images: Sequence[ModalBatch]) -> None:
    """Weights and activations of matrix products and convolutions in 8 bits, by the ranges seen on the images."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.waiting: Iterator[dict[str, np.ndarray]] = iter([arrays_of(batch, names) for batch in images])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.waiting, None)

    with _quiet():
        quantize_static(
            plain,
            quantised,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=_QUANTISED,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters tell of each constant that they do not fold; that is of no use to a user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
