"""Train, test and write one of the tables: python tools/run_table.py mip_ablation --seeds 3 [--out DIR] [--opts ...].

A second call passes over what is finished. docs/results.md says what the tables are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from promptreid.command import run_tool
from promptreid.runs.tables.definitions import TABLES, find_table
from promptreid.runs.tables.run_table import run_table

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", metavar="TABLE", help=f"one of {', '.join(TABLES)}")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings per row; default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("log/tables"), metavar="DIR",
                        help="the runs and the tables; default: %(default)s")  # fmt: skip
    parser.add_argument(
        "--opts", nargs="*", default=[], metavar="KEY VALUE", help="keys of the configuration, for all rows"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    result = run_table(find_table(args.table), CONFIGS, args.out, args.seeds, args.opts)
    print(result.markdown())
    print(f"written to {args.out / args.table}: table.csv, table.md, table.json, table.png")


if __name__ == "__main__":
    run_tool(main)
