"""Convert a checkpoint: promptreid convert mip-release transformer_best.pth weights/mip_sysu."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from promptreid.cli.choices import MIP_IMAGE_SIZE, MIP_RELEASES, MIP_STRIDE
from promptreid.cli.parsing import Parser

if TYPE_CHECKING:
    from promptreid.methods.mip.convert import Conversion


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    release = kinds.add_parser("mip-release", help="convert a checkpoint of the authors' released MIP code")
    release.add_argument("source", type=Path, metavar="IN", help="the checkpoint, .pth")
    release.add_argument("out", type=Path, metavar="OUT", help="write OUT.safetensors and OUT.yaml")
    release.add_argument(
        "--query",
        choices=("zero", "learned"),
        default="zero",
        help="queries of the prompt generator; default: %(default)s, as the release runs",
    )
    release.add_argument("--iael", action="store_true", help="keep the identity heads of the instance prompts")
    release.add_argument(
        "--dataset",
        choices=MIP_RELEASES,
        help="data set of the training; default: the one with the checkpoint's number of cameras",
    )
    release.add_argument("--num-heads", type=int, metavar="N", help="attention heads; default: channels / 64")
    release.add_argument(
        "--stride",
        type=int,
        default=MIP_STRIDE,
        metavar="N",
        help="stride of the patches, in pixels; default: %(default)s",
    )
    release.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        default=MIP_IMAGE_SIZE,
        metavar=("HEIGHT", "WIDTH"),
        help="image size of the training, in pixels; default: %(default)s",
    )


def run(args: argparse.Namespace) -> None:
    """Convert, and print what became of each weight."""
    from promptreid.methods.mip.convert import convert_mip_release

    height, width = args.image_size
    done = convert_mip_release(
        args.source,
        args.out,
        queries=args.query,
        iael=args.iael,
        num_heads=args.num_heads,
        stride=args.stride,
        image_size=(height, width),
        dataset=args.dataset,
    )
    _report(done)


def _report(done: Conversion) -> None:
    from promptreid.methods.mip.convert import summary

    size = done.size
    print(
        f"{done.dataset}: {size.classes} identities, {size.cameras} cameras, {size.depth} blocks of {size.dim} channels"
    )
    print(summary(done.report))
    print(f"wrote {done.weights}\nwrote {done.config}")
    command = f"promptreid train --config-file {done.config} --eval-only model.load_weights {done.weights}"
    print(f"test it: {command} data.root FOLDER")
