"""Exported programs. Whoever runs one trusts it; a damaged file is an error all the same."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper
from tests.fuzz.outcome import Target
from tests.fuzz.targets.tables import of_file
from tests.fuzz.targets.vectors import MODEL_OF

from promptreid.retrieval.export import onnx_file
from promptreid.retrieval.export.about import MODEL, PRECISION, VERSIONS
from promptreid.retrieval.export.program import OUTPUT, names_of


def _read(file: Path) -> object:
    return onnx_file.read(file)


def _seeds() -> list[bytes]:
    names = names_of(MODEL_OF)
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in names]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 2])
    nodes = [helper.make_node("Sum", names, [OUTPUT])]
    model = helper.make_model(
        helper.make_graph(nodes, "toy", inputs, [output]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.helper.set_model_props(model, {MODEL: MODEL_OF.to_json(), PRECISION: "fp32", VERSIONS: "{}"})
    return [model.SerializeToString()]


WORDS = (b"Sum", b"promptreid.model", b"fp32", b"batch", b"images", b"location", b"/etc/passwd", b"../a")

TARGETS = [Target("onnx", of_file("a.onnx", _read), _seeds, WORDS)]
