"""Train, test and write one of the tables: promptreid table mip_ablation --worlds 5 --seeds 3 [KEY VALUE ...].

A second call passes over what is finished. docs/results.md says what the tables are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
from promptreid.cli.parsing import Parser, is_key

if TYPE_CHECKING:
    from promptreid.runs.tables.places import Places, Size
    from promptreid.runs.tables.table import Table


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("table", metavar="TABLE", help=f"one of {', '.join(TABLES)}, or a YAML file that describes one")
    add_pairs(parser)
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="trainings per row and world; default: 3, and 1 with --screen or --repeat",
    )
    parser.add_argument(
        "--worlds",
        type=int,
        metavar="N",
        help="rendered data sets per row, each from a seed of its own; default: 1, and 2 with --screen",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="trainings that run at the same time and share the cores; default: 1",
    )
    parser.add_list("--rows", ends=is_key, metavar="KEY", default=[], help="train only these rows; default: all")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("log/tables"),
        metavar="DIR",
        help="folder of the runs and the tables; default: %(default)s",
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="folder that holds a folder for each row; tables are made from it; "
        "default: results in --out"
    )  # fmt: skip
    _add_instead(parser)
    add_overlays(parser)
    add_root(parser)
    again = add_resume_and_overwrite(
        parser, "the runs of its rows, which other tables may share, and their results are"
    )
    again.add_argument(
        "--extend",
        action="store_true",
        help="keep the runs in --results, of whatever commit, also those of the same row in another table, and train "
        "only the worlds and seeds that they lack",
    )
    add_old_opts(parser)


def _add_instead(parser: Parser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--plan", action="store_true", help="print the planned trainings and their time, without training"
    )
    group.add_argument("--show", action="store_true", help="print the table from --results, without any training")
    group.add_argument(
        "--repeat",
        action="store_true",
        help="train runs of --results again and compare the outcome of each query; exit status 1 where one changed",
    )
    parser.add_list(
        "--screen",
        ends=is_key,
        keyed=True,
        group=group,
        metavar=("KEY", "VALUE"),
        help="choose a number, such as train.lr, for each row from these values, in worlds that no table tests on",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="also draw mAP against trained parameters and step time, as a .png file",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, and where it is written; exit status 1 if a repeated run came out differently."""
    pairs = pairs_of(args)
    if args.root is not None:
        pairs = ["data.root", args.root, *pairs]
    from promptreid.runs.tables.definitions import find_table
    from promptreid.runs.tables.places import Places, Size

    table = find_table(args.table)
    results = args.results or args.out / "results"
    places = Places(shipped_folder(), args.out, results, tuple(overlays_of(args)))
    usual = (1, 2) if args.screen else (1, 1) if args.repeat else (3, 1)
    seeds, worlds = (
        least if given is None else given for given, least in zip((args.seeds, args.worlds), usual, strict=True)
    )
    size = Size(seeds, worlds, args.jobs, tuple(args.rows))
    if args.screen:
        _screen(table, places, size, args.screen, pairs)
    elif args.repeat:
        return _repeat(table, places, size, pairs)
    elif args.plan:
        from promptreid.runs.tables.run_table import plan_of

        print(plan_of(table, places, size, pairs, args.extend))
    else:
        _table(args, table, places, size, pairs)
    return 0


def _repeat(table: Table, places: Places, size: Size, pairs: Sequence[str]) -> int:
    from promptreid.runs.tables.repeat import repeat_rows, repetitions_markdown

    found = repeat_rows(table.name, places, size, pairs)
    print(repetitions_markdown(found))
    return int(any(one.changed for one in found))


def _screen(table: Table, places: Places, size: Size, words: Sequence[str], pairs: Sequence[str]) -> None:
    from promptreid.runs.tables.screen import SCREEN_FILE, screen, screen_markdown

    print(screen_markdown(screen(table, places, size, words[0], words[1:], pairs)))
    print(f"written to {places.results / table.name / SCREEN_FILE}")


def _table(args: argparse.Namespace, table: Table, places: Places, size: Size, pairs: Sequence[str]) -> None:
    from promptreid.runs.tables import run_table
    from promptreid.runs.tables.render import ResultTable

    if args.show:
        result = ResultTable.read(places.results / table.name)
    else:
        result = run_table.run_table(table, places, size, pairs, args.overwrite, args.extend)
    print(result.markdown())
    if not args.show:
        print(f"written to {args.out / table.name}: table.csv, table.md, table.json, table.png")
    if args.picture:
        from promptreid.runs.tables.scatter import save_picture

        save_picture(result, args.picture)
        print(f"drawn in {args.picture}")
