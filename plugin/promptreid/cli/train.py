"""Train and test a model: promptreid train mip/quickstart [KEY VALUE ...]."""

from __future__ import annotations

import argparse

from promptreid.cli.arguments import add_configuration, read_configuration
from promptreid.cli.parsing import Parser, is_no_name


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    add_configuration(parser)
    for flags, key, what in (
        (("-s", "--sources"), "data.sources", "data sets to train on"),
        (("-t", "--targets"), "data.targets", "data sets to test on"),
        (("--transforms",), "data.transforms", "augmentations"),
    ):
        parser.add_list(*flags, ends=is_no_name, metavar="NAME", help=f"{what} ({key})")
    parser.add_argument("--eval-only", action="store_true", help="test model.load_weights, or the run's own checkpoint")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--resume", action="store_true", help="continue the run in data.save_dir, if there is one")
    group.add_argument("--resume-from", metavar="PATH", help="continue another run's folder, or a checkpoint")
    parser.add_argument(
        "--splits", metavar="A-B", help="train and test on each of these splits (RegDB: 1-10), then average"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train with N seeds, from train.seed on (with --splits: each split)"
    )
    parser.add_argument("--overwrite", action="store_true", help="move an earlier run in data.save_dir aside")


def run(args: argparse.Namespace) -> None:
    """Train and test, or only test."""
    given = {"data.sources": args.sources, "data.targets": args.targets, "data.transforms": args.transforms}
    cfg = read_configuration(args, given)
    if args.splits is None and args.seeds is None:
        from promptreid.runs.run import run as run_once

        resume = "auto" if args.resume else args.resume_from
        run_once(cfg, eval_only=args.eval_only, resume=resume, overwrite=args.overwrite)
        return
    if args.eval_only or args.resume_from is not None:
        raise ValueError(
            "--splits and --seeds train, and continue what they find: leave out --eval-only and --resume-from; "
            "promptreid evaluate FOLDER tests all of their models, promptreid evaluate FOLDER/seed-1 (or split-1) one"
        )
    from promptreid.runs.splits_and_seeds import parse_splits, run_several

    run_several(cfg, parse_splits(args.splits) if args.splits else [], args.seeds, args.overwrite)
