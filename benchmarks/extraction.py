"""Features by PyTorch, ONNX Runtime and OpenVINO, in one run: seconds for a batch, and the ratio to PyTorch in float32.

MIP and DMPT with a ViT-B/16, random weights, 256 x 128, batches of 8 images (of DMPT: 8 triples)::

    python benchmarks/extraction.py [--models mip dmpt] [--batch 8] [--repeats 5] [--threads 2]

int8 is calibrated on drawn images, so its speed is measured and not its accuracy. The backends take turns, so that a
busy machine slows all of them down alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.mip.model import build_mip
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.export.about import About
from promptreid.retrieval.export.agreement import drawn_batch
from promptreid.retrieval.export.formats import module_of
from promptreid.retrieval.export.program import names_of, program_of, tensors_of
from promptreid.retrieval.torch_backend import TorchBackend

SIZE = (256, 128)
FILES = (
    ("onnx", "fp32", ".onnx"),
    ("openvino", "fp32", ".xml"),
    ("openvino", "bf16", ".xml"),
    ("openvino", "int8", ".xml"),
)


def mip() -> tuple[nn.Module, ModelDescription]:
    model = build_mip(395, pretrained=False, image_size=SIZE).eval()
    return model, described(model, "mip", ("visible", "infrared"), 1, 6)


def dmpt() -> tuple[nn.Module, ModelDescription]:
    model = build_dmpt(171, pretrained=False, image_size=SIZE).eval()
    return model, described(model, "dmpt", ("visible", "near_infrared", "thermal_infrared"), 3, 0)


MODELS = {"mip": mip, "dmpt": dmpt}


@torch.no_grad()
def described(model: nn.Module, name: str, bands: tuple[str, ...], slots: int, cameras: int) -> ModelDescription:
    width = model(torch.zeros(1, slots, 3, *SIZE)).shape[1]
    mean = std = (0.5, 0.5, 0.5)
    return ModelDescription(name, "0" * 64, bands, slots, *SIZE, mean, std, width, None, cameras=cameras)


def backends(model: nn.Module, about: ModelDescription, folder: Path) -> dict[str, Any]:
    """What is timed, by name."""
    found = {f"PyTorch {dtype}": TorchBackend(model, "cpu", dtype) for dtype in ("float32", "bfloat16")}
    example = tensors_of(drawn_batch(about, 3), names_of(about))
    program = program_of(model, about.name, example)
    for kind, precision, suffix in FILES:
        module = module_of(kind)
        path = folder / f"{precision}{suffix}"
        images = [drawn_batch(about, 1, seed) for seed in range(8)] if precision == "int8" else []
        try:
            module.write(program, example, path, About(about, precision, {}), images)
            found[f"{kind} {precision}"] = module.read(path)[1]
        except (ImportError, ValueError) as error:
            print(f"{about.name}: {kind} {precision} is left out: {str(error).splitlines()[0]}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
    print("| model | runtime | s / batch | ratio |\n|---|---|---|---|")
    for name in args.models:
        torch.manual_seed(0)
        model, about = MODELS[name]()
        batch = drawn_batch(about, args.batch)
        with tempfile.TemporaryDirectory() as folder:
            timed = backends(model, about, Path(folder))
            seconds: dict[str, list[float]] = {key: [] for key in timed}
            for _ in range(args.repeats + 1):
                for key, backend in timed.items():
                    start = time.perf_counter()
                    backend(batch)
                    seconds[key].append(time.perf_counter() - start)
            medians = {key: statistics.median(values[1:]) for key, values in seconds.items()}
        base = medians["PyTorch float32"]
        for key, value in medians.items():
            print(f"| {name} | {key} | {value:.3f} | {base / value:.2f} |", flush=True)


if __name__ == "__main__":
    main()
