"""Text files that say which images a data set consists of: lists of ``path label`` lines, and lists of ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from promptreid.data.images import SUFFIXES
from promptreid.datasets.folders import child, is_number, listed, visible
from promptreid.datasets.text import read_text

_LONGEST = 18  # digits that a 64-bit number has room for


class Entry(NamedTuple):
    """One line of a list.

    Attributes:
        place: list file and line number, for messages.
        file: the image.
        person: number of the person's folder, which holds across lists.
        label: 0-based class, which holds within one training or test half.
    """

    place: str
    file: Path
    person: int
    label: int


def read_ids(path: Path) -> list[int]:
    """The ids of a file with comma-separated integers, in file order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else is in it, an id twice, or another encoding than UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such id list; it comes with the data set")
    text = read_text(path)
    try:
        ids = [int(item) for item in text.replace("\n", ",").split(",") if item.strip()]
    except ValueError as error:
        raise ValueError(f"{path}: expected one line of comma-separated ids ({error}); mend it") from None
    if not ids or len(set(ids)) != len(ids):
        raise ValueError(f"{path}: {'names an id twice' if ids else 'holds no id'}")
    return ids


def read_list(root: Path, name: str, folder: str) -> list[Entry]:
    """The entries of ``root/idx/name``, whose lines read ``folder/<person>/<file> <label>``.

    A file is also found where case, suffix or the padding of the person's number are others on disk.

    Raises:
        FileNotFoundError: the list, or an image that it names, is missing.
        ValueError: a line that reads otherwise, an image named twice, two files that could be meant, or another
            encoding than UTF-8.
    """
    path = child(child(root, "idx"), name)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list; it comes with the data set in its folder idx")
    lines = enumerate(read_text(path).splitlines(), start=1)
    entries = [_parse(root, folder, f"{path}:{number}", line) for number, line in lines if line.strip()]
    if not entries:
        raise ValueError(f"{path}: holds no line")
    _check_once(entries)
    return _located(root, folder, entries)


def check_labels(lists: Sequence[Sequence[Entry]]) -> None:
    """Refuse lists, one per modality, that disagree about the identities.

    Raises:
        ValueError: a label that belongs to two persons or a person with two labels, a label that only one list has, or
            labels that are not 0..N-1.
    """
    first_of_label: dict[int, Entry] = {}
    first_of_person: dict[int, Entry] = {}
    for entry in (entry for part in lists for entry in part):
        label, person = first_of_label.setdefault(entry.label, entry), first_of_person.setdefault(entry.person, entry)
        for first in (label, person):
            if (first.label, first.person) != (entry.label, entry.person):
                raise ValueError(
                    f"{entry.place}: person {entry.person} has label {entry.label} here, but {first.place} gives label "
                    f"{first.label} to person {first.person}; a label stands for one person in all lists"
                )
    _check_complete(lists, first_of_label)


def _check_complete(lists: Sequence[Sequence[Entry]], first_of_label: dict[int, Entry]) -> None:
    for part in lists:
        lacking = sorted(set(first_of_label) - {entry.label for entry in part})
        if lacking:
            place = first_of_label[lacking[0]].place
            raise ValueError(f"{_file_of(part[0])}: no line has label {lacking[0]}, which {place} has; "
                             "cross-modal data needs every person in every modality")  # fmt: skip
    gaps = set(range(len(first_of_label))) - set(first_of_label)
    if gaps:
        raise ValueError(f"{_file_of(lists[0][0])}: no line has label {min(gaps)}; labels have to be "
                         f"0..{len(first_of_label) - 1}, as there are {len(first_of_label)}")  # fmt: skip


def check_disjoint(train: Iterable[Entry], test: Iterable[Entry]) -> None:
    """Raise ``ValueError`` when a person is both trained and tested on."""
    trained = places_of_persons(train)
    for entry in test:
        if entry.person in trained:
            raise ValueError(f"{entry.place}: person {entry.person} is trained on too ({trained[entry.person]})")


def places_of_persons(entries: Iterable[Entry]) -> dict[int, str]:
    """Where each person is listed first."""
    places: dict[int, str] = {}
    for entry in entries:
        places.setdefault(entry.person, entry.place)
    return places


def _parse(root: Path, folder: str, place: str, line: str) -> Entry:
    relative, _, label = line.strip().rpartition(" ")
    parts = relative.strip().split("/")
    numbers = len(parts) == 3 and all(is_number(text) and len(text) <= _LONGEST for text in (parts[1], label))
    if not numbers or parts[0] != folder or parts[2] in ("", ".", ".."):
        raise ValueError(f"{place}: expected '{folder}/<person>/<file> <label>', found {line.strip()!r}")
    return Entry(place, root.joinpath(*parts), int(parts[1]), int(label))


def _check_once(entries: list[Entry]) -> None:
    first: dict[Path, str] = {}
    for entry in entries:
        if first.setdefault(entry.file, entry.place) != entry.place:
            raise ValueError(f"{entry.place}: {entry.file} is named twice, first in {first[entry.file]}")


def _located(root: Path, folder: str, entries: list[Entry]) -> list[Entry]:
    """The entries with their files as they are called on disk."""
    side = child(root, folder)
    persons = set(visible(side))
    folders = {name: _person(side, name, persons) for name in {entry.file.parent.name for entry in entries}}
    # One listing per folder: asking for every file by itself takes minutes on a network file system.
    present = {path: set(visible(path)) for path in folders.values()}
    found, missing = [], []
    for entry in entries:
        place = folders[entry.file.parent.name]
        name = _name(place, entry.file.name, present[place])
        found.append(entry._replace(file=place / name))
        missing += [] if name in present[place] else [entry]
    if missing:
        place = folders[missing[0].file.parent.name]
        raise FileNotFoundError(
            f"{missing[0].place}: {missing[0].file}: no such image file ({len(missing)} of this list are missing; "
            f"{place} has {listed(sorted(present[place]))}); is the data set complete?"
        )
    return found


def _person(side: Path, name: str, present: set[str]) -> Path:
    if name in present:
        return side / name
    alike = sorted(other for other in present if is_number(other) and int(other) == int(name))
    if len(alike) > 1:
        raise ValueError(f"{side / alike[0]} and {side / alike[1]} are both of person {int(name)}: remove one")
    return side / (alike[0] if alike else name)


def _name(folder: Path, name: str, present: set[str]) -> str:
    """What a file is called on disk: as in the list, or else in another case or format."""
    if name in present:
        return name
    stem = Path(name).stem.casefold()
    alike = sorted(o for o in present if Path(o).stem.casefold() == stem and Path(o).suffix.lower() in SUFFIXES)
    if len(alike) > 1:
        raise ValueError(f"{folder}: {alike[0]} and {alike[1]} could both be the {name} of the list: remove one")
    return alike[0] if alike else name


def _file_of(entry: Entry) -> str:
    return entry.place.rpartition(":")[0]
