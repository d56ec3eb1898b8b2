"""What DMPT's training step costs beside full fine-tuning of the same tower on the same tokens, in one run.

    python benchmarks/dmpt.py [--samples 2] [--rounds 5]

CLIP ViT-B/16 with random weights, triples of 256 x 128, one thread. Times are processor time, which other work on the
machine changes little; steps of all cases take turns, and a figure is the median. "Kept" is what autograd saves for the
backward pass, each storage once, without the model's own weights. "Prefix kept": with a PrefixCache that knows
every image; the second table has the descriptors of the same images without one, as it is filled, and with it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)

import torch  # isort: skip
from torch import Tensor

from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.model import DMPT
from promptreid.methods.dmpt.options import DMPTOptions, dmpt, dmpt_s, dmpt_s_bind, dmpt_s_bind_m
from promptreid.methods.dmpt.prefix_cache import PrefixCache
from promptreid.models.parameter_count import count_parameters
from promptreid.models.saved_activations import kept_bytes

IDENTITIES = 171
CASES: dict[str, DMPTOptions] = {
    "full fine-tuning, same tokens": dmpt(frozen=False),
    "DMPT": dmpt(),
    "DMPT, tower kept in bfloat16": dmpt(frozen_dtype="bfloat16"),
    "S + bind + M": dmpt_s_bind_m(),
    "S + bind": dmpt_s_bind(),
    "S": dmpt_s(),
    "S in the last 6 blocks": dmpt_s(first_layer=7),
    "S in the last 3 blocks": dmpt_s(first_layer=10),
    "no prompts (linear probe)": DMPTOptions(semantic=False, words=False, bind=False, alignment=False),
}
LATE = ("S in the last 6 blocks", "S in the last 3 blocks")
WARM = ", prefix kept"
CASES |= {f"{name}{WARM}": CASES[name] for name in LATE}
LIMIT = 2**31


def batch(samples: int) -> tuple[dict[str, Tensor], Tensor]:
    """Complete triples, two samples of each identity."""
    inputs = {
        "images": torch.randn(samples, 3, 3, 256, 128),
        "modality": torch.arange(3).expand(samples, 3),
        "camera": torch.zeros(samples, dtype=torch.long),
        "present": torch.ones(samples, 3, dtype=torch.bool),
    }
    return inputs, torch.arange(samples) // 2


def step(model: DMPT, optimizer: torch.optim.Optimizer, inputs: Any, pids: Tensor) -> tuple[float, float]:
    """Processor seconds of the forward pass with the loss, and of the whole step."""
    criterion = DMPTLoss(alignment_weight=float(model.alignment is not None))
    start = time.process_time()
    loss = criterion(model(inputs), pids)[0]
    forward = time.process_time() - start
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return forward, time.process_time() - start


@torch.no_grad()
def extraction(model: DMPT, inputs: Any) -> float:
    """Processor seconds of a batch of descriptors."""
    model.eval()
    start = time.process_time()
    model(inputs)
    return time.process_time() - start


def print_extraction(models: dict[str, DMPT], inputs: Any, rounds: int) -> None:
    """A table of descriptors without a cache, with an empty one (whole batches and image by image) and a full one."""
    print("\n| descriptors | cache | ms | of none |\n|---|---|---|---|")
    caches = {"none": None, "empty": False, "empty, one by one": True, "full": None}
    for name in LATE:
        seconds: dict[str, list[float]] = {kind: [] for kind in caches}
        for number in range(rounds + 1):
            for kind, alone in caches.items():
                model = models[f"{name}{WARM}" if kind == "full" else name]
                if kind != "full":
                    model.prefix_cache = None if alone is None else PrefixCache(LIMIT, one_by_one=alone)
                measured = extraction(model, inputs)
                if number:
                    seconds[kind].append(measured)
        medians = {kind: 1000 * statistics.median(column) for kind, column in seconds.items()}
        for kind, median in medians.items():
            print(f"| {name} | {kind} | {median:.0f} | {median / medians['none']:.2f} |", flush=True)


def main() -> None:
    args = parse()
    torch.set_num_threads(1)
    inputs, pids = batch(args.samples)
    models, optimizers = {}, {}
    for name, options in CASES.items():
        torch.manual_seed(0)
        models[name] = build_dmpt(IDENTITIES, "prompt", pretrained=False, options=options).train()
        models[name].prefix_cache = PrefixCache(LIMIT) if name.endswith(WARM) else None  # the first round fills it
        optimizers[name] = torch.optim.Adam(models[name].parameters(), 3.5e-4, weight_decay=1e-4)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for number in range(args.rounds + 1):
        for name, model in models.items():
            measured = step(model, optimizers[name], inputs, pids)
            if number:  # the first round warms up
                seconds[name].append(measured)
    print(f"{args.samples} triples, torch {torch.__version__}, median of {args.rounds}")
    print("| model | trained, M | checkpoint, MB | kept, MB per image | ratio | forward, ms | step, ms | of full |")
    print("|---|---|---|---|---|---|---|---|")
    full: tuple[float, float] | None = None
    for name, model in models.items():
        kept = kept_bytes(model, inputs) / 1e6 / (3 * args.samples)
        forward, whole = (1000 * statistics.median(column) for column in zip(*seconds[name], strict=True))
        full = full or (kept, whole)
        trained = sum(part.trainable for part in count_parameters(model).values()) / 1e6
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()) / 1e6
        print(
            f"| {name} | {trained:.2f} | {size:.0f} | {kept:.1f} | {kept / full[0]:.2f} | {forward:.0f} "
            f"| {whole:.0f} | {whole / full[1]:.2f} |",
            flush=True,
        )
    print_extraction(models, inputs, args.rounds)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2, metavar="N", help="triples per step")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
