"""Write what runs did into one HTML page, side by side: promptreid report log/one log/other --out report.html.

Results with intervals, curves, ranked lists, embedding, attention, prompts, configurations and origin; docs/gallery.md
says more. A part that cannot be made, because weights or images are gone, is a note with the reason.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from promptreid.cli.choices import REPORT_PARTS
from promptreid.cli.parsing import Parser, positive


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="folders of trainings; the others are compared with the first"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page to write, .html")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")
    parser.add_argument("--dataset", metavar="NAME", help="data set to look at; default: each run's target")
    parser.add_argument("--root", metavar="DIR", help="folder of the data sets (data.root); default: as in training")
    parser.add_argument(
        "--skip", nargs="+", choices=REPORT_PARTS, default=[], metavar="PART",
        help=f"parts to leave out, of {', '.join(REPORT_PARTS)}; default: none",
    )  # fmt: skip
    parser.add_argument(
        "--queries", type=positive, default=8, metavar="N", help="ranked lists of each kind; default: %(default)s"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of all random choices; default: %(default)s"
    )


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    from promptreid.runs.run_log import run_log
    from promptreid.visual.report.open_runs import ReportOptions
    from promptreid.visual.report.report import write_report

    options = ReportOptions(args.root or "", args.dataset or "", args.queries, args.seed, tuple(args.skip))
    with run_log():
        path = write_report(args.runs, args.out, options, args.overwrite)
    print(f"{path}, {path.stat().st_size / 1e6:.1f} MB")
