"""Every protocol by the name that its results print, for features that come from a file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from promptreid.evaluation.protocols.base import DIRECTIONS, Protocol
from promptreid.evaluation.protocols.llcm import LLCMProtocol
from promptreid.evaluation.protocols.market import MarketProtocol
from promptreid.evaluation.protocols.permutations import Permutations
from promptreid.evaluation.protocols.regdb import RegDBProtocol
from promptreid.evaluation.protocols.single_shot import SingleShotProtocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.protocols.sysu import SYSUProtocol, SYSUReleaseProtocol

_AS_MARKET = ("rgbnt201", "rgbnt201-dev", "rgbnt100", "rgbn300", "wmveid863", "market-mm")
"""Data sets of triples whose protocol is Market-1501's rule under their own name."""
_AS_TRIPLES = "-as-triples"
"""How the names of torchreid's own data sets end that are read as triples, likewise under Market-1501's rule."""
_SYSU_SETTINGS = [(mode, shots) for mode in ("all", "indoor") for shots in (1, 10)]


def all_protocols(permutations: Permutations | None = None) -> dict[str, Protocol]:
    """The protocols by name.

    Args:
        permutations: SYSU-MM01's, without which its official draw is not among them.
    """
    protocols: list[Protocol] = [
        MarketProtocol(),
        MarketProtocol("same-scene-excluded", exclude="scene"),
        MarketProtocol("nothing-excluded", exclude="nothing"),
        SingleShotProtocol(),
        *(MarketProtocol(name) for name in _AS_MARKET),
        MarketProtocol("msvr310", exclude="scene"),
        *(SYSUProtocol(*setting) for setting in _SYSU_SETTINGS),
        *(SYSUReleaseProtocol(*setting) for setting in _SYSU_SETTINGS),
        *(RegDBProtocol(direction, split) for split in range(1, 11) for direction in DIRECTIONS),
        *(LLCMProtocol(direction) for direction in DIRECTIONS),
        *(LLCMProtocol(direction, "llcm-readme-2023") for direction in DIRECTIONS),
    ]
    if permutations is not None:
        protocols += [SYSUProtocol(*setting, "official", permutations=permutations) for setting in _SYSU_SETTINGS]
    return {protocol.name: protocol for protocol in protocols}


def find_protocols(wanted: str, permutations: Permutations | None = None) -> list[Protocol]:
    """The protocol of this name, or all whose names begin with these words.

    Any data set of torchreid's own may stand before ``-as-triples``.

    Raises:
        ValueError: there is none, or it needs permutations.
    """
    known = all_protocols(permutations)
    if wanted.endswith(_AS_TRIPLES):
        return [MarketProtocol(wanted)]
    found = [protocol for name, protocol in known.items() if name.startswith(f"{wanted} ")]
    if wanted in known or found:
        return [known[wanted]] if wanted in known else found
    if "-to-" in wanted.rpartition(" ")[2]:
        raise ValueError(
            f"protocol {wanted!r}: a file of features does not say which part of a descriptor is of which modality; "
            "name the protocol in test.protocols, or for tools/evaluate_missing.py"
        )
    if wanted.split(" ")[0] == "sysu-official" and permutations is None:
        raise ValueError(f"protocol {wanted!r}: it needs SYSU-MM01's rand_perm_cam.mat")
    families = [*dict.fromkeys(name.split(" ")[0] for name in known), f"<data set>{_AS_TRIPLES}"]
    close = difflib.get_close_matches(wanted, known, 3)
    hint = f"did you mean {', '.join(map(repr, close))}?" if close else f"the families are {', '.join(families)}"
    raise ValueError(f"protocol {wanted!r} is unknown; {hint}")


def oriented(protocol: Protocol, modalities: tuple[Sequence[str], Sequence[str]] | None) -> Protocol | Swapped:
    """The protocol itself, or with queries and gallery exchanged where they have each other's modalities.

    Args:
        protocol: one that has a direction, or any other, which is given back as it is.
        modalities: names of the modalities among the queries and in the gallery; None when unknown.

    Raises:
        ValueError: the protocol has a direction, and the modalities are unknown or others.
    """
    direction = getattr(protocol, "direction", None)
    if direction is None:
        return protocol
    if modalities is None:
        raise ValueError(f"{protocol.name}: which images are visible and which infrared? The modality is missing")
    found = "-".join("+".join(names) for names in modalities)
    if found not in DIRECTIONS:
        raise ValueError(f"{protocol.name}: queries and gallery are {found}, expected one of {DIRECTIONS}")
    return protocol if found == direction else Swapped(protocol)
