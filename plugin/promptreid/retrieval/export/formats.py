"""Kinds of exported files, and the code that opens them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module, util
from pathlib import Path
from typing import Any

from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embedder import Backend

SUFFIXES = {"onnx": (".onnx",), "openvino": (".xml",), "torchscript": (".pt2", ".torchscript")}
"""The kinds, and how their files' names end."""
_MODULES = {"onnx": "onnx_file", "openvino": "openvino_file", "torchscript": "torchscript_file"}
_PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torchscript": ("fp32", "bf16"),
}
_NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino", "onnx", "onnxscript")}
_EXTRAS = {"onnx": "export", "openvino": "openvino"}
_WHY = {
    ("onnx", "bf16"): "ONNX Runtime has no bfloat16 operators for a CPU",
    ("torchscript", "fp16"): "PyTorch has no half-precision attention for a CPU in every version; take bf16",
    ("torchscript", "int8"): "TorchScript files are not quantised",
}


def module_of(kind: str) -> Any:
    """Module that writes and reads files of a kind, with functions ``write`` and ``read``."""
    return import_module(f"promptreid.retrieval.export.{_MODULES[kind]}")


def kind_of(path: Path) -> str | None:
    """The kind of an exported file by its name; None for others."""
    return next((kind for kind, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes), None)


def check_request(kind: str, path: Path, precision: str) -> None:
    """Refuse an impossible export before any computation.

    Raises:
        ValueError: an unknown kind, a name that does not end as the kind's do, a precision that the kind lacks, or a
            package that is not installed.
    """
    if kind not in SUFFIXES:
        raise ValueError(f"{kind!r} is none of {', '.join(SUFFIXES)}")
    if path.suffix.lower() not in SUFFIXES[kind]:
        raise ValueError(f"{path}: files of {kind} end in {' or '.join(SUFFIXES[kind])}, so that they can be loaded")
    if precision not in _PRECISIONS[kind]:
        why = _WHY.get((kind, precision), "there is no such precision")
        raise ValueError(f"{kind} files are written in {', '.join(_PRECISIONS[kind])}, not in {precision}: {why}")
    _check_installed(kind, (*_NEEDED.get(kind, ()), *(["nncf"] if (kind, precision) == ("openvino", "int8") else [])))


def opened(path: Path, device: str | None = None, dtype: str = "float32") -> tuple[ModelDescription, Backend]:
    """Open an exported file: its description and its backend.

    Args:
        path: of the file.
        device: where it runs, in the words of :func:`promptreid.load`.
        dtype: ``"float32"`` computes as the file says; ``"bfloat16"`` is OpenVINO's alone.

    Raises:
        ValueError: not an exported file, a broken one, a device or dtype that its runtime lacks, or a runtime that is
            not installed.
    """
    kind = kind_of(path)
    if kind is None:
        raise ValueError(
            f"{path}: exported files end in {', '.join(name for names in SUFFIXES.values() for name in names)}"
        )
    _check_installed(kind, _NEEDED.get(kind, ())[-1:] if kind == "onnx" else _NEEDED.get(kind, ())[:1])
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"dtype: {dtype!r} is none of float32, bfloat16")
    if dtype == "bfloat16" and kind != "openvino":
        raise ValueError(f"{path}: the precision of {kind} files is chosen when they are exported (--dtype)")
    about, backend = module_of(kind).read(path, device, dtype)
    return about.model, backend


def _check_installed(kind: str, packages: Sequence[str]) -> None:
    missing = [name for name in packages if util.find_spec(name) is None]
    if missing:
        raise ValueError(f"{kind} needs {', '.join(missing)}: pip install 'promptreid[{_EXTRAS[kind]}]'")
