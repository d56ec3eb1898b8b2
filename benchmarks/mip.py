"""MIP's optimised form against its reference form, in one run: images/s, peak memory, FLOPs.

The reference form runs every block on whole sequences with hand-written attention, as published; both give the same
numbers (tests/methods/mip/test_model.py). ViT-B/16, 256 x 128, stride 12, batch 8::

    python benchmarks/mip.py [--preset mip_release] [--threads 2] [--repeats 5] [--log runs.jsonl]

Every case has a process of its own, so that its peak memory is its own. The cases of a job take turns, a step each, so
that a machine that slows down slows all of them. ``--log`` keeps each run's ratios and prints the spread of all runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)
from promptreid.methods.mip.loss import MIPLoss
from promptreid.methods.mip.model import build_mip, mip_paper, mip_release

PRESETS = {"mip_paper": mip_paper, "mip_release": mip_release}
CASES = [(form, precision) for precision in ("fp32", "bf16") for form in ("reference", "optimised")]


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


def serve(form: str, job: str, precision: str, preset: str, size: int) -> dict[str, float]:
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
    print("ready", flush=True)
    for _ in sys.stdin:  # a line asks for a step
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)
    return {
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "gflops_per_image": counter.get_total_flops() / size / 1e9,
    }


class Case:
    """A process that makes a step whenever it is asked to."""

    def __init__(self, case: tuple[str, str, str], args: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--case", *case, "--preset", args.preset]
        command += ["--threads", str(args.threads), "--batch", str(args.batch)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds: list[float] = []
        self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of a case ended with {self.process.wait()}")
        return line

    def step(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.answer()))

    def end(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.close()
        result: dict[str, float] = json.loads(self.answer())
        self.process.wait()
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="mip_release")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--log", type=Path, help="JSON lines: this run is added, and the spread of all printed")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        torch.set_num_threads(args.threads)
        print(json.dumps(serve(*args.case, args.preset, args.batch)))
        return
    print(f"{args.preset}, ViT-B/16, 256 x 128, stride 12, batch {args.batch}, {args.threads} threads, "
          f"torch {torch.__version__}, medians of {args.repeats}")  # fmt: skip
    print("| job | precision | form | images/s | ratio | peak MiB | GFLOP/image |")
    print("|---|---|---|---|---|---|---|")
    ratios: dict[str, float] = {}
    for job in ("train", "extract"):
        cases = {each[::-1]: Case((each[0], job, each[1]), args) for each in CASES}
        for _ in range(args.repeats):
            for case in cases.values():
                case.step()
        base = statistics.median(next(iter(cases.values())).seconds)  # the fp32 reference comes first
        for (precision, form), case in cases.items():
            seconds = statistics.median(case.seconds)
            ratios[f"{job} {precision} {form}"] = base / seconds
            result = case.end()
            print(f"| {job} | {precision} | {form} | {args.batch / seconds:.2f} | {base / seconds:.2f} | "
                  f"{result['peak_mib']:.0f} | {result['gflops_per_image']:.1f} |", flush=True)  # fmt: skip
    if args.log:
        spread(args.log, f"{args.preset}, batch {args.batch}", ratios)


def spread(path: Path, setting: str, ratios: dict[str, float]) -> None:
    """Add a run to the file, and print what the ratios were in all of its runs of this setting."""
    run = {"time": time.strftime("%Y-%m-%d %H:%M"), "setting": setting, "ratios": ratios}
    with path.open("a") as file:
        file.write(json.dumps(run) + "\n")
    runs = [each for each in map(json.loads, path.read_text().splitlines()) if each["setting"] == setting]
    print(f"\n{len(runs)} runs from {runs[0]['time']} to {runs[-1]['time']}: smallest and largest ratio")
    for case in ratios:
        found = [each["ratios"][case] for each in runs]
        print(f"| {case} | {min(found):.2f} | {max(found):.2f} |")


if __name__ == "__main__":
    main()
