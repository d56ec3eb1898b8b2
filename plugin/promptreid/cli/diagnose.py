"""Measure prompts before and after training: promptreid diagnose log/run [KEY VALUE ...].

docs/mip.md and docs/dmpt.md, Diagnostics, say what the numbers mean.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from promptreid.cli.arguments import add_configuration, add_weights, read_configuration
from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    add_configuration(parser, "what the model was trained with")
    add_weights(parser, "the run in data.save_dir")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the values of every layer to this file")


def run(args: argparse.Namespace) -> None:
    """Print the report."""
    cfg = read_configuration(args, {"model.load_weights": args.weights})
    from promptreid.runs.prompt_diagnostics import diagnose_prompts

    report = diagnose_prompts(cfg)
    print(report.text())
    if args.json is not None:
        args.json.write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
