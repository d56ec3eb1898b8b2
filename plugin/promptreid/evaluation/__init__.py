"""Exact rankings, protocols and results. Pure: arrays and tensors in, numbers out."""

from promptreid.evaluation.distances import compute_distances
from promptreid.evaluation.drop_in import evaluate_rank
from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols import (
    LLCMProtocol,
    MarketProtocol,
    Protocol,
    RegDBProtocol,
    SYSUProtocol,
    SYSUReleaseProtocol,
    load_rand_perm_cam,
)
from promptreid.evaluation.ranking import Ranks, rank_distances, rank_features
from promptreid.evaluation.results import Results, Trial

__all__ = [
    "FeatureSet",
    "LLCMProtocol",
    "MarketProtocol",
    "Protocol",
    "Ranks",
    "RegDBProtocol",
    "Results",
    "SYSUProtocol",
    "SYSUReleaseProtocol",
    "Trial",
    "compute_distances",
    "evaluate_rank",
    "load_rand_perm_cam",
    "rank_distances",
    "rank_features",
]
