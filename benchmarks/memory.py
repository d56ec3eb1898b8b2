"""How much memory the features of a test set take while they are extracted, beside the features themselves.

A model that takes no time gives MSMT17's 94 000 images a descriptor of 3840 numbers each::

    python benchmarks/memory.py [--images 94000] [--width 3840] [--batch 256]
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Iterator
from typing import Any

import torch

import promptreid  # noqa: F401  (before torch: it sets how OpenMP waits)
from promptreid.engine.feature_extraction import features_of


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=94_000)
    parser.add_argument("--width", type=int, default=3840)
    parser.add_argument("--batch", type=int, default=256)
    args = parser.parse_args()
    before, size = peak(), args.images * args.width * 4 / 2**30
    extract = lambda rows: rows[:, None].float() + torch.ones(args.width)  # noqa: E731
    found = features_of(Loader(args.images, args.batch), extract, "gallery", normalize=True)
    assert found.features is not None
    taken = peak() - before
    print(f"{args.images} x {args.width}: features {size:.2f} GiB, taken at most {taken:.2f} GiB, {taken / size:.2f} x")


if __name__ == "__main__":
    main()
