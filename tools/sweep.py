"""Train with one key at several values: python tools/sweep.py --config-file F --key KEY --values V1 V2 [--opts ...].

The paper's sweep of the semantic prompts:

    python tools/sweep.py --config-file configs/dmpt/rgbnt201.yaml --key dmpt.semantic_length --values 2 4 8 16 32
"""

from __future__ import annotations

import argparse

from promptreid.command import run_tool
from promptreid.config import load_config
from promptreid.runs.sweep import sweep


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config-file", metavar="FILE", required=True, help="a YAML file")
    parser.add_argument("--key", required=True, help="the key that changes, by its full name")
    parser.add_argument("--values", required=True, nargs="+", metavar="VALUE", help="its values")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings per value, from train.seed on")
    parser.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="any key of the configuration")
    return parser.parse_args()


def main() -> None:
    args = parse()
    sweep(load_config(args.config_file, args.opts), args.key, args.values, args.seeds)


if __name__ == "__main__":
    run_tool(main)
