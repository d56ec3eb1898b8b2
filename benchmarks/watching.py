"""What it costs to tell TensorBoard what a training does: MIP's quickstart model, with everything on and off in turn.

    python benchmarks/watching.py
    python benchmarks/watching.py --batch 64 --size 256 128 --epochs 20   # on a GPU

A step is one batch, from its forward pass until it is logged. Within a run, seven steps are told and seven are not, in
turn, so that the machine's drift meets both alike; the first five steps do not count. Beside the medians stands what
the calls themselves take: of a step, after an epoch (batches, histograms, cosines), and after a test (curves, ranked
lists, projector).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)

import torch  # isort: skip

from promptreid.config import load_config
from promptreid.config.kwargs import engine_run_kwargs
from promptreid.engine.checkpoints.random_state import seed_everything
from promptreid.runs.build import build_datamanager, build_engine, build_model
from promptreid.synthetic import write_tree

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "mip" / "quickstart.yaml"
CUDA = torch.cuda.is_available()
CALLS = ("step", "keep_batch", "epoch", "tested", "finished")
WARMUP, BLOCK = 5, 7


def config(root: Path, folder: Path, args: argparse.Namespace, loggers: list[str]) -> Any:
    settings = {
        "data.root": str(root), "data.save_dir": str(folder), "data.synthetic.like": "", "data.workers": 0,
        "data.height": args.size[0], "data.width": args.size[1], "train.batch_size": args.batch,
        "train.max_epoch": args.epochs, "train.warmup_epochs": 0, "train.print_freq": 10, "train.loggers": loggers,
        "test.eval_freq": args.epochs, "test.protocols": ["sysu-python all 1-shot"],
    }  # fmt: skip
    return load_config(QUICKSTART, overrides=settings)


@contextlib.contextmanager
def timed(owner: Any, name: str, seconds: list[float]) -> Iterator[None]:
    """Add the seconds of each call of a method of an object."""
    method = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    setattr(owner, name, call)
    yield
    setattr(owner, name, method)


def train(cfg: Any) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of the steps that are told (``on``) and are not (``off``), and of each call of the watch."""
    seed_everything(0)
    manager = build_datamanager(cfg, CUDA)
    model = build_model(cfg, manager, CUDA)
    engine = build_engine(cfg, manager, model.cuda() if CUDA else model, CUDA)
    calls: dict[str, list[float]] = defaultdict(list)
    steps: dict[str, list[float]] = defaultdict(list)
    forward, logged = engine.forward_backward, engine._log_batch
    state: dict[str, Any] = {"number": 0}

    def begin(batch: Any) -> Any:
        state["told"] = "on" if state["number"] // BLOCK % 2 else "off"
        state["loggers"] = engine.watch._loggers
        if state["told"] == "off":
            engine.watch._loggers = []
        state["start"] = time.perf_counter()
        return forward(batch)

    def end(*args: Any) -> None:
        logged(*args)
        seconds = time.perf_counter() - state["start"]
        engine.watch._loggers = state["loggers"]
        state["number"] += 1
        if state["number"] > WARMUP:
            steps[state["told"]].append(seconds)

    setattr(engine, "forward_backward", begin)  # noqa: B010  (methods, to a type checker)
    setattr(engine, "_log_batch", end)  # noqa: B010
    with contextlib.ExitStack() as stack:
        for name in CALLS:
            stack.enter_context(timed(engine.watch, name, calls[name]))
        engine.run(**engine_run_kwargs(cfg))
    return steps, calls


def quiet(work: Callable[[], Any]) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # torchreid's summary
        return work()


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    where = torch.cuda.get_device_name() if CUDA else f"CPU, {args.threads} threads"
    print(f"{where}, {args.batch} images of {args.size[0]} x {args.size[1]}\n")
    print("| logger | steps | off, ms | on, ms | ratio | told in a step, ms | of a step | an epoch, s | a test, s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_tree("sysu_mm01", root / "SYSU-MM01", ids=args.ids, seed=0, frames=4, size=tuple(args.size))
        for name in args.loggers:
            cfg = config(root, root / name, args, [name])
            steps, calls = quiet(lambda cfg=cfg: train(cfg))
            print(row(name, steps, calls), flush=True)


def row(name: str, steps: dict[str, list[float]], calls: dict[str, list[float]]) -> str:
    off, on = (statistics.median(steps[each]) for each in ("off", "on"))
    told = 2 * statistics.mean(calls["step"])  # half of the calls had nobody to tell
    after = [statistics.median(calls[part]) for part in ("epoch", "tested")]
    return (
        f"| {name} | {len(steps['off'])} + {len(steps['on'])} | {1000 * off:.1f} | {1000 * on:.1f} | {on / off:.3f} "
        f"| {1000 * told:.3f} | {100 * told / off:.2f} % | {after[0]:.2f} | {after[1]:.2f} |"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loggers", nargs="+", metavar="NAME", default=["tensorboard"])
    parser.add_argument("--batch", type=int, metavar="N", default=64 if CUDA else 32)
    parser.add_argument("--size", nargs=2, type=int, metavar="PIXELS", default=[128, 64], help="height and width")
    parser.add_argument("--ids", type=int, metavar="N", default=60, help="rendered identities")
    parser.add_argument("--epochs", type=int, metavar="N", default=10)
    parser.add_argument("--threads", type=int, metavar="N", default=2, help="of the CPU")
    return parser.parse_args()


if __name__ == "__main__":
    main()
