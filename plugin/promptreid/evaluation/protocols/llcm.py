"""LLCM: ten galleries of one image per identity and camera, and two incompatible numbers for visible queries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols.base import DIRECTIONS, Protocol, check_cameras, check_choice
from promptreid.evaluation.protocols.cells import cells_of, draw_by_seed
from promptreid.evaluation.ranking.distances import DistanceMatrix
from promptreid.evaluation.ranking.exact import Ranks, rank_subsets

_CAMERAS = range(9)


class LLCMProtocol(Protocol):
    """The LLCM protocol (Zhang and Wang, CVPR 2023): mean over ten galleries drawn from the other modality.

    A query does not see its own identity in its own camera; the CMC counts identities.

    Args:
        direction: ``"visible-infrared"`` (visible queries) or ``"infrared-visible"``.
        variant: ``"llcm-paper"``; or ``"llcm-readme-2023"``, which for visible queries ranks the transposed matrix, as
            the authors' code has done since June 2023: the drawn infrared images become queries and all visible images
            the gallery. The other direction is the same in both.
        trials: number of galleries; the published numbers use 10.

    Raises:
        ValueError: an unknown choice; while evaluating, cameras other than 0..8.
    """

    level = "identity"

    def __init__(self, direction: str = "visible-infrared", variant: str = "llcm-paper", trials: int = 10) -> None:
        check_choice("direction", direction, DIRECTIONS)
        check_choice("variant", variant, ("llcm-paper", "llcm-readme-2023"))
        if trials < 1:
            raise ValueError(f"trials: {trials} is below 1")
        self.direction, self.num_trials = direction, trials
        self.transposed = variant == "llcm-readme-2023" and direction == "visible-infrared"
        self.name = f"{variant} {direction}"

    def trials(self, gallery: FeatureSet) -> list[np.ndarray]:
        """Pool indices of the drawn images: identities ascending, cameras ascending, seeds 0, 1, ...

        Args:
            gallery: all test images of the gallery's modality; those of one identity and camera in file order.
        """
        cells = cells_of(gallery, _CAMERAS)
        return [draw_by_seed(cells, 1, trial) for trial in range(self.num_trials)]

    def trial_sets(self, query: FeatureSet, gallery: FeatureSet) -> Iterator[tuple[FeatureSet, FeatureSet]]:
        """Queries and gallery of each trial; in the transposed variant the drawn images are the queries."""
        for seekers, drawn in super().trial_sets(query, gallery):
            yield (drawn, seekers) if self.transposed else (seekers, drawn)

    def _rank(self, distances: DistanceMatrix, query: FeatureSet, gallery: FeatureSet) -> list[Ranks]:
        if not self.transposed:
            return super()._rank(distances, query, gallery)
        pool = None if query.left_out is None else [query.used()]
        whole = rank_subsets(distances.transposed(), gallery, query, rule=self.rule, level=self.level, subsets=pool)[0]
        return [whole.select(gallery.used(drawn)) for drawn in self.trials(gallery)]

    def _check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        check_cameras("query", query, _CAMERAS, "a camera of LLCM")
        check_cameras("gallery", gallery, _CAMERAS, "a camera of LLCM")
