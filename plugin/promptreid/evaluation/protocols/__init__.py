"""Evaluation protocols as objects, one file per family of data sets."""

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols.base import Protocol
from promptreid.evaluation.protocols.catalogue import (
    all_protocols,
    find_protocols,
    matching,
    oriented,
    register_protocol,
    registered_protocols,
)
from promptreid.evaluation.protocols.cross_modal import CrossModalProtocol
from promptreid.evaluation.protocols.llcm import LLCMProtocol
from promptreid.evaluation.protocols.market import MarketProtocol
from promptreid.evaluation.protocols.permutations import Permutations, load_rand_perm_cam
from promptreid.evaluation.protocols.regdb import RegDBProtocol
from promptreid.evaluation.protocols.selected import Selected
from promptreid.evaluation.protocols.single_shot import SingleShotProtocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.protocols.sysu import SYSUProtocol, SYSUReleaseProtocol

__all__ = [
    "CrossModalProtocol",
    "FeatureSet",
    "LLCMProtocol",
    "MarketProtocol",
    "Permutations",
    "Protocol",
    "RegDBProtocol",
    "SYSUProtocol",
    "SYSUReleaseProtocol",
    "Selected",
    "SingleShotProtocol",
    "Swapped",
    "all_protocols",
    "find_protocols",
    "load_rand_perm_cam",
    "matching",
    "oriented",
    "register_protocol",
    "registered_protocols",
]
