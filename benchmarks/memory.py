"""How much memory a training step takes, or the features of a test set while they are extracted.

The memory of a step, with ViT-B on any machine: bytes are counted in two small batches and continued to the recipe's::

    python benchmarks/memory.py dmpt/rgbnt201 --overlay profiles/8gb [--counted 4 6] [KEY VALUE ...]

A row without and one with the overlays is printed. Without a configuration, a model that takes no time gives MSMT17's
94 000 images a descriptor of 3840 numbers each, and what this takes beside the features themselves is printed::

    python benchmarks/memory.py [--images 94000] [--width 3840] [--batch 256]
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Iterator
from typing import Any

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)

import torch  # isort: skip

from promptreid.cli.arguments import add_configuration, read_configuration
from promptreid.cli.parsing import Parser, is_no_number, positive
from promptreid.engine.feature_extraction import features_of
from promptreid.runs.step_memory import BATCHES, IDENTITIES, step_memory

COLUMNS = ("weights", "gradients", "optimizer", "kept", "peak", "tested")


class Loader:
    """Batches of a test set whose images are their own numbers."""

    def __init__(self, images: int, batch: int) -> None:
        self.dataset, self.batch = range(images), batch

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for rows in torch.arange(len(self.dataset)).split(self.batch):
            yield {"img": rows, "pid": rows // 20, "camid": rows % 6}


def peak() -> float:
    """GiB that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def print_features(args: argparse.Namespace) -> None:
    before, size = peak(), args.images * args.width * 4 / 2**30
    extract = lambda rows: rows[:, None].float() + torch.ones(args.width)  # noqa: E731
    found = features_of(Loader(args.images, args.batch), extract, "gallery", normalize=True)
    assert found.features is not None
    taken = peak() - before
    print(f"{args.images} x {args.width}: features {size:.2f} GiB, taken at most {taken:.2f} GiB, {taken / size:.2f} x")


def print_steps(args: argparse.Namespace) -> None:
    print(f"GB (10^9 bytes) of tensors, counted at batches of {args.counted}, torch {torch.__version__}\n")
    print("| configuration | overlay | batch | weights | gradients | optimiser | kept | peak, step | peak, test |")
    print("|---|---|---|" + "---:|" * len(COLUMNS))
    given = args.overlays
    for overlays in [[], given] if given else [[]]:
        args.overlays = overlays
        found = step_memory(read_configuration(args, required=True), args.identities, args.counted)
        numbers = " | ".join(f"{getattr(found, name) / 1e9:.2f}" for name in COLUMNS)
        name = args.target or args.config_file
        print(f"| {name} | {', '.join(overlays) or '–'} | {found.batch} | {numbers} |", flush=True)


def main() -> None:
    args = parse()
    if args.target is None and args.config_file is None:
        print_features(args)
    else:
        torch.set_num_threads(1)
        print_steps(args)


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    add_configuration(parser)
    parser.add_list("--counted", ends=is_no_number, type=positive, default=list(BATCHES), help="two sizes of a batch")
    parser.add_argument("--identities", type=positive, default=IDENTITIES, help="in training")
    parser.add_argument("--images", type=int, default=94_000, help="whose features are extracted")
    parser.add_argument("--width", type=int, default=3840, help="numbers of a descriptor")
    parser.add_argument("--batch", type=int, default=256, help="images in a batch of tests")
    return parser.parse(sys.argv[1:])


if __name__ == "__main__":
    main()
