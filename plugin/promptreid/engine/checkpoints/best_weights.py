"""Which epoch's weights a run ends with: the last, or the best on a development set or on the test set itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

logger = logging.getLogger(__name__)

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class SelectionOptions:
    """How weights are selected.

    Attributes:
        select: ``last``, ``dev`` or ``test``.
        metric: ``mAP`` or ``rank1``, of the selecting data set's first protocol.
        target: name of the selecting data set; the first target when empty.
        patience: evaluations without improvement after which training ends; 0 for never.
    """

    select: str = "last"
    metric: str = "mAP"
    target: str = ""
    patience: int = 0


class Origin(NamedTuple):
    """Where tested weights come from.

    Attributes:
        epoch: finished epochs; 0 when unknown.
        select: ``last``, ``dev``, ``test``, or ``given`` for weights of which it isn't known.
        target: the selecting data set.
    """

    epoch: int = 0
    select: str = "last"
    target: str = ""

    def label(self, dataset: str) -> str:
        """What is printed beside a result on ``dataset``; the selecting data set's own number is test-selected."""
        if self.select in ("dev", "test"):
            return "dev-selected" if self.select == "dev" and dataset != self.target else "test-selected"
        return self.select


class Selector:
    """Keeps the weights with the best score.

    Args:
        options: how.
        targets: names of all target data sets.

    Attributes:
        score, weights: the best so far; None before the first evaluation.
        origin: of these weights.
        waited: evaluations since.
    """

    def __init__(self, options: SelectionOptions, targets: Sequence[str]) -> None:
        self.options, self.targets = options, list(targets)
        self.target = options.target or next(iter(targets), "")
        self.score: float | None = None
        self.waited = 0
        self.weights: Weights | None = None
        self.origin = Origin(0, options.select, self.target)

    def check(self) -> None:
        """Raise ``ValueError`` if a training cannot select on these targets."""
        if self.active and self.target not in self.targets:
            raise ValueError(f"test.select_target {self.target!r} is none of data.targets {self.targets}")
        if self.options.select == "dev" and len(self.targets) < 2:
            raise ValueError(
                "test.select dev selects on one data set and tests on another: give two data.targets, or choose "
                "test.select test, which labels its numbers so"
            )

    @property
    def active(self) -> bool:
        """Whether anything is selected."""
        return self.options.select != "last"

    @property
    def during_training(self) -> list[str] | None:
        """The data sets that are tested before the end; None for all."""
        return [self.target] if self.options.select == "dev" else None

    @property
    def exhausted(self) -> bool:
        """Whether training should end for want of improvement."""
        return 0 < self.options.patience <= self.waited

    def update(self, scores: dict[str, dict[str, float]], epoch: int, weights: Callable[[], Weights]) -> bool:
        """Account for an evaluation after ``epoch`` finished epochs; whether it is the best so far.

        Args:
            scores: by data set, ``rank1`` and ``mAP``.
            epoch: finished epochs.
            weights: gives what was evaluated, as copies.
        """
        score = scores[self.target][self.options.metric]
        if self.score is not None and not score > self.score:
            self.waited += 1
            return False
        self.score, self.waited, self.weights = score, 0, weights()
        self.origin = self.origin._replace(epoch=epoch)
        logger.info("best %s on %s so far: %.2f %%", self.options.metric, self.target, 100 * score)
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best score with its weights and their origin, and the evaluations since."""
        return {
            "score": self.score,
            "waited": self.waited,
            "weights": self.weights,
            "origin": tuple(self.origin),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self.score, self.waited, self.weights = state["score"], state["waited"], state["weights"]
        if self.weights is not None:
            self.origin = Origin(*state["origin"])
