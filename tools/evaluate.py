"""Score a file of features: python tools/evaluate.py FEATURES --protocol "sysu-python all 1-shot" [--rerank].

docs/evaluation.md says what is in such a file and which protocols there are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from promptreid.command import run_tool
from promptreid.evaluation.features_io import FeatureTable, load_features
from promptreid.evaluation.protocols import find_protocols, load_rand_perm_cam, oriented
from promptreid.evaluation.ranking.distances import METRICS
from promptreid.evaluation.ranking.expansion import QueryExpansion
from promptreid.evaluation.ranking.reranking import ORIGINALS, KReciprocal
from promptreid.evaluation.results import Results
from promptreid.evaluation.statistics.comparison import compare
from promptreid.evaluation.statistics.per_query import PerQuery, is_table
from promptreid.evaluation.tables import check_table_path


def main(argv: Sequence[str] | None = None) -> None:
    args = _parse(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.per_query:
        check_table_path(args.per_query)
    methods = {
        "aqe": QueryExpansion(args.aqe_k, args.aqe_alpha) if args.aqe else None,
        "rerank": KReciprocal(args.k1, args.k2, args.lambda_, args.rerank_distances) if args.rerank else None,
    }
    permutations = None if args.permutations is None else load_rand_perm_cam(args.permutations)
    protocols = [protocol for wanted in args.protocol for protocol in find_protocols(wanted, permutations)]
    table = _score(load_features(args.features), protocols, args, methods)
    if args.per_query:
        table.save(args.per_query)
        print(f"{len(table)} rows in {args.per_query}")
    if args.compare:
        other = (
            PerQuery.load(args.compare)
            if is_table(args.compare)
            else _score(load_features(args.compare), protocols, args, methods)
        )
        print(f"{args.compare} -> {args.features}")
        for comparison in compare(other, table, unit=args.unit):
            print(comparison.line())


def _score(features: FeatureTable, protocols: Sequence, args: argparse.Namespace, methods: dict) -> PerQuery:
    """Print a line per protocol; the outcome of every query."""
    query, gallery = features.side("query"), features.side("gallery")
    tables = []
    for protocol in protocols:
        chosen = oriented(protocol, features.modalities)
        result: Results = chosen.evaluate(query, gallery, args.metric, **methods)
        print(result.table() if args.trials else result.line())
        if args.roc:
            print(chosen.verify(query, gallery, args.metric, fprs=args.roc, **methods).line())
        tables.append(PerQuery.of(result, chosen, query, gallery))
    return PerQuery.join(tables)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("features", type=Path, help="a .npz, .safetensors, .parquet or .mat file")
    parser.add_argument("--protocol", action="append", required=True, metavar="NAME",
                        help="a protocol's name, or the first words of several; may be given again")  # fmt: skip
    parser.add_argument("--metric", choices=METRICS, default="euclidean", help="default: %(default)s (squared)")
    parser.add_argument("--permutations", metavar="FILE", help="rand_perm_cam.mat, for sysu-official")
    parser.add_argument("--rerank", action="store_true", help="k-reciprocal re-ranking, with these parameters:")
    parser.add_argument("--k1", type=int, default=KReciprocal.k1, help="default: %(default)s")
    parser.add_argument("--k2", type=int, default=KReciprocal.k2, help="default: %(default)s")
    parser.add_argument("--lambda", dest="lambda_", type=float, default=KReciprocal.weight, help="default: %(default)s")
    parser.add_argument("--rerank-distances", choices=ORIGINALS, default=ORIGINALS[0],
                        help="default: %(default)s, as torchreid does; plain is TransReID's and DeMo's")  # fmt: skip
    parser.add_argument("--aqe", action="store_true", help="average query expansion, with these parameters:")
    parser.add_argument("--aqe-k", type=int, default=QueryExpansion.k, help="default: %(default)s")
    parser.add_argument(
        "--aqe-alpha", type=float, default=QueryExpansion.alpha, help="default: %(default)s, unweighted"
    )
    parser.add_argument("--trials", action="store_true", help="a line for each gallery draw, too")
    parser.add_argument("--roc", type=float, nargs="+", metavar="FPR",
                        help="true positive rates at these false positive rates")  # fmt: skip
    parser.add_argument("--per-query", metavar="FILE", help="save each query's outcome: .csv or .parquet")
    parser.add_argument("--compare", metavar="OTHER",
                        help="differences to features scored alike, or to a table of --per-query")  # fmt: skip
    parser.add_argument("--unit", choices=("query", "pid"), default="query",
                        help="what the bootstrap of --compare draws; default: %(default)s")  # fmt: skip
    parser.add_argument("--threads", type=int, metavar="N", help="default: torch's")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_tool(main)
