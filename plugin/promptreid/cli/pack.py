"""Decode and resize a data set once: promptreid pack sysu_mm01 reid-data --size 256 128 --out sysu.npy.

Train with ``data.pack: sysu.npy``: images then come from that file, byte for byte as they would have been decoded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from promptreid.cli.choices import INTERPOLATIONS, OWN_DATA, PLAIN, RANGES_16BIT
from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="names of all data sets that your runs read")
    parser.add_argument("root", metavar="ROOT", help="folder of the data sets, the data.root of your runs")
    parser.add_argument(
        "--table", default="", metavar="FILE", help=f"data.table, for the data set {OWN_DATA}; default: none"
    )
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        required=True,
        metavar=("H", "W"),
        help="height and width of the packed images, in pixels",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the .npy file to write; a .json is written beside it"
    )
    parser.add_argument(
        "--interpolation", choices=INTERPOLATIONS, default=PLAIN, help="filter of the resizing; default: %(default)s"
    )
    parser.add_argument(
        "--range-16bit", choices=RANGES_16BIT, default=RANGES_16BIT[0], help="data.range_16bit; default: %(default)s"
    )
    parser.add_argument(
        "--limits-16bit",
        nargs=2,
        type=int,
        default=(),
        metavar=("LOW", "HIGH"),
        help="levels of --range-16bit fixed; default: none",
    )


def run(args: argparse.Namespace) -> None:
    """Pack, and print how much it is."""
    height, width = args.size
    if args.table and OWN_DATA not in args.names:
        raise ValueError(f"argument --table: it is the file of the data set {OWN_DATA}, which isn't among {args.names}")
    if min(height, width) < 1:
        raise ValueError(f"argument --size: {height} {width} isn't a size, both must be at least 1")
    from promptreid.data.packing import write_pack
    from promptreid.data.sixteen_bit import Range16
    from promptreid.engine.epoch_meter import progress

    levels = Range16(args.range_16bit, tuple(args.limits_16bit))
    images = list(dict.fromkeys(path for name in args.names for path in _files(name, args.root, args.table)))
    write_pack(
        args.out, args.root, images, height, width, args.interpolation, lambda paths: progress(paths, "packing"), levels
    )
    print(f"{len(images)} images of {height} x {width} in {args.out}, {args.out.stat().st_size / 1e6:.1f} MB")


def _files(name: str, root: str, table: str) -> list[str]:
    """Every image file of a data set: train, query and gallery."""
    from promptreid import host
    from promptreid.config.keys import did_you_mean
    from promptreid.data.dataset import ModalDataset
    from promptreid.data.packing import files_of
    from promptreid.datasets.table import read

    if name == OWN_DATA:
        if not table:
            raise ValueError(f"the data set {OWN_DATA} needs its file: --table people.csv")
        return files_of([record for records in read(table)[0].values() for record in records])
    if name not in host.dataset_names():
        raise ValueError(f"no data set is called {name!r}{did_you_mean(name, host.dataset_names())}")
    dataset = host.data.datasets.init_image_dataset(name, root=root)
    if not isinstance(dataset, ModalDataset):
        raise ValueError(f"{name} is a data set of torchreid's own, which always decodes; it can't be packed")
    return files_of([*dataset.train, *dataset.query, *dataset.gallery])
