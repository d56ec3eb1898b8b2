"""Exact rankings, protocols and results. Pure: arrays and tensors in, numbers out."""

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.features_io import FeatureTable, load_features, save_features
from promptreid.evaluation.protocols import (
    CrossModalProtocol,
    LLCMProtocol,
    MarketProtocol,
    Protocol,
    RegDBProtocol,
    SingleShotProtocol,
    SYSUProtocol,
    SYSUReleaseProtocol,
    find_protocols,
    load_rand_perm_cam,
    register_protocol,
)
from promptreid.evaluation.ranking.distances import compute_distances
from promptreid.evaluation.ranking.exact import Ranks, rank_distances, rank_features
from promptreid.evaluation.ranking.expansion import QueryExpansion
from promptreid.evaluation.ranking.nearest import Neighbours, topk
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.evaluation.ranking.torchreid_metric import evaluate_rank
from promptreid.evaluation.results import Results, Trial
from promptreid.evaluation.statistics.comparison import Comparison, Difference, compare
from promptreid.evaluation.statistics.per_query import PerQuery
from promptreid.evaluation.statistics.verification import Verification, roc

__all__ = [
    "Comparison",
    "CrossModalProtocol",
    "Difference",
    "FeatureSet",
    "FeatureTable",
    "KReciprocal",
    "LLCMProtocol",
    "MarketProtocol",
    "Neighbours",
    "PerQuery",
    "Protocol",
    "QueryExpansion",
    "Ranks",
    "RegDBProtocol",
    "Results",
    "SYSUProtocol",
    "SYSUReleaseProtocol",
    "SingleShotProtocol",
    "Trial",
    "Verification",
    "compare",
    "compute_distances",
    "evaluate_rank",
    "find_protocols",
    "load_features",
    "load_rand_perm_cam",
    "rank_distances",
    "rank_features",
    "register_protocol",
    "roc",
    "save_features",
    "topk",
]
