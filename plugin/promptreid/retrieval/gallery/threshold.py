"""Match threshold: the score from which two objects count as one, calibrated to a rate of false accepts."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from promptreid.evaluation.features import check_length
from promptreid.json_texts import parse_json
from promptreid.retrieval.bands import short_names
from promptreid.retrieval.description import check_same_model
from promptreid.retrieval.embeddings import Embeddings, alike, comparable, compared, patterns

logger = logging.getLogger(__name__)

LEAST = 10
"""False accepts that have to be seen for a rate to be told: fewer, and its error is as large as itself."""
FACTOR = 2.0
"""Between the rate asked for and the one to be expected of other identities: beyond it a warning is logged."""
_BLOCK = 512
_NORMAL = 1.96  # of a two-sided interval of 95 %


@dataclass(frozen=True)
class Threshold:
    """Threshold score and its calibration.

    Attributes:
        score: the least score of what is accepted.
        far: false accept rate asked for: the share of pairs of different identities that score as much or more.
        pairs: of different identities, on which it was measured.
        identities: that took part.
        true_accept_rate: the share of pairs of one identity that are accepted; None where there were none.
        note: how it was calibrated.
        others: least and largest false accept rate to be expected of other identities (95 %); None where too few took
            part, or in files of earlier releases.
    """

    score: float
    far: float
    pairs: int
    identities: int
    true_accept_rate: float | None
    note: str
    others: tuple[float, float] | None = None

    def of_gallery(self, size: int) -> float:
        """How often a stranger is accepted somewhere in a gallery of that many objects, were they independent."""
        return -math.expm1(size * math.log1p(-self.far))

    def __str__(self) -> str:
        accepted = "no pair of one identity was there"
        if self.true_accept_rate is not None:
            accepted = f"{100 * self.true_accept_rate:.1f} % of the pairs of one identity are accepted"
        return (
            f"score {self.score:.6f} or more: a false accept rate of {self.far:g} a pair, measured on {self.pairs} "
            f"pairs of {self.identities} identities ({self.note}); {self._expected()}{accepted}. A gallery of N "
            f"objects accepts a stranger with 1-(1-far)^N: {100 * self.of_gallery(100):.1f} % for N = 100, "
            f"{100 * self.of_gallery(1000):.1f} % for N = 1000"
        )

    def _expected(self) -> str:
        if self.others is None:
            return ""
        return f"expect {self.others[0]:.2g} to {self.others[1]:.2g} of other identities; "

    def to_json(self) -> str:
        """One line; :meth:`from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Threshold:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            values = parse_json(text)
            found = cls(**{**values, "others": tuple(values["others"]) if values.get("others") else None})
            if not math.isfinite(found.score) or not 0 < found.far < 1:
                raise ValueError(f"score {found.score}, rate {found.far}")
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"not a threshold ({error})") from None
        return found


def calibrate(
    queries: Embeddings,
    identities: Sequence[object] | np.ndarray,
    far: float,
    gallery: Embeddings | None = None,
    gallery_identities: Sequence[object] | np.ndarray | None = None,
    other_cameras: bool = False,
) -> Threshold:
    """The smallest score that a share ``far`` of the pairs of different identities reaches at most.

    Pairs are compared as a search compares them, on the bands that both have; those that cannot be compared are left
    out. Identities should be none that the model was trained on: on those it is too good. Many images of few identities
    tell little about others: a warning says so where the rate of others may be more than twice the one asked for.

    Args:
        queries: vectors of people or vehicles.
        identities: (Q,) who they are.
        far: false accept rate, between 0 and 1.
        gallery: what they are compared with, such as the other modality; all pairs of the queries when None.
        gallery_identities: (G,) who those are.
        other_cameras: take pairs of different cameras alone, where a search leaves the query's camera out.

    Raises:
        ValueError: a rate that so few pairs cannot tell, lengths that do not fit, or vectors of different models.
    """
    if not 0 < far < 1:
        raise ValueError(f"far: {far} is not between 0 and 1")
    if (gallery is None) != (gallery_identities is None):
        raise ValueError("gallery and gallery_identities: give both or neither")
    same = gallery is None
    other = queries if gallery is None else gallery
    check_same_model(queries.model, other.model, "gallery")
    who = [_labels("identities", identities, queries)]
    who.append(who[0] if same else _labels("gallery_identities", gallery_identities, other))
    codes, count = _codes(who)
    every = _Pairs(queries, other, codes, same, other_cameras)
    most = int(far * len(queries) * len(other)) + 1
    own, best, pairs = _scored(every, most)
    allowed = _allowed(far, pairs)
    score = float(np.nextafter(_largest(best, allowed + 1).min(), np.float32(np.inf)))
    found = Threshold(
        score,
        far,
        pairs,
        count,
        float((own >= score).mean()) if len(own) else None,
        _note(queries, None if same else other, other_cameras),
        _rate_of_others(every, score, count),
    )
    _warn_of_few(found)
    return found


def _warn_of_few(found: Threshold) -> None:
    if found.others is None or found.others[1] > FACTOR * found.far:
        logger.warning(
            "calibrated on %d identities, too few to tell a false accept rate of %g: other identities may be accepted "
            "at %s times that rate; give more identities",
            found.identities,
            found.far,
            "many" if found.others is None else f"{found.others[1] / found.far:.1f}",
        )


@dataclass(frozen=True)
class _Pairs:
    """All pairs that can be compared, in blocks."""

    queries: Embeddings
    gallery: Embeddings
    codes: tuple[np.ndarray, np.ndarray]
    same: bool
    other_cameras: bool

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Identities of the rows and of the columns; scores, whether a pair counts, whether it is of one identity."""
        for rows, columns, scores in _blocks(self.queries, self.gallery):
            taken = rows[:, None] < columns if self.same else np.ones(scores.shape, dtype=bool)
            if self.other_cameras:
                taken &= self.queries.cameras[rows, None] != self.gallery.cameras[columns]
            left, right = self.codes[0][rows], self.codes[1][columns]
            yield left, right, scores, taken, left[:, None] == right


def _scored(every: _Pairs, most: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores of the pairs of one identity, the ``most`` largest of pairs of two, and how many of the latter."""
    best, genuine, pairs = np.empty(0, np.float32), [np.empty(0, np.float32)], 0
    for _, _, scores, taken, equal in every:
        genuine.append(scores[taken & equal])
        impostors = scores[taken & ~equal]
        pairs += len(impostors)
        best = _largest(np.concatenate([best, impostors]), most)
    return np.concatenate(genuine), best, pairs


def _rate_of_others(pairs: _Pairs, score: float, count: int) -> tuple[float, float] | None:
    """The interval of 95 % of the false accept rate of other identities at a score.

    Pairs of few identities depend on each other, so identities are left out one at a time (the jackknife of a
    U-statistic: Arvesen, Annals of Mathematical Statistics 1969), on a logarithmic scale as rates are small.
    """
    accepted, tested = np.zeros((2, count))
    for left, right, scores, taken, equal in pairs:
        impostors = taken & ~equal
        for sums, chosen in ((accepted, impostors & (scores >= score)), (tested, impostors)):
            sums += np.bincount(left, chosen.sum(1), count) + np.bincount(right, chosen.sum(0), count)
    whole, of_all = accepted.sum() / 2, tested.sum() / 2
    remaining = of_all - tested
    if not whole or count < 3 or not (remaining > 0).all():
        return None
    rate = whole / of_all
    without = (whole - accepted) / remaining
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    factor = math.exp(_NORMAL * error / rate)
    return rate / factor, rate * factor


def _codes(identities: Sequence[np.ndarray]) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """The identities of both sides as numbers from 0, and how many there are."""
    number = {name: code for code, name in enumerate(dict.fromkeys([*identities[0].tolist(), *identities[1].tolist()]))}
    left, right = (np.array([number[name] for name in side.tolist()], dtype=np.int64) for side in identities)
    return (left, right), len(number)


def _allowed(far: float, pairs: int) -> int:
    """How many false accepts the rate is, of these pairs."""
    if far * pairs < LEAST:
        smallest = f"the smallest rate that they allow is {LEAST / pairs:.2g}" if pairs > LEAST else "too few for any"
        raise ValueError(
            f"far: {far:g} cannot be told from {pairs} pairs of different identities; {smallest}, or give more objects"
        )
    return int(far * pairs)


def _blocks(queries: Embeddings, gallery: Embeddings) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, columns and scores of all pairs that can be compared."""
    model = queries.model
    for rows, bands in patterns(queries.present):
        for columns, others in patterns(gallery.present):
            try:
                common = comparable(model, bands, others)
            except ValueError:
                continue
            right = compared(gallery.vectors[columns], model, common)
            left = compared(queries.vectors[rows], model, common)
            for start in range(0, len(rows), _BLOCK):
                part = slice(start, start + _BLOCK)
                yield rows[part], columns, alike(left[part], right, model, common)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    return values if len(values) <= count else np.partition(values, len(values) - count)[-count:]


def _labels(name: str, given: Sequence[object] | np.ndarray | None, of: Embeddings) -> np.ndarray:
    values = np.asarray(given)
    if values.ndim != 1:
        raise ValueError(f"{name}: expected a flat list, got shape {values.shape}")
    check_length(name, len(values), len(of), "vectors")
    return values


def _note(queries: Embeddings, gallery: Embeddings | None, other_cameras: bool) -> str:
    sides = [side for side in (queries, gallery) if side is not None]
    names = [
        " or ".join(short_names(bands, side.model.modalities) for _, bands in reversed(patterns(side.present)))
        for side in sides
    ]
    between = f"{names[0]} against {names[-1]}" if gallery is not None else f"among objects of {names[0]}"
    return f"{between}, {'of different cameras' if other_cameras else 'of any cameras'}"
