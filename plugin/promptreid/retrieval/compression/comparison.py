"""Cost of smaller descriptors: bytes per object beside the scores of a search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from promptreid.evaluation.features_io import SPLITS, FeatureTable
from promptreid.evaluation.protocols import MarketProtocol, find_protocols, oriented
from promptreid.evaluation.results import Results
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.embeddings import Embeddings, compared, patterns, scores

ALONE = "each object against all others, own camera excluded"
"""The protocol of files that have no queries and gallery."""
_UNKNOWN = -1


@dataclass(frozen=True)
class Row:
    """A descriptor and its scores. Fractions are in [0, 1].

    Attributes:
        descriptor: how many numbers, kept as what.
        bytes: of an object.
        smaller: how many times smaller than the full descriptor.
        rank1, mAP: of the protocol.
        rank1_lost, mAP_lost: against the full descriptor; negative where it does better.
        compressor: sha256; empty of the full descriptor.
    """

    descriptor: str
    bytes: int
    smaller: float
    rank1: float
    mAP: float
    rank1_lost: float = 0.0
    mAP_lost: float = 0.0
    compressor: str = ""


@dataclass(frozen=True)
class Comparison:
    """The full descriptor, then the smaller ones.

    Attributes:
        model: its name.
        protocol: how they were tested.
        objects: that were ranked or looked for.
        rows: see :class:`Row`.
    """

    model: str
    protocol: str
    objects: int
    rows: tuple[Row, ...]

    def text(self) -> str:
        """A table in Markdown, in per cent."""
        lines = [
            f"{self.model}, {self.objects} objects, {self.protocol}",
            "",
            "| descriptor | bytes | smaller | rank-1 | mAP | rank-1 lost | mAP lost |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for row in self.rows:
            shares = (row.rank1, row.mAP, row.rank1_lost, row.mAP_lost)
            cells = [
                row.descriptor,
                str(row.bytes),
                f"{row.smaller:.1f} x",
                *(_percent(share) for share in shares),
            ]
            if not row.compressor:
                cells[-2:] = ["", ""]
            lines.append(f"| {' | '.join(cells)} |".replace("  |", " |"))
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return asdict(self)


def compare(
    embeddings: Embeddings,
    columns: Mapping[str, np.ndarray],
    compressors: Iterable[Compressor],
    protocol: str | None = None,
    identities: str = "pids",
) -> Comparison:
    """Test the full descriptors and the smaller ones on the same objects.

    Args:
        embeddings: the full ones.
        columns: of their file: the identities; ``split`` (query, gallery), ``camids`` and ``scenes`` where it was
            embedded from a data set. Without queries and gallery, each object is looked for among all the others;
            where its camera is unknown, all others count.
        compressors: of the same model.
        protocol: by which queries and gallery are tested; the first of the model's own when None.
        identities: the column of the identities.

    Raises:
        ValueError: no identities, a protocol that is unknown or does not fit, compressed vectors, or a compressor of
            another model.
    """
    if embeddings.model.compression:
        raise ValueError("the vectors are compressed already; compare takes the full ones")
    trial = _Trial(embeddings, columns, protocol, identities)
    full = trial.score(embeddings)
    size = 4 * embeddings.model.width_of_vector
    rows = [Row(f"full, {embeddings.model.width_of_vector}, float32", size, 1.0, full.rank(1), full.mAP)]
    for compressor in compressors:
        found, held = trial.score(compressor.apply(embeddings)), compressor.bytes_per_object
        rows.append(
            Row(
                compressor.label,
                held,
                size / held,
                found.rank(1),
                found.mAP,
                full.rank(1) - found.rank(1),
                full.mAP - found.mAP,
                compressor.digest,
            )
        )
    return Comparison(embeddings.model.name, trial.name, len(embeddings), tuple(rows))


class _Trial:
    """Queries, gallery and protocol, the same for all descriptors."""

    def __init__(
        self, embeddings: Embeddings, columns: Mapping[str, np.ndarray], protocol: str | None, identities: str
    ) -> None:
        pids = _numbers(columns, identities)
        camids = columns.get("camids", embeddings.cameras)
        split = columns.get("split")
        paired = split is not None and set(np.unique(split.astype(str))) == set(SPLITS)
        if not paired and protocol is not None:
            raise ValueError(
                f"--protocol {protocol!r} needs a column split with queries and gallery, as promptreid embed writes it "
                "for a data set"
            )
        modality = np.array([_modality(embeddings, row) for row in range(len(embeddings))])
        table = FeatureTable(
            embeddings.vectors,
            pids,
            camids,
            split if paired and split is not None else np.zeros(len(pids), dtype=np.int64),
            modality,
            scenes=columns.get("scenes"),
        )
        if paired:
            self.protocol = oriented(_protocol(protocol, embeddings), table.modalities)
            self.rows = [np.flatnonzero(table.split == split) for split in SPLITS]
            self.sides = [table.side(split) for split in SPLITS]
        else:
            everything = table.side(SPLITS[0])
            unseen = np.arange(len(pids)) + camids.max(initial=0) + 1
            everything = replace(everything, camids=np.where(camids == _UNKNOWN, unseen, camids))
            self.protocol = MarketProtocol(ALONE)
            self.rows, self.sides = [np.arange(len(pids))] * 2, [everything] * 2
        self.name = self.protocol.name

    def score(self, embeddings: Embeddings) -> Results:
        """The protocol's results."""
        model, bands = embeddings.model, patterns(embeddings.present)
        if model.space == "shared" or len(bands) == 1:
            vectors = compared(embeddings.vectors, model, bands[0][1])
            pairs = zip(self.sides, self.rows, strict=True)
            query, gallery = (replace(side, features=vectors[rows]) for side, rows in pairs)
            return self.protocol.evaluate(query, gallery)
        query, gallery = (replace(side, features=None) for side in self.sides)
        return self.protocol.evaluate_distances(-scores(*(embeddings[rows] for rows in self.rows)), query, gallery)


def _percent(share: float) -> str:
    return f"{round(100 * share, 2) + 0.0:.2f}"  # no -0.00


def _protocol(wanted: str | None, embeddings: Embeddings) -> Any:
    own = embeddings.model.protocol.split(", ")[0]
    name = wanted or own
    if not name:
        return MarketProtocol()
    try:
        return find_protocols(name)[0]
    except ValueError as error:
        raise ValueError(f"{error}; name another one with --protocol" if wanted is None else str(error)) from None


def _modality(embeddings: Embeddings, row: int) -> str:
    there = zip(embeddings.model.modalities, embeddings.present[row], strict=True)
    return "+".join(name for name, has in there if has)


def _numbers(columns: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Identities as whole numbers."""
    if name not in columns:
        raise ValueError(
            f"no column {name!r} of identities; the file has {', '.join(columns) or 'no other columns'}: name one with "
            "--identities, or embed a table or data set that has them"
        )
    values = columns[name]
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    return np.asarray(np.unique(values.astype(str), return_inverse=True)[1].reshape(-1), dtype=np.int64)
