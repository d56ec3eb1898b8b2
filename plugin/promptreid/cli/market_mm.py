"""Make Market1501-MM from Market-1501: promptreid market-mm data/market1501 --out data/Market1501-MM.

Near infrared is the grey version of an image, visible the image darkened by 60 %. Thermal infrared cannot be made: it
is the output of the authors' CycleGAN. --tir copies your own files of it; without, the set has two modalities.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from promptreid.cli.parsing import Parser, positive

if TYPE_CHECKING:
    from promptreid.datasets.market_mm_maker import Made

_KEEP = "read this set with data.incomplete keep"


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("market", metavar="MARKET", help="the folder of Market-1501, or the one that holds it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder; it appears when complete")
    parser.add_argument(
        "--tir", type=Path, metavar="DIR", help="folder with your thermal images, under Market's names, at any depth"
    )
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="threads; default: %(default)s")


def run(args: argparse.Namespace) -> None:
    """Write the images, and print how many there are."""
    from promptreid.datasets.market_mm_maker import make_market_mm
    from promptreid.engine.epoch_meter import progress

    made = make_market_mm(
        args.market, args.out, args.tir, workers=args.workers, watch=lambda samples: progress(samples, "writing")
    )
    counts = ", ".join(f"{count} {split}" for split, count in made.samples.items())
    print(f"{counts} samples in {args.out}")
    print(_about_thermal(made, given=args.tir is not None))


def _about_thermal(made: Made, given: bool) -> str:
    if not given:
        return (
            "no thermal images: they are the output of the authors' CycleGAN and cannot be made from RGB; give yours "
            f"with --tir, or {_KEEP}"
        )
    if made.lacking:
        return f"{len(made.lacking)} samples have no thermal image ({made.lacking[0]}, ...); to use them, {_KEEP}"
    return "all of them have their thermal image"
