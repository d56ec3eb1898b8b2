"""Search a gallery of vectors: promptreid search build vectors.safetensors --out gallery.safetensors.

Then promptreid search query gallery.safetensors --model log/mip_quickstart --images night.png --band ir
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptreid.cli.parsing import Parser, positive

if TYPE_CHECKING:
    import numpy as np

    from promptreid.retrieval.embeddings import Embeddings
    from promptreid.retrieval.gallery.hits import Hits
    from promptreid.retrieval.gallery.index import GalleryIndex

KINDS = ("flat", "hnsw", "ivfpq")
FAR = 1e-3


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    _add_build(steps)
    _add_add(steps)
    _add_query(steps)


def _add_build(steps: Any) -> None:
    build = steps.add_parser("build", help="build an index from a file of vectors")
    build.add_argument(
        "vectors", metavar="VECTORS", help="a file that promptreid embed wrote, .safetensors or .parquet"
    )
    build.add_argument("--out", required=True, type=Path, metavar="FILE", help="the index to write, .safetensors")
    build.add_argument(
        "--kind",
        choices=KINDS,
        default="flat",
        help="kind of index: flat is exact, FAISS's others are approximate; default: %(default)s",
    )
    build.add_argument("--uri", metavar="URI", help="keep the vectors in Milvus: gallery.db, or http://HOST:19530")
    build.add_argument(
        "--collection", default="gallery", metavar="NAME", help="the collection in Milvus; default: %(default)s"
    )
    _add_token(build)
    _add_columns(build)
    build.add_argument(
        "--calibrate",
        metavar="VECTORS",
        help="set the threshold by these vectors, of identities that were not trained on",
    )
    build.add_argument("--identities", metavar="COLUMN", help="column of that file with their identities")
    build.add_argument(
        "--far", type=float, default=FAR, metavar="RATE", help="false accept rate per pair; default: %(default)s"
    )
    build.add_argument("--other-cameras", action="store_true", help="calibrate only on pairs of different cameras")


def _add_add(steps: Any) -> None:
    add = steps.add_parser("add", help="add the vectors of a file to an index")
    add.add_argument("index", metavar="INDEX", type=Path, help="the index to change")
    add.add_argument("vectors", metavar="VECTORS", help="a file of vectors of the same model")
    _add_token(add)
    _add_columns(add)


def _add_query(steps: Any) -> None:
    query = steps.add_parser("query", help="find the gallery objects most alike to images or vectors")
    query.add_argument("index", metavar="INDEX", type=Path, help="the index")
    query.add_argument(
        "--images",
        metavar="FILE",
        nargs="+",
        default=[],
        help="images of the people or vehicles to find; default: none",
    )
    query.add_argument("--model", metavar="RUN", help="model that embeds the images: a run's folder or weights")
    query.add_argument("--band", metavar="NAME", help="band of the images, such as rgb, ir, nir or tir")
    query.add_argument("--vectors", metavar="FILE", help="a file of vectors to find instead of images")
    query.add_argument("-k", type=positive, default=10, metavar="N", help="hits per query; default: %(default)s")
    query.add_argument("--rerank", type=positive, metavar="N", help="re-rank this many candidates by their neighbours")
    query.add_argument(
        "--effort", type=positive, default=1, metavar="N",
        help="search more of an approximate index, in up to N times the time; default: %(default)s",
    )  # fmt: skip
    query.add_argument("--cameras", type=int, nargs="+", metavar="N", help="find only objects of these cameras")
    query.add_argument("--not-cameras", type=int, nargs="+", metavar="N", help="find no objects of these cameras")
    query.add_argument("--since", type=float, metavar="SECONDS", help="find no object before this time")
    query.add_argument("--until", type=float, metavar="SECONDS", help="find no object after this time")
    query.add_argument("--bands", metavar="NAMES", help="find only objects with all of these bands, such as RGB+TIR")
    query.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with a picture and a table of each query"
    )
    query.add_argument("--picture", type=Path, metavar="FILE", help="write the ranked lists as a picture, .png")
    _add_token(query)


def run(args: argparse.Namespace) -> None:
    """Build, add or ask."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    {"build": _build, "add": _add, "query": _query}[args.step](args)


def _build(args: argparse.Namespace) -> None:
    from promptreid.retrieval.embedding_files import load_embeddings
    from promptreid.retrieval.gallery.files import check_index_path
    from promptreid.retrieval.gallery.index import GalleryIndex

    check_index_path(args.out)
    if (args.calibrate is None) != (args.identities is None):
        raise ValueError("--calibrate and --identities: give both or neither")
    embeddings, columns = load_embeddings(args.vectors)
    index = GalleryIndex(
        embeddings.model,
        args.kind,
        uri=args.uri,
        collection=args.collection,
        token=args.token,
        compressor=embeddings.compressor,
    )
    if args.calibrate is not None:
        others, theirs = load_embeddings(args.calibrate)
        who = _column(theirs, args.identities, args.calibrate)
        print(index.calibrate(others, who, args.far, other_cameras=args.other_cameras))
    _fill(index, embeddings, columns, args)
    index.save(args.out)
    _report(index, args.out)


