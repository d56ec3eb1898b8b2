"""Losses and results of a run, one JSON object per line, the same for a run that was interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from promptreid.engine.checkpoints.position import Position
from promptreid.files import write_text
from promptreid.json_texts import parse_json


class MetricsLog:
    """Losses and results: records with ``epoch`` (from 1), and either ``step`` and losses or a data set and results.

    There are no times in it, so two runs that did the same have the same file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def cut(self, position: Position, source: Path | None = None) -> None:
        """Keep what was written before ``position``, and start the file where there is none.

        Args:
            position: where the run goes on.
            source: the file to start from, that of another run; by default, this one.
        """
        source = source or self.path
        lines = source.read_text(encoding="utf-8", errors="replace").splitlines() if source.exists() else []
        kept = [line for line in lines if _is_before(line, position)]
        write_text(self.path, "".join(f"{line}\n" for line in kept))

    def write(self, record: dict[str, Any]) -> None:
        """Append a record."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """What was written; a line that a kill has torn is left out."""
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.exists() else []
        return [record for record in map(_record, lines) if record]

    def sync(self) -> None:
        """Have the records on the disk before a checkpoint says that they are."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())


def _record(line: str) -> dict[str, Any]:
    try:
        record = parse_json(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _is_before(line: str, position: Position) -> bool:
    try:
        return position.after(parse_json(line))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False  # a line that a kill has torn
