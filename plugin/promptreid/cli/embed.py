"""Embed images with a model: promptreid embed log/mip_quickstart images --band rgb --out vectors.safetensors."""

from __future__ import annotations

import argparse
import logging

from promptreid.cli.parsing import Parser, positive


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("model", metavar="MODEL", help="a run's folder, a checkpoint, a saved or an exported model")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder of images, which may hold a folder for each band; a CSV or Parquet file with a column of paths "
        "for each band; or the name of a data set, whose queries and gallery are embedded",
    )
    parser.add_argument(
        "--split",
        choices=("test", "train"),
        default="test",
        help="part of a data set: its queries and gallery, or its training images; default: %(default)s",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write: .safetensors or .parquet")
    parser.add_argument(
        "--band", metavar="NAME", help="band of the images, if nothing else names it: rgb, nir, tir, ir, ..."
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data sets, if SOURCE is a data set")
    parser.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="what to do at an image that cannot be read; default: stop",
    )
    parser.add_argument(
        "--batch-size", type=positive, default=64, metavar="N", help="objects per call of the model; default: 64"
    )
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="threads that read images; default: 2")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="number type of the computation; default: float32",
    )
    parser.add_argument("--tower", metavar="FILE", help="pretrained weights of a frozen tower, if they have moved")
    parser.add_argument(
        "--part-size",
        type=positive,
        default=1024,
        metavar="N",
        help="objects between two saves; a kill loses at most that many; default: 1024",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE, and begin an unfinished one anew")


def run(args: argparse.Namespace) -> None:
    """Embed and save."""
    from promptreid import load
    from promptreid.engine.distributed.process_group import is_writer, process_group
    from promptreid.retrieval.embed_job import embed_to_file
    from promptreid.retrieval.object_lists import list_objects

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with process_group():
        reid = load(args.model, tower=args.tower, dtype=args.dtype, batch_size=args.batch_size, workers=args.workers)
        found = list_objects(args.source, reid.model, args.band, args.root or "", args.split)
        done = embed_to_file(
            reid,
            found,
            args.out,
            on_error=args.on_error,
            part_size=args.part_size,
            overwrite=args.overwrite,
            precision=args.dtype,
        )
        if is_writer():
            print(f"{len(done)} objects, {done.vectors.shape[1]} numbers each, in {args.out}")
