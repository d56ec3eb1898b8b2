"""Render a synthetic data set: python tools/make_synthetic.py --like sysu_mm01 --out DIR --ids 200 --seed 0."""

from __future__ import annotations

import argparse
from typing import NoReturn

from promptreid.command import run_tool
from promptreid.synthetic import TREES, write_tree


class Parser(argparse.ArgumentParser):
    """Reports a mistyped command in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("--like", required=True, help=f"the data set to look like: {', '.join(sorted(TREES))}")
    parser.add_argument("--out", required=True, metavar="DIR", help="a new folder; it appears when it is complete")
    parser.add_argument("--ids", required=True, type=int, help="number of identities")
    parser.add_argument("--seed", required=True, type=int, help="another seed: other subjects, cameras and splits")
    parser.add_argument(
        "--frames", type=int, help="images per identity, camera and modality; the data set's own, 2 to 10, if not set"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="pixels, both even; 128 64 for people and 128 256 for vehicles if not set, and nothing else for strips",
    )
    split = parser.add_mutually_exclusive_group()
    split.add_argument(
        "--train-fraction",
        type=float,
        help="share of the identities to train on; 0.6 for sysu_mm01, else the real one if not set",
    )
    split.add_argument("--test-ids", type=int, help="number of identities to test on")
    parser.add_argument("--workers", type=int, default=1, help="processes; the images don't depend on it")
    return parser.parse_args()


def main() -> None:
    args = parse()
    count = write_tree(
        args.like,
        args.out,
        args.ids,
        args.seed,
        frames=args.frames,
        size=None if args.size is None else tuple(args.size),
        train_fraction=args.train_fraction,
        test_ids=args.test_ids,
        workers=args.workers,
    )
    print(f"{count} images in {args.out}")


if __name__ == "__main__":
    run_tool(main)
