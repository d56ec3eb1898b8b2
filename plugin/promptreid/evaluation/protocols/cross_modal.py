"""Visible-infrared data that have no protocol of their own: Market-1501's rule across modalities."""

from __future__ import annotations

from promptreid.evaluation.protocols.base import DIRECTIONS, check_choice
from promptreid.evaluation.protocols.market import MarketProtocol


class CrossModalProtocol(MarketProtocol):
    """Queries of one modality against all images of the other; own identity in own camera unseen, image-level CMC.

    Args:
        direction: ``"visible-infrared"`` (visible queries) or ``"infrared-visible"``.

    Raises:
        ValueError: an unknown direction.
    """

    def __init__(self, direction: str = "visible-infrared") -> None:
        check_choice("direction", direction, DIRECTIONS)
        super().__init__(f"cross-modal {direction}")
        self.direction = direction
