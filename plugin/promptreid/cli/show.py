"""Draw what a trained model does: promptreid show ranks log/mip_quickstart.

Pictures go to RUN/figures/; docs/gallery.md shows one of each kind and how to read it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptreid.cli.choices import PICTURE_WIDTHS, PROJECTIONS
from promptreid.cli.parsing import Parser, positive

if TYPE_CHECKING:
    from promptreid.visual.trained_run import TrainedRun

_ABOUT = {
    "ranks": "ranked lists: queries and what they found",
    "embedding": "features in a plane by identity, camera and band",
    "attention": "where the class token and the prompts look",
    "distances": "distances within and between identities and bands",
    "batch": "the first training batch, as the model gets it",
    "prompts": "prompts: cosines, lengths and copies",
}
_ALL = "all"


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    added = {name: kinds.add_parser(name, help=about, description=about) for name, about in _ABOUT.items()}
    for name, kind in added.items():
        _add_common(kind, width="column" if name == "distances" else "page")
    _add_count(added["ranks"], "queries; default: 5, or 2 where samples have several images")
    _add_count(added["attention"], "samples of each band; default: 2")
    _add_count(added["batch"], "images of each band; default: 12")
    for name in ("ranks", "attention"):
        added[name].add_argument(
            "--queries", type=int, nargs="+", default=[], metavar="N",
            help="draw these queries, by their numbers from 0; default: some are chosen",
        )  # fmt: skip
    ranks, embedding, attention = added["ranks"], added["embedding"], added["attention"]
    ranks.add_argument(
        "--choose",
        choices=("hardest", "random"),
        default="hardest",
        help="how to choose the queries; default: %(default)s",
    )
    ranks.add_argument("--against", metavar="RUN", help="draw the queries on which this run disagrees most")
    ranks.add_argument(
        "--topk", type=positive, default=10, metavar="N", help="gallery images of each query; default: %(default)s"
    )
    embedding.add_argument(
        "--method", choices=PROJECTIONS, default="tsne", help="projection to two dimensions; default: %(default)s"
    )
    embedding.add_argument(
        "--count", type=_count_or_all, default=16, metavar="N",
        help=f"identities at random, or '{_ALL}' for the whole test set; default: %(default)s",
    )  # fmt: skip
    embedding.add_argument(
        "--without", nargs="+", default=[], metavar="FAMILY",
        help="add a second row without these prompts, in the layout of the first; default: none",
    )  # fmt: skip
    embedding.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="largest number of images to draw; default: 4000, for pca a million",
    )
    attention.add_argument(
        "--layer", type=_layer, metavar="N", help=f"block, from 1, or '{_ALL}'; default: the last prompted one"
    )


def run(args: argparse.Namespace) -> None:
    """Draw and save."""
    from promptreid.visual.figures import check_picture_path, save_figure

    out = args.out or Path(args.run) / "figures" / f"{args.kind}.png"
    check_picture_path(out, args.overwrite)
    from promptreid.visual.show import KINDS

    figure = KINDS[args.kind](_opened(args, args.run, args.weights), **_settings(args))
    print(save_figure(figure, out, args.overwrite))


def _opened(args: argparse.Namespace, folder: str, weights: str | None = None) -> TrainedRun:
    from promptreid.visual.trained_run import open_run

    return open_run(folder, root=args.root or "", dataset=args.dataset or "", weights=weights or "")


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """What the picture's function takes of the options."""
    given = {name: value for name, value in vars(args).items() if name not in _COMMON}
    if args.kind != "batch":
        given["seed"] = args.seed
    if args.kind == "ranks" and args.against:
        given["against"] = _opened(args, args.against)
    if args.kind == "attention":
        given["every_layer"] = args.layer == _ALL
        given["layer"] = None if args.layer == _ALL else args.layer
    if args.kind == "embedding":
        return {**given, "count": None if args.count == _ALL else args.count}
    return {name: value for name, value in given.items() if name != "count" or value is not None}


_COMMON = ("kind", "run", "out", "overwrite", "root", "dataset", "weights", "seed")


def _add_common(kind: argparse.ArgumentParser, width: str) -> None:
    kind.add_argument("run", metavar="RUN", help="the folder of a training")
    kind.add_argument(
        "--out", type=Path, metavar="FILE", help="the picture to write, .png or .svg; default: RUN/figures/KIND.png"
    )
    kind.add_argument("--overwrite", action="store_true", help="replace an existing picture")
    kind.add_argument(
        "--width",
        choices=PICTURE_WIDTHS,
        default=width,
        help="width of the picture: a paper's column or page, or half a screen; default: %(default)s",
    )  # fmt: skip
    kind.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of all random choices; default: %(default)s"
    )
    kind.add_argument("--dataset", metavar="NAME", help="data set to look at; default: the run's target")
    kind.add_argument("--root", metavar="DIR", help="folder of the data sets (data.root); default: as in training")
    kind.add_argument("--weights", metavar="PATH", help="checkpoint to look at; default: the run's newest or selected")


def _add_count(kind: argparse.ArgumentParser, about: str) -> None:
    kind.add_argument("--count", type=positive, metavar="N", help=about)


def _count_or_all(text: str) -> int | str:
    return _ALL if text == _ALL else positive(text)


def _layer(text: str) -> int | str:
    return _ALL if text == _ALL else positive(text)
