"""Train the small towers, two CLIPs and a ViT, on rendered people: promptreid pretrain --out DIR.

A second call with the same folder goes on where the first one was stopped, and gives the same bits.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from promptreid.cli.choices import FIRST_SEED, TOWERS
from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the weight files and checkpoints")
    parser.add_argument(
        "--towers", nargs="+", default=list(TOWERS), metavar="NAME", help=f"{' or '.join(TOWERS)}; default: all"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=FIRST_SEED,
        metavar="N",
        help=f"seed, at least {FIRST_SEED}; default: %(default)s",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="steps of each tower's training; default: its recipe's")
    parser.add_argument("--batch", type=int, metavar="N", help="images per step; default: the recipe's")


def run(args: argparse.Namespace) -> None:
    """Train them, and print how large their files are."""
    from promptreid.pretraining.towers import recipe_of, train_tower

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipes = {name: recipe_of(name, seed=args.seed, steps=args.steps, batch=args.batch) for name in args.towers}
    for name, recipe in recipes.items():
        path = train_tower(name, recipe, Path(args.out))
        print(f"{path}: {path.stat().st_size} bytes")
