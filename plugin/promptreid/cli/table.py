"""Train, test and write one of the tables: promptreid table mip_ablation --seeds 3 [--out DIR] [KEY VALUE ...].

A second call passes over what is finished. docs/results.md says what the tables are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from promptreid.cli.arguments import (
    add_old_opts,
    add_overlays,
    add_pairs,
    add_resume_and_overwrite,
    add_root,
    overlays_of,
    pairs_of,
)
from promptreid.cli.choices import TABLES
from promptreid.cli.configurations import shipped_folder
from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("table", metavar="TABLE", help=f"one of {', '.join(TABLES)}, or a YAML file that describes one")
    add_pairs(parser)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings per row; default: %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("log/tables"),
        metavar="DIR",
        help="the runs and the tables; default: %(default)s",
    )
    add_overlays(parser)
    add_root(parser)
    add_resume_and_overwrite(parser, "the runs of its rows, which other tables may share, are")
    add_old_opts(parser)


def run(args: argparse.Namespace) -> None:
    """Print the table, and where it is written."""
    pairs = pairs_of(args)
    if args.root is not None:
        pairs = ["data.root", args.root, *pairs]
    from promptreid.runs.tables.definitions import find_table
    from promptreid.runs.tables.run_table import run_table

    table = find_table(args.table)
    result = run_table(table, shipped_folder(), args.out, args.seeds, pairs, args.overwrite, overlays_of(args))
    print(result.markdown())
    print(f"written to {args.out / table.name}: table.csv, table.md, table.json, table.png")
