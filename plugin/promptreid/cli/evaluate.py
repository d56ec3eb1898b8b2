"""Test a trained model, or score a file of features: promptreid evaluate TARGET.

    promptreid evaluate log/run [KEY VALUE ...]                          the model of a run, as train --eval-only does
    promptreid evaluate log/several                                      those of train --seeds or --splits, averaged
    promptreid evaluate features.npz --protocol "sysu-python all 1-shot" [--rerank]

docs/evaluation.md says what is in a file of features and which protocols there are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptreid.cli.arguments import (
    add_configuration,
    add_plugins,
    load_plugins_of,
    overlays_of,
    pairs_of,
    read_configuration,
)
from promptreid.cli.choices import (
    AQE_ALPHA,
    AQE_K,
    FEATURE_SUFFIXES,
    METRICS,
    RERANK_DISTANCES,
    RERANK_K1,
    RERANK_K2,
    RERANK_LAMBDA,
)
from promptreid.cli.configurations import SUFFIXES
from promptreid.cli.parsing import Parser, is_no_number

if TYPE_CHECKING:
    from promptreid.evaluation.features_io import FeatureTable
    from promptreid.evaluation.results import Results
    from promptreid.evaluation.statistics.per_query import PerQuery


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    add_configuration(
        parser, "what the model was trained with", f"; or a file of features ({', '.join(FEATURE_SUFFIXES)})"
    )
    group = parser.add_argument_group("of a file of features")
    actions = [
        group.add_argument(
            "--protocol",
            action="append",
            metavar="NAME",
            help="name of a protocol, or the first words of several names; required; repeat it for more",
        ),
        group.add_argument(
            "--metric",
            choices=METRICS,
            default=METRICS[0],
            help="distance between features; default: %(default)s (squared)",
        ),
        add_plugins(group),
        group.add_argument("--permutations", metavar="FILE", help="file rand_perm_cam.mat, for sysu-official"),
        *_add_refinements(group),
        group.add_argument("--trials", action="store_true", help="also print a line for each gallery draw"),
        group.add_argument("--per-query", metavar="FILE", help="save each query's outcome: .csv or .parquet"),
        group.add_argument(
            "--compare",
            metavar="OTHER",
            help="print the differences from another file of features, or from a table of --per-query",
        ),
        group.add_argument(
            "--unit",
            choices=("query", "pid"),
            default="query",
            help="unit that the bootstrap of --compare draws; default: %(default)s",
        ),
        group.add_argument("--threads", type=int, metavar="N", help="threads of the ranking; default: torch's number"),
        parser.add_list(
            "--roc",
            group=group,
            ends=is_no_number,
            type=float,
            metavar="FPR",
            help="print the true positive rates at these false positive rates",
        ),
    ]
    parser.set_defaults(of_features=actions)


def _add_refinements(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    return [
        group.add_argument(
            "--rerank", action="store_true", help="apply k-reciprocal re-ranking, with these parameters:"
        ),
        group.add_argument(
            "--k1", type=int, default=RERANK_K1, metavar="N", help="neighbours (k1); default: %(default)s"
        ),
        group.add_argument(
            "--k2",
            type=int,
            default=RERANK_K2,
            metavar="N",
            help="neighbours to average over (k2); default: %(default)s",
        ),
        group.add_argument(
            "--lambda",
            dest="distance_share",
            type=float,
            default=RERANK_LAMBDA,
            metavar="SHARE",
            help="share of the original distance in the final one; default: %(default)s",
        ),
        group.add_argument(
            "--rerank-distances",
            choices=RERANK_DISTANCES,
            default=RERANK_DISTANCES[0],
            help="original distances; default: %(default)s, as torchreid uses; TransReID and DeMo use plain",
        ),
        group.add_argument("--aqe", action="store_true", help="apply average query expansion, with these parameters:"),
        group.add_argument(
            "--aqe-k", type=int, default=AQE_K, metavar="N", help="gallery features per query; default: %(default)s"
        ),
        group.add_argument(
            "--aqe-alpha",
            type=float,
            default=AQE_ALPHA,
            metavar="POWER",
            help="power of the cosine that weights each feature; default: %(default)s, unweighted",
        ),
    ]


def run(args: argparse.Namespace) -> None:
    """Score the features, or test the model."""
    if _names_features(args):
        _score_file(args)
        return
    given = [_flag(action) for action in args.of_features if getattr(args, action.dest) != action.default]
    if given:
        raise ValueError(
            f"{', '.join(given)}: of a file of features alone; a model is tested as its configuration says "
            "(test.protocols, test.dist_metric, test.rerank, plugins)"
        )
    if _names_several(args):
        from promptreid.runs.evaluate_several import evaluate_several

        overrides = {} if args.root is None else {"data.root": args.root}
        evaluate_several(Path(args.target), pairs_of(args), overrides, overlays_of(args))
        return
    cfg = read_configuration(args, required=True)
    from promptreid.runs.run import run as run_once

    run_once(cfg, eval_only=True)


def _names_several(args: argparse.Namespace) -> bool:
    if args.target is None or args.config_file is not None or not Path(args.target).is_dir():
        return False
    from promptreid.runs.evaluate_several import holds_several

    return holds_several(Path(args.target))


def _flag(action: argparse.Action) -> str:
    return action.option_strings[0]


def _names_features(args: argparse.Namespace) -> bool:
    if args.target is None:
        return False
    path = Path(args.target)
    return path.suffix in FEATURE_SUFFIXES or (path.is_file() and path.suffix not in SUFFIXES)


def _score_file(args: argparse.Namespace) -> None:
    path = Path(args.target)
    if not path.is_file():
        raise FileNotFoundError(f"no such file of features: {path}")
    run_folder = path.resolve().parent.parent
    if path.resolve().parent.name == "model" and (run_folder / "config.yaml").is_file():
        raise ValueError(f"{path} holds weights, not features: promptreid evaluate {run_folder} tests them")
    if not args.protocol:
        raise ValueError(f"{args.target} is a file of features: the following arguments are required: --protocol")
    if args.opts or args.config_file or args.overlays or args.root:
        raise ValueError(f"{args.target} is a file of features, and takes no configuration, overlay, keys or --root")
    import torch

    from promptreid.evaluation.features_io import load_features
    from promptreid.evaluation.protocols import find_protocols, load_rand_perm_cam
    from promptreid.evaluation.tables import check_table_path

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.per_query:
        check_table_path(args.per_query)
    refinements = _refinements(args)
    load_plugins_of(args)
    permutations = None if args.permutations is None else load_rand_perm_cam(args.permutations)
    protocols = [protocol for wanted in args.protocol for protocol in find_protocols(wanted, permutations)]
    table = _score(load_features(args.target), protocols, args, refinements)
    if args.per_query:
        table.save(args.per_query)
        print(f"{len(table)} rows in {args.per_query}")
    if args.compare:
        _compare(table, protocols, args, refinements)


def _refinements(args: argparse.Namespace) -> dict[str, Any]:
    from promptreid.evaluation.ranking.expansion import QueryExpansion
    from promptreid.evaluation.ranking.reranking import KReciprocal

    return {
        "aqe": QueryExpansion(args.aqe_k, args.aqe_alpha) if args.aqe else None,
        "rerank": KReciprocal(args.k1, args.k2, args.distance_share, args.rerank_distances) if args.rerank else None,
    }


def _score(
    features: FeatureTable, protocols: Sequence[Any], args: argparse.Namespace, refinements: dict[str, Any]
) -> PerQuery:
    """Print a line per protocol; the outcome of every query."""
    from promptreid.evaluation.protocols import oriented
    from promptreid.evaluation.statistics.per_query import PerQuery

    query, gallery = features.side("query"), features.side("gallery")
    tables = []
    for protocol in protocols:
        chosen = oriented(protocol, features.modalities)
        result: Results = chosen.evaluate(query, gallery, args.metric, **refinements)
        print(result.table() if args.trials else result.line())
        if args.roc:
            print(chosen.verify(query, gallery, args.metric, fprs=args.roc, **refinements).line())
        tables.append(PerQuery.of(result, chosen, query, gallery))
    return PerQuery.join(tables)


def _compare(table: PerQuery, protocols: Sequence[Any], args: argparse.Namespace, refinements: dict[str, Any]) -> None:
    """Print the differences to other features, or to a table of a query's outcomes."""
    from promptreid.evaluation.features_io import load_features
    from promptreid.evaluation.statistics.comparison import compare
    from promptreid.evaluation.statistics.per_query import PerQuery, is_table

    other = (
        PerQuery.load(args.compare)
        if is_table(args.compare)
        else _score(load_features(args.compare), protocols, args, refinements)
    )
    print(f"{args.compare} -> {args.target}")
    for comparison in compare(other, table, unit=args.unit):
        print(comparison.line())
