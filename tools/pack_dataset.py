"""Decode and resize a data set once: python tools/pack_dataset.py sysu_mm01 reid-data --size 256 128 --out sysu.npy.

Train with ``data.pack: sysu.npy``: images then come from that file, byte for byte as they would have been decoded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from promptreid import host
from promptreid.command import run_tool
from promptreid.config.keys import did_you_mean
from promptreid.data.dataset import ModalDataset
from promptreid.data.packing import files_of, write_pack
from promptreid.data.sixteen_bit import FULL, NAMES, Range16
from promptreid.data.transforms import INTERPOLATIONS, PLAIN
from promptreid.engine.epoch_meter import progress


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="data sets, all of those that the runs will read")
    parser.add_argument("root", metavar="ROOT", help="their folder, as data.root will name it")
    parser.add_argument("--size", nargs=2, type=int, required=True, metavar=("H", "W"), help="in pixels")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .npy file; a .json is put beside it")
    parser.add_argument("--interpolation", choices=INTERPOLATIONS, default=PLAIN, help=f"default: {PLAIN}")
    parser.add_argument("--range-16bit", choices=NAMES, default=FULL.name, help=f"data.range_16bit, {FULL}")
    parser.add_argument(
        "--limits-16bit", nargs=2, type=int, default=(), metavar=("LOW", "HIGH"), help="of --range-16bit fixed"
    )
    args = parser.parse_args()
    if min(args.size) < 1:
        parser.error(f"argument --size: {args.size[0]} {args.size[1]} isn't a size, both must be at least 1")
    return args


def files(name: str, root: str) -> list[str]:
    """Every image file of a data set: train, query and gallery."""
    if name not in host.dataset_names():
        raise ValueError(f"no data set is called {name!r}{did_you_mean(name, host.dataset_names())}")
    dataset = host.data.datasets.init_image_dataset(name, root=root)
    if not isinstance(dataset, ModalDataset):
        raise ValueError(f"{name} is a data set of torchreid's own, which always decodes; it can't be packed")
    return files_of([*dataset.train, *dataset.query, *dataset.gallery])


def main() -> None:
    args = parse()
    height, width = args.size
    levels = Range16(args.range_16bit, tuple(args.limits_16bit))
    images = list(dict.fromkeys(path for name in args.names for path in files(name, args.root)))
    write_pack(
        args.out,
        args.root,
        images,
        height,
        width,
        args.interpolation,
        watch=lambda paths: progress(paths, "packing"),
        range_16bit=levels,
    )
    print(f"{len(images)} images of {height} x {width} in {args.out}, {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_tool(main)
