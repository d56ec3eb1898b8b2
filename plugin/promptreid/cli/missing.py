"""Test under missing modalities: promptreid missing log/run [KEY VALUE ...].

docs/evaluation.md says what is compared, and what is written into data.save_dir.
"""

from __future__ import annotations

import argparse
import logging

from promptreid.cli.arguments import add_configuration, add_weights, read_configuration
from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    add_configuration(parser, "what the model was trained with")
    add_weights(parser, "the run in data.save_dir")
    parser.add_argument("-t", "--target", dest="data_set", metavar="NAME", help="the data set (data.targets)")
    parser.add_argument("--query", type=_names, metavar="NAMES", help="modalities of the queries, such as RGB,NIR")
    parser.add_argument(
        "--gallery",
        type=_names,
        metavar="NAMES",
        help="modalities of the gallery; without --query and --gallery, all conditions are tested",
    )
    parser.add_argument(
        "--protocol",
        action="append",
        metavar="NAME",
        help="protocol 'DATA MODALITY-to-MODALITY', one modality against another; repeat it for more",
    )


def run(args: argparse.Namespace) -> None:
    """Print the table, or the one condition that is asked for."""
    if (args.query is None) != (args.gallery is None):
        raise ValueError("--query and --gallery belong together: say what either side has")
    targets = None if args.data_set is None else [args.data_set]
    cfg = read_configuration(args, {"model.load_weights": args.weights, "data.targets": targets})
    from promptreid.runs.missing_modalities import evaluate_missing

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    conditions = args.protocol if args.query is None else [(args.query, args.gallery), *(args.protocol or [])]
    print(evaluate_missing(cfg, conditions).text())


def _names(text: str) -> list[str]:
    return text.split(",")
