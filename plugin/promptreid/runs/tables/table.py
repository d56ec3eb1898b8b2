"""What a table is: rows, each a way to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        key: folder of its trainings; tables whose rows have the same key share these.
        name: what the table calls it.
        config: a file in the folder of configurations.
        overrides: what this row is about, values by dotted key.
        trained: whether there is anything to train; otherwise the model is tested as it was built, once in each world.
        against: key of the row that it is compared with; the table's reference when empty.
    """

    key: str
    name: str
    config: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = True
    against: str = ""


@dataclass(frozen=True)
class Table:
    """Rows that are compared.

    Attributes:
        name: on the command line, and its folder.
        title: what it is about.
        rows: in their order.
        reference: key of the row that others are compared with, and whose training step is 1; the first row's when
            empty.
        note: what a reader should know; often empty.
        missing: test each row under missing modalities.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    reference: str = ""
    note: str = ""
    missing: bool = False
