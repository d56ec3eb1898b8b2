"""Features of test images: python tools/extract_features.py --out FILE.npz --config-file FILE [KEY VALUE ...]."""

from __future__ import annotations

import argparse
import logging

from promptreid.command import run_tool
from promptreid.config import load_config
from promptreid.evaluation.features_io import check_features_path, save_features
from promptreid.retrieval.extraction import extract


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="the file to write: .npz, .safetensors or .parquet"
    )
    parser.add_argument("--config-file", metavar="FILE", help="the configuration that the model was trained with")
    parser.add_argument("--weights", metavar="PATH", help="checkpoint or run folder (model.load_weights)")
    parser.add_argument("-t", "--target", metavar="NAME", help="the data set (data.targets)")
    parser.add_argument("--root", metavar="DIR", help="folder of the data sets (data.root)")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="any key of the configuration")
    return parser.parse_intermixed_args()


def main() -> None:
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    check_features_path(args.out)
    targets = None if args.target is None else [args.target]
    given = {"model.load_weights": args.weights, "data.targets": targets, "data.root": args.root}
    cfg = load_config(args.config_file, args.opts, {key: value for key, value in given.items() if value is not None})
    table = extract(cfg)
    save_features(table, args.out)
    count, width = table.features.shape
    print(f"{count} images, {width} features each, in {args.out}")
    print(f"score them: python tools/evaluate.py {args.out} --protocol NAME --metric {cfg.test.dist_metric}")


if __name__ == "__main__":
    run_tool(main)
