"""Train two small towers, a CLIP and a ViT, on rendered people: python tools/pretrain_mini.py --out DIR.

A second call with the same folder goes on where the first one was stopped, and gives the same bits.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from promptreid.command import run_tool
from promptreid.models.backbones.bundled_towers import MINI
from promptreid.pretraining.images import FIRST_SEED
from promptreid.pretraining.towers import recipe_of, train_tower


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the weight files and checkpoints")
    parser.add_argument("--towers", nargs="+", default=list(MINI), metavar="NAME", help=f"{' or '.join(MINI)}; both")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help=f"at least {FIRST_SEED}")
    parser.add_argument("--steps", type=int, help="of each tower; its recipe's if not set")
    parser.add_argument("--batch", type=int, help="images in a step; the recipe's if not set")
    return parser.parse_args()


def main() -> None:
    args = parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipes = {name: recipe_of(name, seed=args.seed, steps=args.steps, batch=args.batch) for name in args.towers}
    for name, recipe in recipes.items():
        path = train_tower(name, recipe, Path(args.out))
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    run_tool(main)
