"""Write features of test images to a file: promptreid extract CONFIG --out FILE.npz [KEY VALUE ...]."""

from __future__ import annotations

import argparse
import logging

from promptreid.cli.arguments import add_configuration, add_weights, read_configuration
from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    add_configuration(parser, "what the model was trained with")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="the file to write: .npz, .safetensors or .parquet"
    )
    add_weights(parser, "the run in data.save_dir")
    parser.add_argument("-t", "--target", dest="data_set", metavar="NAME", help="the data set (data.targets)")


def run(args: argparse.Namespace) -> None:
    """Extract and save."""
    from promptreid.evaluation.features_io import check_features_path, save_features

    check_features_path(args.out)
    targets = None if args.data_set is None else [args.data_set]
    cfg = read_configuration(args, {"model.load_weights": args.weights, "data.targets": targets})
    from promptreid.retrieval.extraction import extract

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    table = extract(cfg)
    save_features(table, args.out)
    count, width = table.features.shape
    print(f"{count} images, {width} features each, in {args.out}")
    print(f"score them: promptreid evaluate {args.out} --protocol NAME --metric {cfg.test.dist_metric}")
