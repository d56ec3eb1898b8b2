"""The outcome of a protocol: CMC, mAP and mINP of each trial, their mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promptreid.evaluation.ranking.exact import Ranks
from promptreid.evaluation.statistics.chance import Chance, chance

MAX_RANK = 50
_LINE_RANKS = (1, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class Trial:
    """Outcome of one gallery draw. Fractions are in [0, 1].

    Attributes:
        cmc: (max_rank,) float64, fraction of valid queries whose first match is at rank k or before, from k = 1. Its
            length does not depend on the gallery: past the last image the curve stays where it is.
        mAP: mean average precision.
        mINP: mean inverse negative penalty.
        num_valid: queries that have a match.
        num_invalid: queries without one; they do not count.
        chance: what a random ranking would score.
    """

    cmc: np.ndarray
    mAP: float
    mINP: float
    num_valid: int
    num_invalid: int
    chance: Chance

    @classmethod
    def of(cls, ranks: Ranks, max_rank: int = MAX_RANK) -> Trial:
        """Average the queries.

        Raises:
            ValueError: no query has a match.
        """
        valid = ranks.valid
        num_valid = int(valid.sum())
        if not num_valid:
            raise ValueError(
                f"pids: none of the {len(valid)} queries has a match in the gallery; are the ids the same?"
            )
        hits = np.bincount(ranks.first[valid], minlength=max_rank + 1)[1 : max_rank + 1]
        return cls(
            cmc=np.cumsum(hits) / num_valid,
            mAP=float(ranks.average_precision[valid].mean()),
            mINP=float(ranks.inverse_penalty[valid].mean()),
            num_valid=num_valid,
            num_invalid=len(valid) - num_valid,
            chance=chance(ranks),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            "cmc": self.cmc.tolist(),
            "mAP": self.mAP,
            "mINP": self.mINP,
            "num_valid": self.num_valid,
            "num_invalid": self.num_invalid,
            "chance": self.chance._asdict(),
        }


def full_name(protocol: str, method: str) -> str:
    """Name in front of the numbers."""
    return f"{protocol} + {method}" if method else protocol


@dataclass(frozen=True, eq=False)
class Results:
    """Results of a protocol. Fractions are in [0, 1]; only the texts are in per cent.

    Attributes:
        protocol: the protocol's full name, as printed, with ``+`` and the method where there is one.
        trials: one entry per gallery draw, at least one.
        note: what a reader of the numbers should know, such as cells that were too small; often empty.
        ranks: the outcome of every query in each trial.
        method: what was done on top of plain distances, such as ``"k-reciprocal(20,6,0.3)"``; often empty.
    """

    protocol: str
    trials: tuple[Trial, ...]
    note: str = ""
    ranks: tuple[Ranks, ...] = ()
    method: str = ""

    def __post_init__(self) -> None:
        if not self.trials:
            raise ValueError(f"{self.protocol}: a result needs at least one trial")

    @classmethod
    def of(
        cls, protocol: str, ranks: Sequence[Ranks], note: str = "", max_rank: int = MAX_RANK, method: str = ""
    ) -> Results:
        """Average the queries of each trial."""
        trials = tuple(Trial.of(trial, max_rank) for trial in ranks)
        return cls(full_name(protocol, method), trials, note, tuple(ranks), method)

    @classmethod
    def pool(cls, protocol: str, results: Sequence[Results]) -> Results:
        """One result of several: RegDB's number is the mean over ten models, each tested on its own split.

        Raises:
            ValueError: the results differ in their method.
        """
        methods = {result.method for result in results}
        if len(methods) > 1:
            raise ValueError(f"{protocol}: results of different methods cannot be averaged: {sorted(methods)}")
        notes = dict.fromkeys(result.note for result in results if result.note)
        trials = tuple(trial for result in results for trial in result.trials)
        ranks = tuple(trial for result in results for trial in result.ranks)
        method = "".join(methods)
        return cls(full_name(protocol, method), trials, "; ".join(notes), ranks, method)

    def of_queries(self, queries: np.ndarray) -> Results:
        """The outcomes of some queries alone, at least one of them with a match in each trial.

        Args:
            queries: rows of :attr:`ranks`, which all trials have to have.
        """
        ranks = tuple(trial.select(queries) for trial in self.ranks)
        trials = tuple(Trial.of(trial, len(self.trials[0].cmc)) for trial in ranks)
        return Results(self.protocol, trials, self.note, ranks, self.method)

    @property
    def cmc(self) -> np.ndarray:
        """(max_rank,) mean over the trials."""
        return np.mean([trial.cmc for trial in self.trials], axis=0)

    @property
    def mAP(self) -> float:
        """Mean over the trials."""
        return float(np.mean([trial.mAP for trial in self.trials]))

    @property
    def mINP(self) -> float:
        """Mean over the trials."""
        return float(np.mean([trial.mINP for trial in self.trials]))

    @property
    def num_valid(self) -> int:
        """Queries with a match: the fewest of all trials."""
        return min(trial.num_valid for trial in self.trials)

    @property
    def num_invalid(self) -> int:
        """Queries without a match: the most of all trials."""
        return max(trial.num_invalid for trial in self.trials)

    @property
    def chance(self) -> Chance:
        """Rank-1 and mAP of a random ranking, mean over the trials."""
        rank1, mean_ap = np.mean([trial.chance for trial in self.trials], axis=0)
        return Chance(float(rank1), float(mean_ap))

    def rank(self, k: int) -> float:
        """CMC at rank ``k``, counted from 1; ``ValueError`` beyond the curve."""
        if not 1 <= k <= len(self.trials[0].cmc):
            raise ValueError(f"k: rank {k} is outside 1..{len(self.trials[0].cmc)}")
        return float(self.cmc[k - 1])

    def sd(self, what: str | int) -> float | None:
        """Sample standard deviation over the trials of ``"mAP"``, ``"mINP"`` or a CMC rank; None with one trial."""
        if len(self.trials) == 1:
            return None
        values = [trial.cmc[what - 1] if isinstance(what, int) else getattr(trial, what) for trial in self.trials]
        return float(np.std(values, ddof=1))

    def line(self) -> str:
        """One line: protocol, CMC, mAP and mINP in per cent, and the queries that counted."""
        trials = f" ({len(self.trials)} trials)" if len(self.trials) > 1 else ""
        ranks = [f"R{k} {self._percent(self.rank(k), self.sd(k))}" for k in _LINE_RANKS if k <= len(self.cmc)]
        means = [f"{name} {self._percent(getattr(self, name), self.sd(name))}" for name in ("mAP", "mINP")]
        queries = f"{self.num_valid} valid queries, {self.num_invalid} without a match"
        note = f"; {self.note}" if self.note else ""
        return f"{self.protocol}{trials}: {'  '.join(ranks + means)}  | {queries}{note}"

    def table(self) -> str:
        """The line, preceded by one line per trial."""
        if len(self.trials) == 1:
            return self.line()
        rows = [Results(f"  trial {number}", (trial,)).line() for number, trial in enumerate(self.trials)]
        return "\n".join([*rows, self.line()])

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and texts for JSON."""
        return {
            "protocol": self.protocol,
            "note": self.note,
            "rank": {str(k): self.rank(k) for k in _LINE_RANKS if k <= len(self.cmc)},
            "mAP": self.mAP,
            "mINP": self.mINP,
            "sd": {"rank1": self.sd(1), "mAP": self.sd("mAP"), "mINP": self.sd("mINP")},
            "num_valid": self.num_valid,
            "num_invalid": self.num_invalid,
            "chance": self.chance._asdict(),
            "trials": [trial.as_dict() for trial in self.trials],
        }

    @staticmethod
    def _percent(value: float, sd: float | None) -> str:
        return f"{100 * value:.2f}" if sd is None else f"{100 * value:.2f} ± {100 * sd:.2f}"
