"""Files of several modalities that are one sample because they have one name, in the three layouts of this field.

Nothing is ever paired by position: with one file missing, that shifts every later pair without a sign.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from promptreid.data import strips
from promptreid.data.images import SUFFIXES
from promptreid.datasets.folders import child, is_number, listed, numbered, suffixes, visible

logger = logging.getLogger(__name__)

_MODALITY_FOLDERS = ("RGB", "NI", "TI", "NIR", "TIR", "vis", "ni", "th")

Paths = dict[str, str | None]
"""Modality -> file or part of a strip; None where it is missing."""


class Sample(NamedTuple):
    """What lies on disk under one name.

    Attributes:
        owner: the identity's folder, where the layout has one; else "".
        stem: the name, without suffix.
        paths: by modality, at least one of them a file.
    """

    owner: str
    stem: str
    paths: Paths

    @property
    def place(self) -> str:
        """One of its files, for messages."""
        return next(strips.file_of(path) for path in self.paths.values() if path is not None)


def in_modality_folders(split: Path, folders: Mapping[str, str], optional: Sequence[str] = ()) -> list[Sample]:
    """The samples of ``<split>/<modality>/<name>``, by name.

    Args:
        split: folder of one split.
        folders: modality -> its folder's name, in any case.
        optional: modalities that may be absent altogether, unless another folder lies beside the others'.

    Raises:
        FileNotFoundError: no such split.
        ValueError: another layout, two files of one name in a folder, or no image of a modality at all.
    """
    _check_exists(split)
    names = _pair(split, folders)
    if not names:
        raise _layout_error(split, f"{{{', '.join(folders.values())}}}/<name>.jpg", folders)
    samples = [Sample("", stem, names[stem]) for stem in sorted(names)]
    known = {child(split, name).name for name in folders.values()}
    strange = [name for name in visible(split) if name not in known and (split / name).is_dir()]
    _check_modalities(split, split, samples, folders, () if strange else optional)
    return samples


def in_identity_folders(split: Path, folders: Mapping[str, str]) -> list[Sample]:
    """The samples of ``<split>/<identity>/<modality>/<name>``, by identity, then name; else like the above.

    ``ValueError`` for two folders of one identity, too.
    """
    _check_exists(split)
    samples: list[Sample] = []
    left_out: list[str] = []
    numbered(split / name for name in visible(split) if is_number(name))
    for owner in visible(split):
        if not (is_number(owner) and (split / owner).is_dir()):
            left_out.append(f"{split}/{owner}")
            continue
        names = _pair(split / owner, folders)
        if not names:
            raise _layout_error(split / owner, f"{{{', '.join(folders.values())}}}/<name>.jpg", folders)
        samples += [Sample(owner, stem, names[stem]) for stem in sorted(names)]
    if not samples:
        raise _layout_error(split, f"<identity>/{{{', '.join(folders.values())}}}/<name>.jpg", folders)
    _check_modalities(split, split / samples[0].owner, samples, folders, ())
    _log_left_out(left_out)
    return samples


def in_strips(split: Path, modalities: Sequence[str]) -> list[Sample]:
    """The samples of ``<split>/<name>``, files with all modalities side by side in this order; else like the above."""
    _check_exists(split)
    names = _list_by_stem(str(split))
    if not names:
        raise _layout_error(split, "<name>.jpg", {})
    count = len(modalities)
    return [
        Sample("", stem, {name: strips.part(names[stem], place, count) for place, name in enumerate(modalities, 1)})
        for stem in sorted(names)
    ]


def parse_stem(pattern: re.Pattern[str], sample: Sample, form: str) -> re.Match[str]:
    """The fields of a sample's name; ``ValueError`` unless all of it is as ``pattern`` says.

    Args:
        pattern: for the whole stem.
        sample: whose name.
        form: an example and what its fields are, for the message.
    """
    found = pattern.fullmatch(sample.stem)
    if not found:
        raise ValueError(f"{sample.place}: the name is not of the form {form}; rename the file or take it away")
    return found


def parse_number(what: str, text: str, allowed: range, sample: Sample) -> int:
    """A field of a sample's name as an integer; ``ValueError`` when it is not in ``allowed``."""
    if int(text) not in allowed:
        raise ValueError(f"{sample.place}: {what} {int(text)} is not one of {allowed.start} .. {allowed.stop - 1}")
    return int(text)


def _pair(folder: Path, folders: Mapping[str, str]) -> dict[str, Paths]:
    places = {modality: child(folder, name) for modality, name in folders.items()}
    listed = {modality: _list_by_stem(str(place)) if place.is_dir() else {} for modality, place in places.items()}
    stems = {stem for names in listed.values() for stem in names}
    return {stem: {modality: names.get(stem) for modality, names in listed.items()} for stem in stems}


def _check_modalities(
    split: Path, folder: Path, samples: Sequence[Sample], folders: Mapping[str, str], optional: Sequence[str]
) -> None:
    """Refuse samples of which none has a modality: its folder or files have another name, which isn't "incomplete".

    Args:
        split: of the samples.
        folder: one that holds folders of modalities.
        samples, folders, optional: see :func:`in_modality_folders`.
    """
    for modality, name in folders.items():
        if modality in optional or any(sample.paths[modality] is not None for sample in samples):
            continue
        place = child(folder, name)
        found = f"{name} has {listed(visible(place))}" if place.is_dir() else f"{folder} has {listed(visible(folder))}"
        raise ValueError(
            f"{split}: no sample has a {modality} image: looked for {name}/<name> with one of {suffixes()}, but "
            f"{found}; rename or add what is missing"
        )


def _list_by_stem(folder: str) -> dict[str, str]:
    """Stem -> path of a folder's images; other files are left out, counted and logged, hidden ones just left out."""
    paths: dict[str, str] = {}
    left_out: list[str] = []
    for name in visible(folder):
        stem, suffix = os.path.splitext(name)
        path = f"{folder}/{name}"
        if suffix.lower() not in SUFFIXES:
            left_out.append(path)
        elif stem in paths:
            raise ValueError(f"{path} and {paths[stem]} have one name; a sample has one image per modality: remove one")
        else:
            paths[stem] = path
    if paths:
        _log_left_out(left_out)
    return paths


def _log_left_out(paths: list[str]) -> None:
    if paths:
        logger.warning("%d files or folders left out, no images of the data set: %s ...", len(paths), paths[0])


def _check_exists(split: Path) -> None:
    if not split.is_dir():
        raise FileNotFoundError(f"{split}: no such folder; is the data set complete?")


def _layout_error(folder: Path, expected: str, folders: Mapping[str, str]) -> ValueError:
    found = _describe(folder)
    deeper = next((name for name in folders.values() if (folder / name).is_dir()), "")
    if deeper:
        found = f"{deeper} with {_describe(folder / deeper)} in it"
    return ValueError(f"{folder}: expected {expected} in it, found {found}; is this the data set that you mean?")


def _describe(folder: Path) -> str:
    """What a folder holds, in words."""
    names = visible(folder)
    images = [name for name in names if os.path.splitext(name)[1].lower() in SUFFIXES]
    modalities = [name for name in names if name in _MODALITY_FOLDERS]
    identities = [name for name in names if is_number(name) and (folder / name).is_dir()]
    if images:
        return f"image files ({images[0]}, ...)"
    if modalities:
        return f"folders of modalities ({', '.join(modalities)})"
    if identities:
        return f"folders of identities ({identities[0]}, ...)"
    return f"{names[0]} and no image" if names else "nothing"
