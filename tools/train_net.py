"""Train and test a model: python tools/train_net.py --config-file configs/mip/quickstart.yaml [KEY VALUE ...]."""

from __future__ import annotations

import argparse

from promptreid.command import run_tool
from promptreid.config import load_config
from promptreid.runs.run import run
from promptreid.runs.splits_and_seeds import parse_splits, run_several


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config-file", metavar="FILE", help="a YAML file; torchreid's own load unchanged")
    parser.add_argument("-s", "--sources", nargs="+", metavar="NAME", help="data sets to train on (data.sources)")
    parser.add_argument("-t", "--targets", nargs="+", metavar="NAME", help="data sets to test on (data.targets)")
    parser.add_argument("--transforms", nargs="+", metavar="NAME", help="augmentations (data.transforms)")
    parser.add_argument("--root", metavar="DIR", help="folder of the data sets (data.root)")
    parser.add_argument("--eval-only", action="store_true", help="test model.load_weights, or the run's own checkpoint")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="continue a run's folder or checkpoint; without PATH, that of data.save_dir",
    )
    parser.add_argument(
        "--splits", metavar="A-B", help="train and test on each of these splits (RegDB: 1-10), then average"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train with N seeds, from train.seed on (with --splits: each split)"
    )
    parser.add_argument("--overwrite", action="store_true", help="move an earlier run in data.save_dir aside")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="any key of the configuration")
    return parser.parse_intermixed_args()


def main() -> None:
    args = parse()
    given = {
        "data.sources": args.sources,
        "data.targets": args.targets,
        "data.transforms": args.transforms,
        "data.root": args.root,
    }
    overrides = {key: value for key, value in given.items() if value is not None}
    cfg = load_config(args.config_file, args.opts, overrides)
    if args.splits is None and args.seeds is None:
        run(cfg, eval_only=args.eval_only, resume=args.resume, overwrite=args.overwrite)
    elif args.eval_only or args.resume not in (None, "auto"):
        raise ValueError(
            "--splits and --seeds train, and continue what they find: leave out --eval-only, and the PATH of --resume; "
            "one of their models is tested with --eval-only data.save_dir .../split-K data.split_id K-1"
        )
    else:
        run_several(cfg, parse_splits(args.splits) if args.splits else [], args.seeds, args.overwrite)


if __name__ == "__main__":
    run_tool(main)
