"""Train with one key at several values: promptreid sweep CONFIG --key KEY --values V1 V2 [KEY VALUE ...].

The paper's sweep of the semantic prompts:

    promptreid sweep dmpt/rgbnt201 --key dmpt.semantic_length --values 2 4 8 16 32
"""

from __future__ import annotations

import argparse

from promptreid.cli.arguments import add_configuration, add_old_opts, add_resume_and_overwrite, read_configuration
from promptreid.cli.parsing import Parser, is_key


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    add_configuration(parser)
    parser.add_argument("--key", required=True, metavar="KEY", help="full name of the key to change")
    parser.add_list("--values", ends=is_key, required=True, metavar="VALUE", help="values of the key, at least two")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="trainings per value, from train.seed on; default: %(default)s",
    )
    add_resume_and_overwrite(parser, "what is in data.save_dir is")
    add_old_opts(parser)


def run(args: argparse.Namespace) -> None:
    """Train all of them; the table is logged and written into ``data.save_dir``."""
    cfg = read_configuration(args, required=True)
    from promptreid.runs.sweep import sweep

    sweep(cfg, args.key, args.values, args.seeds, args.overwrite)
