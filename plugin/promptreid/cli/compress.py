"""Make descriptors smaller, and see what it costs: promptreid compress STEP.

    promptreid compress fit TRAIN --dim 64 --store int8 --out small.safetensors
    promptreid compress apply VECTORS --with small.safetensors --out FILE
    promptreid compress compare TEST --fit TRAIN --dims 64 128 --stores float32 int8 pq32

docs/search.md, Smaller descriptors, says what to choose.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptreid.cli.arguments import add_plugins, load_plugins_of
from promptreid.cli.parsing import Parser, positive

if TYPE_CHECKING:
    from promptreid.retrieval.compression.compressor import Compressor

STORE = "float32"
IDENTITIES = "pids"
_STORES = "float32, float16, int8, or pqM: M bytes by product quantisation, such as pq32"


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    fit = steps.add_parser("fit", help="learn from vectors how to make them smaller")
    fit.add_argument("vectors", metavar="TRAIN", help="a file that promptreid embed wrote, such as the training images")
    fit.add_argument("--dim", type=positive, metavar="N", help="numbers to keep per vector; default: all")
    fit.add_argument("--whiten", action="store_true", help="bring the variance of each number to 1")
    fit.add_argument("--store", default=STORE, metavar="NAME", help=f"{_STORES}; default: %(default)s")
    fit.add_argument("--out", required=True, type=Path, metavar="FILE", help="the compressor to write, .safetensors")
    apply = steps.add_parser("apply", help="make the vectors of a file smaller")
    apply.add_argument("vectors", metavar="VECTORS", help="a file that promptreid embed wrote with the same model")
    apply.add_argument(
        "--with",
        dest="compressor",
        required=True,
        type=Path,
        metavar="FILE",
        help="the compressor that compress fit wrote",
    )
    apply.add_argument("--out", required=True, type=Path, metavar="FILE", help="the file to write, .safetensors")
    compare = steps.add_parser(
        "compare", help="show bytes per object and accuracy of several compressors, beside the full descriptor"
    )
    compare.add_argument("vectors", metavar="TEST", help="a file that promptreid embed wrote, with identities")
    compare.add_argument(
        "--with", dest="compressors", type=Path, nargs="+", metavar="FILE", help="compressors that compress fit wrote"
    )
    compare.add_argument(
        "--fit", metavar="TRAIN", help="or fit on this file one compressor for each of --dims and --stores"
    )
    compare.add_argument("--dims", type=positive, nargs="+", metavar="N", help="numbers to keep per vector")
    compare.add_argument(
        "--stores", nargs="+", default=[STORE], metavar="NAME", help=f"{_STORES}; default: {STORE} alone"
    )
    compare.add_argument("--whiten", action="store_true", help="bring the variance of each number to 1")
    compare.add_argument(
        "--protocol",
        metavar="NAME",
        help="protocol for the queries and gallery; without it, the first protocol of the model's run",
    )
    compare.add_argument(
        "--identities", default=IDENTITIES, metavar="COLUMN", help="column of the identities; default: %(default)s"
    )
    compare.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    add_plugins(compare)


def run(args: argparse.Namespace) -> None:
    """Fit, apply or compare."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    {"fit": _fit, "apply": _apply, "compare": _compare}[args.step](args)


def _fit(args: argparse.Namespace) -> None:
    from promptreid.retrieval.compression.compressor import Compressor
    from promptreid.retrieval.compression.files import check_compressor_path
    from promptreid.retrieval.embedding_files import load_embeddings

    check_compressor_path(args.out)
    embeddings, _ = load_embeddings(args.vectors)
    found = Compressor.fit(embeddings, args.dim, args.whiten, args.store)
    found.save(args.out)
    full = 4 * embeddings.model.width_of_vector
    print(f"{found.label}: {found.bytes_per_object} bytes an object rather than {full}, in {args.out}")


def _apply(args: argparse.Namespace) -> None:
    from promptreid.retrieval.compression.compressor import Compressor
    from promptreid.retrieval.embedding_files import load_embeddings, save_embeddings

    if args.out.exists():
        raise ValueError(f"{args.out} is there already; choose another file")
    compressor = Compressor.load(args.compressor)
    embeddings, columns = load_embeddings(args.vectors)
    done = compressor.apply(embeddings)
    save_embeddings(done, args.out, columns)
    print(f"{len(done)} objects, {compressor.label}, {compressor.bytes_per_object} bytes each, in {args.out}")


def _compare(args: argparse.Namespace) -> None:
    from promptreid.files import write_text
    from promptreid.retrieval.compression.comparison import compare
    from promptreid.retrieval.embedding_files import load_embeddings

    if bool(args.compressors) == bool(args.fit):
        raise ValueError("give --with FILE ..., or --fit TRAIN with --dims and --stores")
    if args.compressors and (args.dims or args.whiten or args.stores != [STORE]):
        raise ValueError("--dims, --stores and --whiten say what --fit fits; the compressors of --with are fitted")
    load_plugins_of(args)
    embeddings, columns = load_embeddings(args.vectors)
    found = compare(embeddings, columns, _compressors(args), args.protocol, args.identities)
    print(found.text())
    if args.json:
        write_text(args.json, json.dumps(found.as_dict(), indent=1))


def _compressors(args: argparse.Namespace) -> Iterator[Compressor]:
    from promptreid.retrieval.compression.compressor import Compressor
    from promptreid.retrieval.embedding_files import load_embeddings

    for path in args.compressors or ():
        yield Compressor.load(path)
    if args.fit:
        train, _ = load_embeddings(args.fit)
        dims: list[Any] = args.dims or [None]
        for dim in dims:
            for store in args.stores:
                yield Compressor.fit(train, dim, args.whiten, store)
