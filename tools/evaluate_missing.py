"""Test under missing modalities: python tools/evaluate_missing.py --config-file FILE [KEY VALUE ...].

docs/evaluation.md says what is compared, and what is written into data.save_dir.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from promptreid.command import run_tool
from promptreid.config import load_config
from promptreid.runs.missing_modalities import evaluate_missing


def main(argv: Sequence[str] | None = None) -> None:
    args = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    targets = None if args.target is None else [args.target]
    given = {"model.load_weights": args.weights, "data.targets": targets, "data.root": args.root}
    cfg = load_config(args.config_file, args.opts, {key: value for key, value in given.items() if value is not None})
    conditions = args.protocol if args.query is None else [(args.query, args.gallery), *(args.protocol or [])]
    print(evaluate_missing(cfg, conditions).text())


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config-file", metavar="FILE", help="the configuration that the model was trained with")
    parser.add_argument("--weights", metavar="PATH", help="checkpoint or run folder (model.load_weights)")
    parser.add_argument("-t", "--target", metavar="NAME", help="the data set (data.targets)")
    parser.add_argument("--root", metavar="DIR", help="folder of the data sets (data.root)")
    parser.add_argument("--query", type=_names, metavar="NAMES", help="modalities of the queries, such as RGB,NIR")
    parser.add_argument("--gallery", type=_names, metavar="NAMES",
                        help="modalities of the gallery; without the two, the table of all conditions")  # fmt: skip
    parser.add_argument("--protocol", action="append", metavar="NAME",
                        help="'DATA MODALITY-to-MODALITY', one against another; may be given again")  # fmt: skip
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="any key of the configuration")
    args = parser.parse_intermixed_args(argv)
    if (args.query is None) != (args.gallery is None):
        parser.error("--query and --gallery belong together: say what either side has")
    return args


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    run_tool(main)
