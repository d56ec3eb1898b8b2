"""Description inside an exported file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptreid.json_texts import parse_json
from promptreid.retrieval.description import ModelDescription

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
MODEL, PRECISION, VERSIONS = KEYS = ("promptreid.model", "promptreid.precision", "promptreid.versions")
"""Names of the texts that a file carries."""


@dataclass(frozen=True)
class About:
    """The description of a file's model, as the file carries it.

    Attributes:
        model: what its vectors are.
        precision: one of :data:`PRECISIONS`.
        versions: of the packages that wrote it.
    """

    model: ModelDescription
    precision: str
    versions: Mapping[str, str]

    def texts(self) -> dict[str, str]:
        """A text for each of :data:`KEYS`."""
        return {MODEL: self.model.to_json(), PRECISION: self.precision, VERSIONS: json.dumps(dict(self.versions))}

    @classmethod
    def of_texts(cls, texts: Mapping[str, Any], path: Path) -> About:
        """Read what :meth:`texts` wrote.

        Raises:
            ValueError: the file at ``path`` lacks a text, or has one that is none of these.
        """
        missing = [key for key in KEYS if not texts.get(key) or not isinstance(texts[key], str)]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)}: promptreid export did not write it")
        try:
            model, versions = ModelDescription.from_json(texts[MODEL]), parse_json(texts[VERSIONS])
        except ValueError as error:
            raise ValueError(f"{path}: {error}; export it again") from None
        if texts[PRECISION] not in PRECISIONS or not isinstance(versions, dict):
            raise ValueError(f"{path}: {PRECISION} {texts[PRECISION]!r} is none of {', '.join(PRECISIONS)}")
        return cls(model, texts[PRECISION], versions)


def unreadable(path: Path, kind: str, error: Exception) -> ValueError:
    """Error for a file that its runtime refuses."""
    return ValueError(f"{path} cannot be read as {kind} ({_first_line(error)}); copy or export it again")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
