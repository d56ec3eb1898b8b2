"""Content of a report, before rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """Cell of a table.

    Attributes:
        text: what stands there.
        small: a second line, such as an interval.
    """

    text: str
    small: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: what it is of.
        head: names of the columns.
        rows: as many cells each; the first one names the row.
        numbers: the columns but the first are numbers.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Picture:
    """An image.

    Attributes:
        uri: holds it.
        alt: what it shows, for those who cannot see it.
        caption: below it.
        width, height: in CSS pixels.
    """

    uri: str
    alt: str
    caption: str
    width: int
    height: int
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Note:
    """Note in place of a part that could not be made.

    Attributes:
        what: it is.
        reason: and the remedy, where there is one.
    """

    what: str
    reason: str
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


Item = Table | Picture | Note | Text


@dataclass(frozen=True)
class Block:
    """Group of items.

    Attributes:
        items: side by side where there is room.
        title: above; empty for none.
        folded: shown when it is asked for; needs a title.
        below: the items stand below one another.
        wide: side by side on wide screens alone.
    """

    items: Sequence[Item]
    title: str = ""
    folded: bool = False
    below: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        name: one of :data:`promptreid.visual.report.parts.PARTS`.
        title: its heading.
        about: how to read it.
        blocks: from top to bottom.
    """

    name: str
    title: str
    about: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """Whole report.

    Attributes:
        title: of the page.
        about: below the title.
        sections: from top to bottom.
    """

    title: str
    about: str
    sections: Sequence[Section] = field(default_factory=list)

    def items(self) -> list[Item]:
        """Items of the report, from top to bottom."""
        return [item for section in self.sections for block in section.blocks for item in block.items]
