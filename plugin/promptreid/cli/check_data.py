"""Is a data set on disk complete and readable: promptreid check-data sysu_mm01 /data.

Of your own images: promptreid check-data table --table people.csv
Of a data set that a plugin brings: promptreid check-data our_people /data --plugin our_reid.py

Compares it with its published counts, opens every image of every modality, names samples that lack one and identities
that are both trained and tested on, and prints one hash by which two copies can be compared.
Exit code: 0 when all is well, 1 when something differs or cannot be read, 2 when there is no such data set.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from promptreid.cli.arguments import add_plugins, load_plugins_of
from promptreid.cli.choices import CHECKED_DATA, OWN_DATA
from promptreid.cli.parsing import Parser, positive

_SHOWN = 20


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    names = sorted([*CHECKED_DATA, OWN_DATA])
    parser.add_argument("name", metavar="NAME", help=f"the data set: {', '.join(names)}, or a plugin's")
    parser.add_argument(
        "root", nargs="?", metavar="ROOT", help="the folder that holds the data set, or the data set's own folder"
    )
    parser.add_argument(
        "--table", default="", metavar="FILE", help=f"the CSV or Parquet file of the data set {OWN_DATA}; default: none"
    )
    add_plugins(parser)
    parser.add_argument("--content", action="store_true", help="hash the bytes of all files, not just paths and sizes")
    parser.add_argument("--decode", action="store_true", help="decode whole images, not just their headers")
    parser.add_argument(
        "--workers", type=positive, default=8, metavar="N", help="threads that read files; default: %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 unless all is well."""
    if args.plugins or args.name not in (*CHECKED_DATA, OWN_DATA):
        _find_registered(args)
    if args.root is None and args.name != OWN_DATA:
        raise ValueError("the following arguments are required: ROOT")
    from promptreid.datasets.checks import check
    from promptreid.datasets.published import PUBLISHED

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    report = check(
        args.name, args.root or "", table=args.table, content=args.content, decode=args.decode, workers=args.workers
    )
    if report.rendered:
        print(report.rendered)
    if report.rows:
        print(report.table())
        print(f"published: {PUBLISHED[args.name].source}")
    _print_some("bad", report.problems)
    _print_some("note", report.notes)
    if report.manifest:
        print(f"manifest ({'paths, sizes, contents' if args.content else 'paths, sizes'}): sha256 {report.manifest}")
    verdict = "NOT as published" if args.name in PUBLISHED else "NOT complete and readable"
    print("complete and readable" if report.good else verdict)
    return 0 if report.good else 1


def _find_registered(args: argparse.Namespace) -> None:
    """Import plugins; ``ValueError`` unless one of them has brought this data set."""
    from promptreid.config.keys import did_you_mean
    from promptreid.datasets.checks import registered_by_others

    load_plugins_of(args)
    names = sorted([*CHECKED_DATA, OWN_DATA, *registered_by_others()])
    if args.name not in names:
        near = did_you_mean(args.name, names)
        raise ValueError(
            f"argument NAME: invalid choice: {args.name!r} (one of {', '.join(names)}{near}); "
            "--plugin names the file or module that brings it"
        )


def _print_some(label: str, findings: Sequence[str]) -> None:
    for finding in findings[:_SHOWN]:
        print(f"{label}: {finding}")
    if len(findings) > _SHOWN:
        print(f"{label}: {len(findings) - _SHOWN} more")
