"""Single-gallery protocols in the manner of Market-1501."""

from __future__ import annotations

from dataclasses import replace

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols.base import Protocol, check_choice


class MarketProtocol(Protocol):
    """One gallery, image-level CMC; a query does not see its own identity in its own camera (Zheng et al., ICCV 2015).

    Args:
        name: printed with every result.
        exclude: ``"camera"``; ``"scene"`` to compare scenes instead (MSVR310); ``"nothing"``.

    Raises:
        ValueError: ``exclude`` is unknown; while evaluating, scenes are asked for and missing.
    """

    def __init__(self, name: str = "market1501", exclude: str = "camera") -> None:
        check_choice("exclude", exclude, ("camera", "scene", "nothing"))
        self.name, self.exclude = name, exclude
        self.rule = "none" if exclude == "nothing" else "camera"

    def _labels(self, images: FeatureSet) -> FeatureSet:
        if self.exclude != "scene":
            return images
        if images.scenes is None:
            raise ValueError(f"{self.name}: scenes are missing, and the protocol excludes on them")
        return replace(images, camids=images.scenes)
