"""What a run says of images that could not be read, where ``data.on_bad_image`` is ``skip``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from promptreid.data.bad_images import reasons_in

logger = logging.getLogger(__name__)

_SHOWN = 5


class Replacements:
    """Counts the images of a training for which others stood.

    Attributes:
        count: in the current epoch.
    """

    def __init__(self) -> None:
        self.count = 0
        self._told: set[str] = set()

    def note(self, batch: Mapping[str, Any]) -> None:
        """Account for a batch; a file is named when it is met first."""
        reasons = [reason for reason in reasons_in(batch) if reason]
        self.count += len(reasons)
        for reason in dict.fromkeys(reasons):
            if reason not in self._told:
                logger.warning("%s (another image of its identity stands for it: data.on_bad_image skip)", reason)
        self._told.update(reasons)

    def end_epoch(self) -> None:
        """Log how many there were, and start again."""
        if self.count:
            logger.warning("%d images could not be read in this epoch; others of their identities stood in", self.count)
        self.count = 0


def warn_of_left_out(what: str, reasons: Sequence[str]) -> None:
    """Log the images that a test of ``what`` leaves out, the first few by name."""
    if reasons:
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        logger.warning("%s: %d images left out: %s%s", what, len(reasons), "; ".join(reasons[:_SHOWN]), more)
