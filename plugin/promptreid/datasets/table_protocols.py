"""Which protocols a table of images can be tested with, and why not with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import Record
from promptreid.evaluation.protocols import FeatureSet, MarketProtocol, Protocol, Selected, Swapped, all_protocols
from promptreid.evaluation.protocols.base import DIRECTIONS

_OFFICIAL = (
    "it needs SYSU-MM01's rand_perm_cam.mat, which a table has no column for: score the features with "
    "promptreid extract and promptreid evaluate --permutations"
)


@dataclass
class Choice:
    """The protocols of a data set.

    Attributes:
        standard: those that are tested where none is named; the first one is the headline.
        named: all that fit the labels.
        missing: reason by name of the others.
        no_standard: why there is no standard one; empty where there is.
    """

    standard: tuple[Any, ...] = ()
    named: tuple[Any, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    no_standard: str = ""


def choose(query: Sequence[Record], gallery: Sequence[Record]) -> Choice:
    """The protocols that these labels allow.

    With visible and infrared images, one per sample, the standard ones are the Market-1501 rule in both directions
    as far as there are such queries and gallery images, the direction of the two lists first; else it is that rule.
    """
    labels = labels_of(query), labels_of(gallery)
    sides = _sides(query), _sides(gallery)
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, protocol in all_protocols().items():
        try:
            found[name] = _placed(protocol, *sides)
            found[name].check(*labels)
        except ValueError as error:
            found.pop(name, None)
            missing[name] = str(error).removeprefix(f"{name}: ")
    wanted = _standard(*sides)
    standard = tuple(found[name] for name in wanted if name in found)
    reasons = "; ".join(f"{name}: {missing[name]}" for name in wanted) if not standard else ""
    others = f"name one of {', '.join(found)}" if found else "no other protocol fits either"
    no_standard = f"{reasons}; {others}" if reasons else ""
    return Choice(standard, tuple(found.values()), {**missing, "sysu-official": _OFFICIAL}, no_standard)


def labels_of(records: Sequence[Record]) -> FeatureSet:
    """Identities, cameras and, where all have one, scenes of records; no features."""
    scenes = [record[0].labels.get("scene") for record in records]
    return FeatureSet(
        None,
        np.array([record[1] for record in records], dtype=np.int64),
        np.array([record[2] for record in records], dtype=np.int64),
        None if None in scenes else np.array(scenes, dtype=np.int64),
    )


def _sides(records: Sequence[Record]) -> np.ndarray:
    """(N,) ``visible`` or ``infrared`` (of whatever wavelength) of records of one image each; empty texts of others."""
    return np.array([_side(record[0]) for record in records], dtype="U8")


def _side(path: PathBundle) -> str:
    names = list(path.paths)
    if len(names) > 1:
        return ""
    return "visible" if names == ["visible"] else "infrared"


def _standard(query: np.ndarray, gallery: np.ndarray) -> list[str]:
    if {"visible", "infrared"} - {*query, *gallery}:
        return [MarketProtocol().name]
    infrared_first = set(query) == {"infrared"}
    return [f"cross-modal {direction}" for direction in (DIRECTIONS[::-1] if infrared_first else DIRECTIONS)]


def _placed(protocol: Protocol, query: np.ndarray, gallery: np.ndarray) -> Protocol | Swapped | Selected:
    """A protocol that has a direction, on the images of that direction; any other as it is."""
    direction = getattr(protocol, "direction", None)
    if direction is None:
        return protocol
    first, second = direction.split("-")
    rows = np.flatnonzero(query == first), np.flatnonzero(gallery == second)
    chosen: Protocol | Swapped = protocol
    if not (len(rows[0]) and len(rows[1])):
        rows = np.flatnonzero(query == second), np.flatnonzero(gallery == first)
        chosen = Swapped(protocol)
    if not (len(rows[0]) and len(rows[1])):
        raise ValueError(f"there are no {first} images to be compared with {second} ones, one in each row")
    whole = (len(rows[0]), len(rows[1])) == (len(query), len(gallery))
    return chosen if whole else Selected(chosen, *rows)
