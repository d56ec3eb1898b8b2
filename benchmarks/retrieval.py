"""Search in large galleries: time to build, queries per second and recall of each kind of index, in one run.

Vectors are random around a centre per identity, as many as ``--count`` of ``--dim`` numbers::

    python benchmarks/retrieval.py [--count 100000] [--dim 768] [--queries 200] [--kinds flat hnsw ivfpq] [--threads 2]
                                   [--decay 0]

With ``--decay 0`` all directions vary alike, the hardest case for approximate kinds. Real descriptors vary most in few
directions: with ``--decay a`` the i-th of them has a standard deviation of i^-a. FAISS's flat index alone, without ids
and filters, and the package's own exact top-k stand beside ours. Approximate kinds are asked with several efforts.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import faiss
import numpy as np
import torch

from promptreid.evaluation.ranking.nearest import topk
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import Embeddings
from promptreid.retrieval.gallery.index import GalleryIndex

K, ROUNDS, EFFORTS = 10, 3, (1, 4, 16)


def vectors(count: int, dim: int, ids: int, seed: int, decay: float) -> Embeddings:
    """Random unit vectors around a centre per identity, of a model that has one space for all bands."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((ids, dim), dtype=np.float32)
    found = rng.standard_normal((count, dim), dtype=np.float32) * 2 + centres[np.arange(count) % ids]
    if decay:
        scales = np.arange(1, dim + 1, dtype=np.float32) ** -decay
        turn = np.linalg.qr(np.random.default_rng(98).standard_normal((dim, dim), dtype=np.float32))[0]
        found = found @ (scales[:, None] * turn)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    model = ModelDescription(
        "random", "0" * 64, ("visible",), 1, 256, 128, (0.5,) * 3, (0.5,) * 3, dim, ((0, dim),)
    )  # fmt: skip
    names = np.array([str(number) for number in range(count)], dtype=object)
    return Embeddings(model, found, np.ones((count, 1), dtype=bool), names, np.full(count, -1))


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of a few rounds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def recall(found: list[list[str]], exact: list[list[str]]) -> float:
    """The share of the exact neighbours that were found."""
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", default=["flat", "hnsw", "ivfpq"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decay", type=float, default=0.0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    faiss.omp_set_num_threads(args.threads)
    gallery = vectors(args.count, args.dim, args.count // 20, 1, args.decay)
    queries = vectors(args.queries, args.dim, args.count // 20, 2, args.decay)
    print(
        f"{args.queries} queries x {args.count} x {args.dim}, decay {args.decay}, top {K}, {args.threads} threads, "
        f"medians of {ROUNDS}"
    )
    bare = faiss.IndexFlatIP(args.dim)
    bare.add(gallery.vectors)
    base = seconds(lambda: bare.search(queries.vectors, K))
    own = seconds(lambda: topk(queries.vectors, gallery.vectors, K, "cosine"))
    print(f"FAISS flat alone   {args.queries / base:9.0f} queries/s   1.00 x")
    print(f"our topk           {args.queries / own:9.0f} queries/s   {base / own:.2f} x")
    exact = [[str(row) for row in rows] for rows in bare.search(queries.vectors, K)[1]]
    for kind in args.kinds:
        index = GalleryIndex(gallery.model, kind)
        start = time.perf_counter()
        index.add(gallery)
        index.search(queries[:1], K)  # stores are built when they are first asked
        built = time.perf_counter() - start
        for effort in (1,) if kind == "flat" else EFFORTS:
            taken = seconds(lambda index=index, effort=effort: index.search(queries, K, effort=effort))
            found = recall(index.search(queries, K, effort=effort).ids, exact)
            print(
                f"{kind:8} built {built:7.1f} s   effort {effort:2}   {args.queries / taken:9.0f} queries/s   "
                f"{base / taken:.2f} x   recall@{K} {found:.3f}   "
                f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"
            )


if __name__ == "__main__":
    main()
