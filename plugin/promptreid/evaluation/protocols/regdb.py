"""RegDB: ten splits into halves, hence ten trainings, each model tested on its own split."""

from __future__ import annotations

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols.base import DIRECTIONS, Protocol, check_cameras, check_choice


class RegDBProtocol(Protocol):
    """Every image of one modality against every image of the other: no filter, image-level CMC.

    The published number is the mean over ten models (:meth:`Results.pool`). Testing one model on the other nine splits
    shows it identities that it was trained on.

    Args:
        direction: ``"visible-infrared"`` (visible queries) or ``"infrared-visible"``.
        split: 1 to 10, the split that the model was trained on.

    Raises:
        ValueError: an unknown direction or split; while evaluating, images of the wrong modality, told by their camera:
            0 visible, 1 infrared.
    """

    rule = "none"

    def __init__(self, direction: str = "visible-infrared", split: int = 1) -> None:
        check_choice("direction", direction, DIRECTIONS)
        check_choice("split", split, tuple(range(1, 11)))
        self.direction, self.split = direction, split
        self.name = f"regdb-split-{split} {direction}"

    def _check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        sides = self.direction.split("-")
        for what, images, modality in zip(("query", "gallery"), (query, gallery), sides, strict=True):
            camera = ("visible", "infrared").index(modality)
            check_cameras(what, images, (camera,), f"RegDB's {modality} camera, as {self.direction} needs")
