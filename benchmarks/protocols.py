"""SYSU-MM01's four settings with ten galleries each, from features extracted once: seconds and peak memory.

Features are random; identities, cameras and cell sizes add up to the real test set (3803 queries, 6775 gallery)::

    python benchmarks/protocols.py [--dim 768] [--threads 2] [--repeats 5]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np
import torch

from promptreid.evaluation.protocols import FeatureSet, SYSUProtocol

# (camid, images, identities) of the test set; identities 0..55 are those seen indoors.
GALLERY = ((0, 1374, 56), (1, 1565, 56), (3, 1918, 94), (4, 1918, 95))
QUERY = ((2, 1883, 93), (5, 1920, 96))
SETTINGS = [(mode, shots) for mode in ("all", "indoor") for shots in (1, 10)]


def images(cameras: tuple[tuple[int, int, int], ...], dim: int, rng: np.random.Generator) -> FeatureSet:
    pids, camids = [], []
    for camid, count, ids in cameras:
        sizes = np.full(ids, count // ids)
        sizes[: count % ids] += 1
        pids.append(np.repeat(np.arange(ids), sizes))
        camids.append(np.full(count, camid))
    labels = np.concatenate(pids)
    features = rng.standard_normal((len(labels), dim), dtype=np.float32) + rng.standard_normal((96, dim))[labels] / 4
    return FeatureSet(torch.from_numpy(features.astype(np.float32)), labels, np.concatenate(camids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    query, gallery = images(QUERY, args.dim, rng), images(GALLERY, args.dim, rng)
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        results = [SYSUProtocol(mode, shots).evaluate(query, gallery) for mode, shots in SETTINGS]
        seconds.append(time.perf_counter() - start)
    for result in results:
        print(result.line())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(query)} x {len(gallery)} x {args.dim}, 4 settings x 10 trials, {args.threads} threads: median "
          f"{statistics.median(seconds):.2f} s of {args.repeats} runs, peak memory {peak:.0f} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
