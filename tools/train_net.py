"""Train and test a model: python tools/train_net.py --config-file configs/mip/quickstart.yaml [KEY VALUE ...]."""

from __future__ import annotations

import argparse

from promptreid.command import run_tool
from promptreid.config import load_config
from promptreid.engine.runner import run


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config-file", metavar="FILE", help="a YAML file; torchreid's own load unchanged")
    parser.add_argument("-s", "--sources", nargs="+", metavar="NAME", help="data sets to train on (data.sources)")
    parser.add_argument("-t", "--targets", nargs="+", metavar="NAME", help="data sets to test on (data.targets)")
    parser.add_argument("--transforms", nargs="+", metavar="NAME", help="augmentations (data.transforms)")
    parser.add_argument("--root", metavar="DIR", help="folder of the data sets (data.root)")
    parser.add_argument("--eval-only", action="store_true", help="test model.load_weights, or the run's own checkpoint")
    parser.add_argument("--resume", nargs="?", const="auto", metavar="PATH",
                        help="continue a run's folder or checkpoint; without PATH, that of data.save_dir")  # fmt: skip
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="any key of the configuration")
    return parser.parse_args()


def main() -> None:
    args = parse()
    given = {
        "data.sources": args.sources,
        "data.targets": args.targets,
        "data.transforms": args.transforms,
        "data.root": args.root,
    }
    overrides = {key: value for key, value in given.items() if value is not None}
    run(load_config(args.config_file, args.opts, overrides), eval_only=args.eval_only, resume=args.resume)


if __name__ == "__main__":
    run_tool(main)