def _add(args: argparse.Namespace) -> None:
    from promptreid.retrieval.embedding_files import load_embeddings
    from promptreid.retrieval.gallery.index import GalleryIndex

    index = GalleryIndex.load(args.index, token=args.token)
    _fill(index, *load_embeddings(args.vectors), args)
    index.save(args.index)
    _report(index, args.index)


def _query(args: argparse.Namespace) -> None:
    from promptreid.retrieval.gallery.index import GalleryIndex

    if bool(args.images) == bool(args.vectors) or bool(args.images) != bool(args.model):
        raise ValueError("give --images and --model RUN, or --vectors FILE")
    index = GalleryIndex.load(args.index, token=args.token)
    queries, paths = _queries(args)
    hits = index.search(
        queries,
        args.k,
        cameras=args.cameras,
        not_cameras=args.not_cameras,
        since=args.since,
        until=args.until,
        bands=args.bands,
        rerank=args.rerank,
        effort=args.effort,
    )
    _show(hits)
    _draw(args, index, hits, paths)
    index.close()


def _draw(args: argparse.Namespace, index: GalleryIndex, hits: Hits, paths: Sequence[str]) -> None:
    from promptreid.retrieval.gallery.page import write_page, write_picture

    if args.picture:
        write_picture(args.picture, hits, paths, index.model)
    if args.html:
        write_page(args.html, hits, paths, index.model, "" if index.threshold is None else str(index.threshold))


def _queries(args: argparse.Namespace) -> tuple[Embeddings, list[str]]:
    """The vectors of the queries, and where their images are."""
    if args.vectors:
        from promptreid.retrieval.embedding_files import load_embeddings

        embeddings, columns = load_embeddings(args.vectors)
        paths = _paths(embeddings, columns)
        return embeddings, [""] * len(embeddings) if paths is None else paths.tolist()
    from promptreid.retrieval.loading import load

    return load(args.model).embed(args.images, band=args.band), list(args.images)


def _paths(embeddings: Embeddings, columns: dict[str, np.ndarray]) -> np.ndarray | None:
    """The paths of objects, where promptreid embed has written them beside their vectors."""
    from promptreid.retrieval.gallery.page import joined_paths

    found = [columns[name] for name in embeddings.model.modalities if name in columns]
    return joined_paths(found) if len(found) == len(embeddings.model.modalities) else None


def _show(hits: Hits) -> None:
    known = hits.known or [None] * len(hits)
    for name, found, is_known in zip(hits.queries, hits, known, strict=True):
        verdict = "" if is_known is None else "  known" if is_known else "  not in the gallery, by the threshold"
        print(f"{name}{verdict}")
        for rank, hit in enumerate(found, 1):
            files = ", ".join(filter(None, hit.path.split("\n")))
            place = f"  {files}" if files not in ("", hit.id) else ""
            camera = f"  camera {hit.camera}" if hit.camera >= 0 else ""
            print(f"  {rank:3}  {hit.score:10.6f}  {hit.id}{place}{camera}")


def _fill(
    index: GalleryIndex, embeddings: Embeddings, columns: dict[str, np.ndarray], args: argparse.Namespace
) -> None:
    given: dict[str, Any] = {
        name: _column(columns, column, args.vectors)
        for name, column in (("ids", args.ids), ("times", args.times), ("cameras", args.cameras_column))
        if column is not None
    }
    index.add(embeddings, paths=_paths(embeddings, columns), **given)


def _column(columns: dict[str, np.ndarray], name: str, path: str) -> np.ndarray:
    if name not in columns:
        raise ValueError(f"{path}: no column {name!r}; it has {', '.join(columns) or 'no other columns'}")
    return columns[name]


def _report(index: GalleryIndex, path: Path) -> None:
    recall = "".join(f", recall@10 {value:.3f} on {bands}" for bands, value in index.recall.items())
    print(f"{len(index)} objects, {index.kind}{recall}, in {path}")
    index.close()


def _add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ids", metavar="COLUMN", help="column of the ids; without it, the objects' names are the ids")
    parser.add_argument("--times", metavar="COLUMN", help="column of times, in seconds")
    parser.add_argument(
        "--cameras", dest="cameras_column", metavar="COLUMN", help="column of cameras, if not the model's own"
    )


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token", default="", metavar="TEXT", help="for Milvus: user:password or an API key; default: none"
    )
