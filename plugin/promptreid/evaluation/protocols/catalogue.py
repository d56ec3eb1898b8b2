"""Every protocol by the name that its results print: those of this package, and what others register."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from promptreid.evaluation.protocols.base import DIRECTIONS, Protocol
from promptreid.evaluation.protocols.cross_modal import CrossModalProtocol
from promptreid.evaluation.protocols.llcm import LLCMProtocol
from promptreid.evaluation.protocols.market import MarketProtocol
from promptreid.evaluation.protocols.permutations import Permutations
from promptreid.evaluation.protocols.regdb import RegDBProtocol
from promptreid.evaluation.protocols.single_shot import SingleShotProtocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.protocols.sysu import SYSUProtocol, SYSUReleaseProtocol

P = TypeVar("P")

_AS_MARKET = ("rgbnt201", "rgbnt201-dev", "rgbnt100", "rgbn300", "wmveid863", "market-mm")
"""Data sets of triples whose protocol is Market-1501's rule under their own name."""
_AS_TRIPLES = "-as-triples"
"""How the names of torchreid's own data sets end that are read as triples, likewise under Market-1501's rule."""
_SYSU_SETTINGS = [(mode, shots) for mode in ("all", "indoor") for shots in (1, 10)]
_OFFICIAL = "sysu-official"
_registered: dict[str, Protocol] = {}


def all_protocols(permutations: Permutations | None = None) -> dict[str, Protocol]:
    """The protocols by name, registered ones last.

    Args:
        permutations: SYSU-MM01's, without which its official draw is not among them.
    """
    return {**_own_protocols(permutations), **_registered}


def registered_protocols() -> dict[str, Protocol]:
    """Others' protocols by name, in the order in which they came."""
    return dict(_registered)


def register_protocol(protocol: Protocol) -> None:
    """Register a protocol, so that ``test.protocols`` and ``tools/evaluate.py`` take its name.

    A second call with the same object does nothing.

    Args:
        protocol: has a name that no other one has.

    Raises:
        TypeError: something else than a :class:`Protocol`.
        ValueError: no name, or the name of another protocol.
    """
    if not isinstance(protocol, Protocol):
        raise TypeError(f"a protocol has to be an object of a class derived from Protocol, got {protocol!r}")
    name = getattr(protocol, "name", None)
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise ValueError(
            f"{type(protocol).__name__}: its name {name!r} must be a text that begins and ends in no space"
        )
    if _registered.get(name) is protocol:
        return
    if name in all_protocols() or name.split(" ")[0] == _OFFICIAL:
        raise ValueError(f"there is another protocol {name!r}: choose another name, nothing is overwritten")
    _registered[name] = protocol


def _own_protocols(permutations: Permutations | None) -> dict[str, Protocol]:
    protocols: list[Protocol] = [
        MarketProtocol(),
        MarketProtocol("same-scene-excluded", exclude="scene"),
        MarketProtocol("nothing-excluded", exclude="nothing"),
        SingleShotProtocol(),
        *(CrossModalProtocol(direction) for direction in DIRECTIONS),
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
    """Find the protocol of this name, or all whose names begin with these words.

    Any data set of torchreid's own may stand before ``-as-triples``.

    Raises:
        ValueError: there is none, or it needs permutations.
    """
    known = all_protocols(permutations)
    if wanted.endswith(_AS_TRIPLES):
        return [MarketProtocol(wanted)]
    found = matching(known, wanted)
    if found:
        return found
    if "-to-" in wanted.rpartition(" ")[2]:
        raise ValueError(
            f"protocol {wanted!r}: a file of features does not say which part of a descriptor is of which modality; "
            "name the protocol in test.protocols, or for promptreid missing"
        )
    if wanted.split(" ")[0] == _OFFICIAL and permutations is None:
        raise ValueError(f"protocol {wanted!r}: it needs SYSU-MM01's rand_perm_cam.mat")
    families = [*dict.fromkeys(name.split(" ")[0] for name in known), f"<data set>{_AS_TRIPLES}"]
    close = difflib.get_close_matches(wanted, known, 3)
    hint = f"did you mean {', '.join(map(repr, close))}?" if close else f"the families are {', '.join(families)}"
    raise ValueError(f"protocol {wanted!r} is unknown; {hint}")


def matching(known: Mapping[str, P], wanted: str) -> list[P]:
    """The value of the name ``wanted``, or else those whose names begin with these words."""
    if wanted in known:
        return [known[wanted]]
    return [value for name, value in known.items() if name.startswith(f"{wanted} ")]


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
