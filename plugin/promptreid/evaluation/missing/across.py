"""Retrieval across modalities within triples: the queries keep one modality, the gallery another one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import permutations

from promptreid.evaluation.missing.conditions import Condition
from promptreid.evaluation.protocols.base import Protocol


@dataclass(frozen=True, eq=False)
class AcrossModalities:
    """A data set's protocol under a condition whose sides have one modality each.

    Attributes:
        protocol: the data set's own rule, under a name such as ``"rgbnt201 visible-to-thermal_infrared"``.
        condition: the modality of the queries and that of the gallery.
    """

    protocol: Protocol
    condition: Condition

    @property
    def name(self) -> str:
        """What results print."""
        return self.protocol.name


def across_modalities(protocol: Protocol, modalities: Sequence[str]) -> list[AcrossModalities]:
    """One for each ordered pair of modalities.

    Args:
        protocol: the headline protocol of a data set whose samples have several modalities.
        modalities: their names, in the order of the samples.
    """
    found = []
    for query, gallery in permutations(range(len(modalities)), 2):
        named = copy(protocol)
        named.name = f"{protocol.name} {modalities[query]}-to-{modalities[gallery]}"
        found.append(AcrossModalities(named, Condition(tuple(modalities), (query,), (gallery,))))
    return found
