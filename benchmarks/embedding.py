"""Whether reading and the network overlap: a whole ``promptreid embed`` beside the slower of its halves, in one run.

MIP with random weights on rendered pedestrians, JPEG files of 256 x 128; the network has one thread, files are read by
as many workers as are named::

    python benchmarks/embedding.py [--sizes base tiny] [--images 256] [--workers 1] [--rounds 3]

``reading`` is the same job with a backend that returns zeros, ``network`` the backend alone on a batch that is there.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)
from promptreid.data.batch import ModalBatch
from promptreid.methods.base import MODELS
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embed_job import embed_to_file
from promptreid.retrieval.embedder import Embedder
from promptreid.retrieval.export.agreement import drawn_batch
from promptreid.retrieval.object_lists import ObjectList
from promptreid.retrieval.objects import objects_of
from promptreid.retrieval.torch_backend import TorchBackend
from promptreid.synthetic import write_tree

HEIGHT, WIDTH, BATCH = 256, 128, 8


def model_of(size: str) -> tuple[TorchBackend, ModelDescription]:
    torch.manual_seed(0)
    model = MODELS[f"mip_vit_{size}_patch16"](395, pretrained=False).eval()
    with torch.inference_mode():
        width = model(torch.zeros(1, 1, 3, HEIGHT, WIDTH)).shape[1]
    half = (0.5, 0.5, 0.5)
    about = ModelDescription("mip", "0" * 64, ("visible", "infrared"), 1, HEIGHT, WIDTH, half, half, width, None)
    return TorchBackend(model, "cpu"), about


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(size: str, files: list[Path], args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Medians of the whole job and of its halves, which take turns."""
    backend, about = model_of(size)
    objects = ObjectList(objects_of([str(file) for file in files], about, "visible", None)[0], {})

    def nothing(batch: ModalBatch) -> torch.Tensor:
        return torch.ones(len(batch["present"]), about.width_of_vector)

    def job(chosen: Any) -> None:
        embed_to_file(Embedder(about, chosen, BATCH, args.workers), objects, folder / "out.safetensors", overwrite=True)

    batch = drawn_batch(about, BATCH)
    works: dict[str, Callable[[], object]] = {
        "reading": lambda: job(nothing),
        "network": lambda: [backend(batch) for _ in range(-(-len(files) // BATCH))],
        "whole": lambda: job(backend),
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(args.rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=("base", "small", "tiny"), default=["base", "tiny"])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{args.images} images, {args.workers} workers, one thread, medians of {args.rounds}\n")
    print("| ViT | reading, s | network, s | whole, s | whole / slower half |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tree("sysu_mm01", folder / "data", ids=16, seed=0, frames=4, size=(HEIGHT, WIDTH))
        files = sorted((folder / "data").rglob("*.jpg"))[: args.images]
        for size in args.sizes:
            found = measure(size, files, args, folder)
            ratio = found["whole"] / max(found["reading"], found["network"])
            print(f"| {size} | {found['reading']:.2f} | {found['network']:.2f} | {found['whole']:.2f} | {ratio:.2f} |",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
