"""Measure MIP's prompts before and after training: python tools/diagnose_prompts.py --config-file FILE [KEY VALUE ...].

docs/mip.md, Diagnostics, says what the numbers mean. A run's own ``config.yaml`` is a good FILE.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from promptreid.command import run_tool
from promptreid.config import load_config
from promptreid.runs.prompt_diagnostics import diagnose_prompts


def main(argv: Sequence[str] | None = None) -> None:
    args = _parse(argv)
    given = {} if args.weights is None else {"model.load_weights": args.weights}
    report = diagnose_prompts(load_config(args.config_file, args.opts, given))
    print(report.text())
    if args.json is not None:
        args.json.write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config-file", metavar="FILE", help="the configuration that the model was trained with")
    parser.add_argument("--weights", metavar="PATH", help="checkpoint or run folder; default: the one of data.save_dir")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every layer's values")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="any key of the configuration")
    return parser.parse_intermixed_args(argv)


if __name__ == "__main__":
    run_tool(main)
