"""Convert a checkpoint: python tools/convert_checkpoint.py mip-release transformer_best.pth weights/mip_sysu."""

from __future__ import annotations

import argparse
from pathlib import Path

from promptreid.command import run_tool
from promptreid.methods.mip.convert import DATA, Conversion, convert_mip_release, summary
from promptreid.methods.mip.released_model import IMAGE_SIZE, STRIDE


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    release = kinds.add_parser("mip-release", help="of the authors' released MIP code")
    release.add_argument("source", type=Path, metavar="IN", help="the checkpoint, .pth")
    release.add_argument("target", type=Path, metavar="OUT", help="OUT.safetensors and OUT.yaml are written")
    release.add_argument("--query", choices=("zero", "learned"), default="zero",
                         help="queries of the prompt generator; default: zero, as the release runs")  # fmt: skip
    release.add_argument("--iael", action="store_true", help="keep the identity heads of the instance prompts")
    release.add_argument("--dataset", choices=tuple(DATA), help="default: by the number of cameras")
    release.add_argument("--num-heads", type=int, metavar="N", help="attention heads; default: channels / 64")
    release.add_argument("--stride", type=int, default=STRIDE, help="of the patches; default: %(default)s")
    release.add_argument("--image-size", type=int, nargs=2, default=IMAGE_SIZE, metavar=("HEIGHT", "WIDTH"),
                         help="of training; default: %(default)s")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    args = parse()
    done = convert_mip_release(
        args.source,
        args.target,
        queries=args.query,
        iael=args.iael,
        num_heads=args.num_heads,
        stride=args.stride,
        image_size=tuple(args.image_size),
        dataset=args.dataset,
    )
    report(done)


def report(done: Conversion) -> None:
    size = done.size
    print(
        f"{done.dataset}: {size.classes} identities, {size.cameras} cameras, {size.depth} blocks of {size.dim} channels"
    )
    print(summary(done.report))
    print(f"wrote {done.weights}\nwrote {done.config}")
    command = f"python tools/train_net.py --config-file {done.config} --eval-only model.load_weights {done.weights}"
    print(f"test it: {command} data.root FOLDER")


if __name__ == "__main__":
    run_tool(main)
