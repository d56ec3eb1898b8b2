"""Ranking, re-ranking and search at the sizes of the field: seconds and peak memory, torchreid's own beside them.

Features are random, with as many identities and cameras as the data sets named. Every part runs in a process of its
own, so that its peak memory is its own::

    python benchmarks/ranking.py [market msmt17 growth rerank rerank-msmt17 search compiled] [--threads 2]

What torchreid does with given distances in Python takes a minute at Market-1501's size, so it gets a share of the
queries and its time is scaled; the time of a loop over queries is linear in them. Its compiled evaluator is not in the
registry's package. The part ``compiled`` takes what ``make`` builds in a checkout of torchreid, with Cython installed::

    (cd deep-person-reid/torchreid/metrics/rank_cylib && make)
    python benchmarks/ranking.py compiled --evaluator deep-person-reid/torchreid/metrics/rank_cylib/rank_cy*.so
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from promptreid import host
from promptreid.evaluation import FeatureSet, MarketProtocol, compute_distances, rank_distances
from promptreid.evaluation.ranking.nearest import topk
from promptreid.evaluation.ranking.reranking import KReciprocal

HOST_QUERIES = 300
PRODUCT_ROWS = 408  # as many as the ranking takes at a time with MSMT17's gallery
ROUNDS = 3


def images(count: int, ids: int, cameras: int, dim: int, seed: int) -> FeatureSet:
    """Random features around a centre per identity; every identity is in every camera."""
    generator = torch.Generator().manual_seed(seed)
    pids, camids = np.arange(count) % ids, np.arange(count) // ids % cameras
    centres = torch.randn(ids, dim, generator=torch.Generator().manual_seed(99))
    features = torch.randn(count, dim, generator=generator).mul_(2)
    return FeatureSet(features.add_(centres[torch.from_numpy(pids)]), pids, camids)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


def peak() -> float:
    """GiB that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def market() -> None:
    query, gallery = images(3368, 751, 6, 768, 0), images(19732, 751, 6, 768, 1)
    seconds, result = timed(lambda: MarketProtocol().evaluate(query, gallery))
    print(f"3368 x 19732 x 768 from features: {seconds:.2f} s, peak {peak():.2f} GiB")
    distances = compute_distances(query.features, gallery.features).numpy()
    labels = query.pids, gallery.pids, query.camids, gallery.camids
    given, ranks = timed(lambda: rank_distances(distances, *labels))
    part = distances[:HOST_QUERIES], labels[0][:HOST_QUERIES], labels[1], labels[2][:HOST_QUERIES], labels[3]
    theirs, (cmc, mean_ap) = timed(lambda: host.metrics.evaluate_rank(*part, use_cython=False))
    ours = ranks.select(np.arange(HOST_QUERIES))
    scaled = theirs * len(query) / HOST_QUERIES
    print(f"3368 x 19732, distances given:    {given:.2f} s; torchreid in Python {scaled:.1f} s ({theirs:.2f} s for "
          f"{HOST_QUERIES} queries, scaled), {scaled / given:.0f} times ours")  # fmt: skip
    print(f"  on these {HOST_QUERIES}: rank-1 {np.mean(ours.first == 1):.6f} and {cmc[0]:.6f}, "
          f"mAP {ours.average_precision.mean():.6f} and {mean_ap:.6f}")  # fmt: skip
    print(f"  all: {result.line()}")


def msmt17() -> None:
    query, gallery = images(11659, 3060, 15, 768, 0), images(82161, 3060, 15, 768, 1)
    before = peak()
    print(f"11659 x 82161 x 768 from features, {before:.2f} GiB before")
    for _ in range(ROUNDS):
        seconds, result = timed(lambda: MarketProtocol("msmt17").evaluate(query, gallery))
        held = peak()
        alone, _ = timed(lambda: product(query.features, gallery.features))
        print(f"  {seconds:.2f} s, peak {held:.2f} GiB; the matrix product alone {alone:.2f} s, "
              f"ratio {seconds / alone:.2f}")  # fmt: skip
    print(f"  {result.line()}")


def product(query: torch.Tensor, gallery: torch.Tensor) -> None:
    """All scalar products, a block of rows at a time, each forgotten."""
    for rows in query.split(PRODUCT_ROWS):
        torch.mm(rows, gallery.T)


