"""Where a data set and its parts lie, in copies that differ from the published one in depth, case or padding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from promptreid.data.images import SUFFIXES, is_hidden

_SHOWN = 4  # names in a message


def find_folder(
    root: str | Path, what: str, names: Sequence[str], wanted: Sequence[str], tested: Sequence[str] = ()
) -> Path:
    """The data set's folder: the one that has all of ``wanted``, in any case.

    It may be ``root`` itself, one of ``names`` in it, or one of ``names`` in one of those, as archives that were
    unpacked into a folder of their own name have it.

    Args:
        root: ``data.root``.
        what: the data set's name.
        names: of its folder, with "/" between several; any case will do.
        wanted: files or folders in it.
        tested: what will do for a test, where no folder has all of ``wanted``; without, nothing less will.

    Raises:
        FileNotFoundError: none has.
        ValueError: several have.
    """

    def lacks(parts: Sequence[str]) -> Callable[[Path], list[str]]:
        return lambda folder: [name for name in parts if matches(folder, name) == []]

    try:
        return find(root, what, names, lacks(wanted))
    except FileNotFoundError:
        if not tested:
            raise
    return find(root, what, names, lacks(tested))


def find(
    root: str | Path, what: str, names: Sequence[str], lacks: Callable[[Path], list[str]], remedy: str = ""
) -> Path:
    """Like :func:`find_folder`, with any rule: ``lacks`` tells what a folder hasn't of what it should have."""
    base = Path(root).expanduser()
    lacking = {folder: lacks(folder) for folder in candidates(base, names)}
    found = [folder for folder, missing in lacking.items() if not missing]
    if len(found) > 1:
        raise ValueError(
            f"{what} is at {' and at '.join(map(str, found))}: set data.root to the one that is meant, or take the "
            "other away"
        )
    if found:
        return found[0]
    raise FileNotFoundError(
        f"{what} not found at {base} (looked for {', '.join(lacks(base / '.no such folder'))} there and in "
        f"{', '.join(names)}){_nearest(base, lacking)}; set data.root to the folder that holds it{remedy}"
    )


def candidates(base: Path, names: Sequence[str]) -> list[Path]:
    """The folder, those of ``names`` in it, and those of ``names`` in these: each place once."""
    first = [inner for name in names for inner in _walk(base, name)]
    second = [inner for folder in first for name in names for inner in _walk(folder, name)]
    places: dict[Path, Path] = {}
    for folder in (base, *first, *second):
        places.setdefault(folder.resolve(), folder)
    return list(places.values())


def _walk(folder: Path, name: str) -> list[Path]:
    places = [folder]
    for part in name.split("/"):
        places = [inner for place in places for inner in matches(place, part) if inner.is_dir()]
    return places


def _nearest(base: Path, lacking: dict[Path, list[str]]) -> str:
    """What the folder has that is most like the data set's, or else the root."""
    whole = max(map(len, lacking.values()), default=0)
    folder = min(lacking, key=lambda place: (len(lacking[place]), place == base))
    if len(lacking[folder]) == whole:
        return f"; {base} has {listed(visible(base))}" if base.is_dir() else ": there is no such folder"
    return f"; {folder} lacks {', '.join(lacking[folder])} and has {listed(visible(folder))}"


def visible(folder: str | Path) -> list[str]:
    """The names in a folder, sorted, without hidden files; none where there is no such folder."""
    return sorted(name for name in os.listdir(folder) if not is_hidden(name)) if os.path.isdir(folder) else []


def matches(folder: str | Path, name: str) -> list[Path]:
    """The entry of this name, or else all whose names differ from it in case alone."""
    exact = Path(folder) / name
    if exact.exists():
        return [exact]
    return [Path(folder) / other for other in visible(folder) if other.casefold() == name.casefold()]


def child(folder: Path, name: str) -> Path:
    """The entry of this name in whatever case; where there is none, what it would be called.

    Raises:
        ValueError: several names differ from it in case alone.
    """
    found = matches(folder, name) or [folder / name]
    if len(found) > 1:
        raise ValueError(f"{found[0]} and {found[1]} are both called {name}: remove one")
    return found[0]


def numbered(paths: Iterable[Path]) -> tuple[dict[int, Path], list[Path]]:
    """Number -> path of those whose names (without suffix) are numbers, padded or not; and the others.

    Raises:
        ValueError: two of one number.
    """
    found: dict[int, Path] = {}
    others: list[Path] = []
    for path in paths:
        if not is_number(path.stem):
            others.append(path)
        elif found.setdefault(int(path.stem), path) is not path:
            raise ValueError(f"{found[int(path.stem)]} and {path} have one number: remove one")
    return found, others


def is_number(name: str) -> bool:
    """Whether a name is made of the digits 0 to 9."""
    return name.isascii() and name.isdecimal()


def listed(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "") or "nothing"


def suffixes() -> str:
    """The suffixes of image files, for a message."""
    return ", ".join(SUFFIXES)
