"""Render a synthetic data set: promptreid render --like sysu_mm01 --out DIR --ids 200 --seed 0."""

from __future__ import annotations

import argparse

from promptreid.cli.choices import RENDERED_DATA
from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument(
        "--like", required=True, metavar="NAME", help=f"the data set whose layout to copy: {', '.join(RENDERED_DATA)}"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="a new folder; it appears when it is complete")
    parser.add_argument("--ids", required=True, type=int, metavar="N", help="number of identities")
    parser.add_argument(
        "--seed",
        required=True,
        type=int,
        metavar="N",
        help="seed; another seed gives other subjects, cameras and splits",
    )
    _add_size(parser)
    parser.add_argument(
        "--renderer",
        type=int,
        metavar="N",
        help="version of the renderer, how the bands relate: 1 as in releases before 0.2, 2 as in real triples; "
        "default: the newest",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="number of processes; the images are the same with any; default: %(default)s",
    )


def _add_size(parser: Parser) -> None:
    """How many images, how large, and which of them are for training."""
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="images per identity, camera and modality; default: the data set's own, 2 to 10",
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="height and width in pixels, both even; default: 128 64 for people and 128 256 for vehicles; strips allow "
        "only the default",
    )
    split = parser.add_mutually_exclusive_group()
    split.add_argument(
        "--train-fraction",
        type=float,
        metavar="SHARE",
        help="share of the identities to train on; default: 0.6 for sysu_mm01, else the real one",
    )
    split.add_argument("--test-ids", type=int, metavar="N", help="number of identities to test on")


def run(args: argparse.Namespace) -> None:
    """Render, and print how many images there are."""
    from promptreid.synthetic import RENDERER, write_tree

    count = write_tree(
        args.like,
        args.out,
        args.ids,
        args.seed,
        frames=args.frames,
        size=None if args.size is None else tuple(args.size),
        train_fraction=args.train_fraction,
        test_ids=args.test_ids,
        renderer=RENDERER if args.renderer is None else args.renderer,
        workers=args.workers,
    )
    print(f"{count} images in {args.out}")