def growth() -> None:
    query = images(2000, 500, 6, 768, 0)
    print("  gallery   seconds   ns per pair")
    for count in (10_000, 20_000, 40_000, 80_000):
        gallery = images(count, count // 20, 6, 768, 1)
        seconds, _ = timed(lambda gallery=gallery: MarketProtocol().evaluate(query, gallery))
        print(f"  {count:7d}   {seconds:7.2f}   {seconds / count / len(query) * 1e9:11.2f}")
    print(f"  2000 queries x 768, 20 images per identity, peak {peak():.2f} GiB")


def rerank() -> None:
    query, gallery = images(400, 100, 6, 256, 0), images(1600, 100, 6, 256, 1)
    method = KReciprocal()
    every = torch.arange(len(query))
    seconds, ours = timed(lambda: method.distances(query.features, gallery.features).rows(every).numpy())
    pairs = ((query, gallery), (query, query), (gallery, gallery))
    matrices = [host.metrics.compute_distance_matrix(a.features, b.features).numpy() for a, b in pairs]
    theirs, dense = timed(lambda: host.utils.re_ranking(*matrices))
    print(f"k-reciprocal, N = 2000 x 256: {seconds:.2f} s from features; torchreid {theirs:.2f} s from distances; "
          f"largest difference {np.abs(ours - dense).max():.1e}")  # fmt: skip


def rerank_msmt17() -> None:
    query, gallery = images(11659, 3060, 15, 256, 0), images(82161, 3060, 15, 256, 1)
    method = KReciprocal()
    seconds, _ = timed(lambda: method.distances(query.features, gallery.features))
    print(f"k-reciprocal, N = 93820 x 256: neighbours and encodings {seconds:.1f} s, peak {peak():.2f} GiB")
    whole, result = timed(lambda: MarketProtocol("msmt17").evaluate(query, gallery, rerank=method))
    print(f"  with the ranking of 11659 x 82161: {whole:.1f} s, peak {peak():.2f} GiB")
    print(f"  {result.line()}")


def search() -> None:
    generator = torch.Generator().manual_seed(0)
    gallery, query = torch.randn(1_000_000, 512, generator=generator), torch.randn(1000, 512, generator=generator)
    before = peak()
    seconds, found = timed(lambda: topk(query, gallery, 50))
    print(f"top-50 of 1000 queries among 1000000 x 512: {seconds:.1f} s, {peak() - before:.2f} GiB besides the gallery")
    exact = compute_distances(query[:20], gallery).sort(dim=1, stable=True).indices[:, :50]
    print(f"  the first 20 queries as a full sort has them: {(found.indices[:20] == exact).float().mean():.4f}")


def compiled(evaluator: Path | None) -> None:
    if evaluator is None:
        print("compiled: left out; --evaluator names torchreid's compiled evaluator, --help says how to build it")
        return
    theirs = load(evaluator)
    torch.set_num_threads(1)
    for num_queries, num_gallery, ids in ((500, 5000, 250), (3368, 15913, 751)):
        query, gallery = images(num_queries, ids, 6, 64, 0), images(num_gallery, ids, 6, 64, 1)
        distances = compute_distances(query.features, gallery.features).numpy()
        beside(theirs, distances, query.pids, gallery.pids, query.camids, gallery.camids)


def beside(theirs: ModuleType, distances: np.ndarray, *labels: np.ndarray) -> None:
    """Both evaluators on the same distances, in turn."""
    rounds = []
    for _ in range(ROUNDS):
        ours, ranks = timed(lambda: rank_distances(distances, *labels))
        host_seconds, (cmc, mean_ap) = timed(lambda: theirs.evaluate_cy(distances, *labels, 50))
        rounds.append((ours, host_seconds))
    ours, host_seconds = np.median(rounds, axis=0)
    print(f"{distances.shape[0]} x {distances.shape[1]}, distances given, one thread: {ours:.3f} s "
          f"(first {rounds[0][0]:.3f} s); torchreid compiled {host_seconds:.3f} s, "
          f"{host_seconds / ours:.1f} times ours")  # fmt: skip
    print(f"  rank-1 {np.mean(ranks.first == 1):.6f} and {cmc[0]:.6f}, "
          f"mAP {ranks.average_precision.mean():.6f} and {mean_ap:.6f}")  # fmt: skip


def load(file: Path) -> ModuleType:
    """A compiled module from its file."""
    spec = importlib.util.spec_from_file_location("rank_cy", file)
    assert spec and spec.loader, f"{file} is not a compiled module"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PARTS = {
    "market": market,
    "msmt17": msmt17,
    "growth": growth,
    "rerank": rerank,
    "rerank-msmt17": rerank_msmt17,
    "search": search,
    "compiled": compiled,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluator", type=Path, metavar="FILE", help="torchreid's compiled evaluator, for `compiled`")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"{unknown[0]} is not one of {', '.join(PARTS)}")
    if len(args.parts) == 1:
        torch.set_num_threads(args.threads)
        part = PARTS[args.parts[0]]
        (partial(compiled, args.evaluator) if part is compiled else part)()
        return
    print(f"{args.threads} threads, torch {torch.__version__}")
    for part in args.parts or PARTS:
        evaluator = ["--evaluator", str(args.evaluator)] if args.evaluator else []
        subprocess.run([sys.executable, __file__, part, "--threads", str(args.threads), *evaluator], check=True)


if __name__ == "__main__":
    main()
