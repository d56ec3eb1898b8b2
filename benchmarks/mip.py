"""MIP's optimised form against its reference form, in one run: images/s, peak memory, FLOPs.

The reference form runs every block on whole sequences with hand-written attention, as published; both give the same
numbers (tests/methods/mip/test_model.py). ViT-B/16, 256 x 128, stride 12, batch 8::

    python benchmarks/mip.py [--preset mip_release] [--threads 2] [--repeats 5]

Every case runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)
from promptreid.methods.mip.loss import MIPLoss
from promptreid.methods.mip.model import build_mip, mip_paper, mip_release

PRESETS = {"mip_paper": mip_paper, "mip_release": mip_release}
CASES = [(form, job, precision) for job in ("train", "extract") for precision in ("fp32", "bf16")
         for form in ("reference", "optimised")]  # fmt: skip


def build(form: str, preset: str, job: str) -> tuple[Any, Any]:
    torch.manual_seed(0)
    options = PRESETS[preset]()
    model = build_mip(
        395, "prompt", pretrained=False, options=options, image_size=(256, 128), reference=form == "reference"
    )
    # Before epoch 10, so without MSEL, as most of the field's step times are given.
    criterion = MIPLoss.paper() if options.iael else MIPLoss(iael_weight=0.0)
    # Without gradients also as far as the FLOP counter's hooks see it.
    return model.train(job == "train").requires_grad_(job == "train"), criterion


def batch(size: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    half = torch.arange(size) % 2
    inputs = {
        "images": torch.randn(size, 1, 3, 256, 128),
        "modality": half[:, None],
        "camera": half * 2,
        "present": torch.ones(size, 1, dtype=torch.bool),
    }
    return inputs, torch.arange(size) // 4


def measure(form: str, job: str, precision: str, preset: str, size: int, repeats: int) -> dict[str, float]:
    model, criterion = build(form, preset, job)
    inputs, pids = batch(size)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            if job == "extract":
                with torch.no_grad():
                    model(inputs)
                return
            output = model(inputs)
        for name in ("logits", "features", "prompt_logits"):
            output[name] = [value.float() for value in output[name]]
        optimizer.zero_grad()
        criterion(output, pids)[0].backward()
        optimizer.step()

    counter = FlopCounterMode(display=False)
    with counter:
        step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {
        "images_per_second": size / statistics.median(seconds),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "gflops_per_image": counter.get_total_flops() / size / 1e9,
    }


def in_process(case: tuple[str, str, str], args: argparse.Namespace) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--case", *case, "--preset", args.preset, "--threads", str(args.threads),
         "--repeats", str(args.repeats), "--batch", str(args.batch)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="mip_release")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.case:
        print(json.dumps(measure(*args.case, args.preset, args.batch, args.repeats)))
        return
    print(f"{args.preset}, ViT-B/16, 256 x 128, stride 12, batch {args.batch}, {args.threads} threads, "
          f"torch {torch.__version__}, median of {args.repeats}")  # fmt: skip
    print("| job | precision | form | images/s | ratio | peak MiB | GFLOP/image |")
    print("|---|---|---|---|---|---|---|")
    baseline: dict[str, float] = {}
    for form, job, precision in CASES:
        result = in_process((form, job, precision), args)
        baseline.setdefault(job, result["images_per_second"])  # the fp32 reference comes first
        ratio = result["images_per_second"] / baseline[job]
        print(f"| {job} | {precision} | {form} | {result['images_per_second']:.2f} | {ratio:.2f} | "
              f"{result['peak_mib']:.0f} | {result['gflops_per_image']:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
