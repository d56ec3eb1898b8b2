"""Where the time of a training step goes: MIP and DMPT with ViT-B, 256 x 128, through the whole engine.

    python benchmarks/training.py
    python benchmarks/training.py --models mip --batch 64 128 --steps 50   # on a GPU

Rendered images are loaded and augmented as the configurations of SYSU-MM01 and RGBNT201 say; weights are random, which
changes no time. Each figure is the median over the steps; "rest" of a step is the copy to the GPU and the wait for the
losses. A batch is counted in samples, images a second in images, of which DMPT's samples have three. On a GPU the
phases are waited for, which costs a little.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)

import torch  # isort: skip

from promptreid.config import load_config
from promptreid.engine.checkpoints.random_state import seed_everything
from promptreid.engine.step_timer import PHASES, StepTimer
from promptreid.engine.train_engine import PromptEngine
from promptreid.runs.build import build_datamanager, build_engine, build_model
from promptreid.synthetic import FOLDERS, write_tree

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
# Configuration, data set, samples of an identity, images of a sample.
MODELS: dict[str, tuple[str, str, int, int]] = {
    "mip": ("mip/sysu_mm01.yaml", "sysu_mm01", 4, 1),
    "dmpt": ("dmpt/rgbnt201.yaml", "rgbnt201", 2, 3),
}
CUDA = torch.cuda.is_available()


def render(root: Path, model: str, batch: int) -> None:
    """As many identities as the largest batch needs, and some for the test set, which every data set must have."""
    _, like, instances, _ = MODELS[model]
    identities = 2 * batch // instances + 8
    write_tree(like, root / FOLDERS[like], ids=identities, seed=0, frames=4, size=(256, 128))


def config(root: Path, model: str, case: dict[str, Any]) -> Any:
    file, _, instances, _ = MODELS[model]
    settings = {
        "data.root": str(root),
        "data.workers": case["workers"],
        "data.persistent_workers": case["workers"] > 0,
        "model.pretrained": False,
        "sampler.num_instances": instances,
        "train.batch_size": case["batch"],
        "train.amp": case["precision"] == "bf16",
        "train.compile": case["compile"],
    }
    return load_config(CONFIGS / file, overrides=settings)


def built(cfg: Any, model: Any) -> PromptEngine:
    """An engine, of ``model`` or of a new one."""
    with contextlib.redirect_stdout(io.StringIO()):  # torchreid's summary
        seed_everything(0)
        manager = build_datamanager(cfg, CUDA)
        model = model or build_model(cfg, manager, CUDA)
        return build_engine(cfg, manager, model.cuda() if CUDA else model, CUDA)


def batches_of(engine: PromptEngine) -> Iterator[Any]:
    for epoch in itertools.count():
        engine.datamanager.set_epoch(epoch)
        yield from engine.train_loader


def measure(engine: PromptEngine, steps: int, warmup: int) -> dict[str, float]:
    """Median seconds of a step and of its phases, and GiB of GPU memory at the peak."""
    engine.set_model_mode("train")
    batches = batches_of(engine)
    seconds: list[dict[str, float]] = []
    if CUDA:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(warmup + steps):
        start = time.perf_counter()
        engine.timer = StepTimer(CUDA)
        engine.timer.begin()
        with engine.timer.phase("data"):
            batch = next(batches)
        engine.forward_backward(batch)
        seconds.append({**engine.timer.seconds, "step": time.perf_counter() - start})
    medians = {name: statistics.median(one[name] for one in seconds[warmup:]) for name in ("step", *PHASES)}
    return {**medians, "peak": torch.cuda.max_memory_allocated() / 2**30 if CUDA else float("nan")}


def row(model: str, case: dict[str, Any], measured: dict[str, float]) -> str:
    images = case["batch"] * MODELS[model][3]
    rest = measured["step"] - sum(measured[name] for name in PHASES)
    parts = " | ".join(f"{1000 * value:.0f}" for value in (*(measured[name] for name in PHASES), rest))
    peak = f"{measured['peak']:.1f}" if CUDA else ""
    return (
        f"| {model} | {case['batch']} | {case['precision']} | {'yes' if case['compile'] else 'no'} | {case['workers']} "
        f"| {1000 * measured['step']:.0f} | {parts} | {images / measured['step']:.2f} | {peak} |"
    )


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    where = torch.cuda.get_device_name() if CUDA else f"CPU, {args.threads} threads"
    print(f"ViT-B, 256 x 128, {where}, torch {torch.__version__}, median of {args.steps} steps after {args.warmup}\n")
    print("| model | batch | precision | compiled | workers | step, ms | " + " | ".join(f"{p}, ms" for p in PHASES)
          + " | rest, ms | images/s | peak, GiB |")  # fmt: skip
    print("|" + "---|" * 5 + "---:|" * 8)
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            render(Path(folder), model, max(args.batch or DEFAULT_BATCH[model]))
            for compiled, precision, batch in itertools.product(
                args.compile, args.precision, args.batch or DEFAULT_BATCH[model]
            ):
                network: Any = None  # loaders with and without workers feed the same one
                for workers in args.workers:
                    case = {"batch": batch, "precision": precision, "workers": workers, "compile": compiled == "on"}
                    engine = built(config(Path(folder), model, case), network)
                    network = engine.model
                    print(row(model, case, measure(engine, args.steps, args.warmup)), flush=True)
                    del engine
                del network
                gc.collect()
                torch.compiler.reset()


DEFAULT_BATCH = {"mip": [64, 128], "dmpt": [64, 128]} if CUDA else {"mip": [8], "dmpt": [4]}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch", nargs="+", type=int, metavar="N", help="samples; by default 64 128, on a CPU 8 or 4")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--workers", nargs="+", type=int, metavar="N", default=[0, 2])
    parser.add_argument("--compile", nargs="+", choices=("off", "on"), default=["off", "on"] if CUDA else ["off"])
    parser.add_argument("--steps", type=int, metavar="N", default=20 if CUDA else 3)
    parser.add_argument("--warmup", type=int, metavar="N", default=5 if CUDA else 1)
    parser.add_argument("--threads", type=int, metavar="N", default=2, help="of the CPU")
    return parser.parse_args()


if __name__ == "__main__":
    main()
