"""Evaluation protocols as objects, one file per family of data sets."""

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols.base import Protocol
from promptreid.evaluation.protocols.catalogue import all_protocols, find_protocols, oriented
from promptreid.evaluation.protocols.llcm import LLCMProtocol
from promptreid.evaluation.protocols.market import MarketProtocol
from promptreid.evaluation.protocols.permutations import Permutations, load_rand_perm_cam
from promptreid.evaluation.protocols.regdb import RegDBProtocol
from promptreid.evaluation.protocols.single_shot import SingleShotProtocol
from promptreid.evaluation.protocols.sysu import SYSUProtocol, SYSUReleaseProtocol

__all__ = [
    "FeatureSet",
    "LLCMProtocol",
    "MarketProtocol",
    "Permutations",
    "Protocol",
    "RegDBProtocol",
    "SYSUProtocol",
    "SYSUReleaseProtocol",
    "SingleShotProtocol",
    "all_protocols",
    "find_protocols",
    "load_rand_perm_cam",
    "oriented",
]
