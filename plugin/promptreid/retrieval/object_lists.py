"""Lists of objects to embed: from a folder of images, a table of paths, or a data set."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from promptreid import host
from promptreid.config.keys import did_you_mean
from promptreid.data.batch import PathBundle
from promptreid.data.images import SUFFIXES, is_hidden
from promptreid.evaluation.features import check_length
from promptreid.evaluation.tables import check_table_path, read_parquet
from promptreid.retrieval.bands import band_of, is_band
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.objects import UNKNOWN, ReIDObject

_BAND_COLUMNS = ("band", "modality")
_TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class ObjectList:
    """List of objects, with further columns for each.

    Attributes:
        objects: with different names.
        columns: (N,) numbers or texts by name, such as identities.

    Raises:
        ValueError: no objects, two of one name, or a column of another length.
    """

    objects: Sequence[ReIDObject]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.objects:
            raise ValueError("there are no objects to embed")
        seen: set[str] = set()
        for item in self.objects:
            if item.name in seen:
                raise ValueError(f"two objects are called {item.name!r}; give each its own id")
            seen.add(item.name)
        for name, values in self.columns.items():
            check_length(name, len(values), len(self.objects), "the objects")


SPLITS = {"test": ("query", "gallery"), "train": ("train",)}
"""The lists of a data set that are embedded, by what users call them."""


def list_objects(
    source: str, model: ModelDescription, band: str | None = None, root: str = "", split: str = "test"
) -> ObjectList:
    """List the objects that a command line names.

    Args:
        source: a folder, a ``.csv`` or ``.parquet`` file, or the name of a data set.
        model: whose bands are meant.
        band: of images whose band nothing else says.
        root: the folder of the data set.
        split: one of :data:`SPLITS`; of a data set alone.

    Raises:
        FileNotFoundError: no such folder, file or data set.
        ValueError: nothing in it, or what does not suit the model.
    """
    path = Path(source)
    if split != "test" and (path.is_dir() or path.suffix in _TABLES):
        raise ValueError(f"{source}: split {split!r} is of data sets; a folder or table is embedded as a whole")
    if path.is_dir():
        return from_folder(path, model, band)
    if path.suffix in _TABLES:
        return from_table(path, model, band)
    if source in host.dataset_names():
        return from_data_set(source, model, root, SPLITS[split])
    near = did_you_mean(source, host.dataset_names())
    raise FileNotFoundError(f"{source}: no such folder, no .csv or .parquet file, and no data set of this name{near}")


def from_folder(folder: Path, model: ModelDescription, band: str | None = None) -> ObjectList:
    """The images of a folder and of the folders in it.

    Where its folders are named after bands (``RGB``, ``tir``, ``visible``, ...), images of one name are one object, or
    of a model with single images one object each.

    Args:
        folder: where to look.
        model: whose bands are meant.
        band: of all images, where no folder says it.

    Raises:
        ValueError: no image, or neither folders of bands nor ``band`` where the model knows several.
    """
    named = [child for child in sorted(folder.iterdir()) if child.is_dir() and is_band(child.name, model.modalities)]
    if named and band is None:
        images = {band_of(child.name, model.modalities): _images_in(child) for child in named}
        if model.images_per_sample == 1:
            found = [
                ReIDObject({name: str(path)}, UNKNOWN, str(path.relative_to(folder)))
                for name, paths in images.items()
                for path in paths.values()
            ]
        else:
            stems = sorted({stem for paths in images.values() for stem in paths})
            found = [
                ReIDObject({name: str(paths[stem]) for name, paths in images.items() if stem in paths}, UNKNOWN, stem)
                for stem in stems
            ]
        return ObjectList(_some(found, folder), _paths_of(found, model))
    known = _default_band(band, model, str(folder))
    found = [
        ReIDObject({known: str(path)}, UNKNOWN, str(path.relative_to(folder))) for path in _images_in(folder).values()
    ]
    return ObjectList(_some(found, folder), _paths_of(found, model))


def from_table(file: Path, model: ModelDescription, band: str | None = None) -> ObjectList:
    """The rows of a table of paths, which are relative to its folder.

    Columns: one for each band, with an empty cell where an image is missing; or ``path``, with ``band`` (or
    ``modality``) or ``--band``. Optional are ``id``, else the first path, and ``camera``, a row of the model's table.
    Other columns are kept as they are.

    Raises:
        FileNotFoundError: no such file.
        ValueError: columns or cells that make no sense, each with its row.
    """
    check_table_path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such table")
    columns = {name: list(values) for name, values in _read(file).items()}
    bands = {name: band_of(name, model.modalities) for name in columns if is_band(name, model.modalities)}
    if not bands and "path" not in columns:
        raise ValueError(
            f"{file}: needs a column path, or one for a band ({', '.join(model.modalities)}); it has "
            f"{', '.join(columns) or 'none'}"
        )
    objects = []
    for number in range(len(next(iter(columns.values())))):
        row = {name: _text(values[number]) for name, values in columns.items()}
        try:
            objects.append(_row_object(row, bands, model, band, file.parent))
        except ValueError as error:
            raise ValueError(f"{file}: row {number + 1}: {error}") from None
    used = {*bands, "path", "id", "camera", *_BAND_COLUMNS}
    kept = {name: _column(values) for name, values in columns.items() if name not in used}
    try:
        return ObjectList(_some(objects, file), {**_paths_of(objects, model), **kept})
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(str(file)) else f"{file}: {error}") from None


def from_data_set(name: str, model: ModelDescription, root: str, splits: Sequence[str] = SPLITS["test"]) -> ObjectList:
    """Images of a data set, its queries and gallery, with the columns ``pids``, ``camids`` and ``split``.

    Where all images have a scene, ``scenes`` too. Cameras count as known where the model was trained on this data set.

    Raises:
        ValueError: its samples have more images than the model takes, or other bands.
        FileNotFoundError: it is not there.
    """
    dataset: Any = host.dataset_factory(name)(root=root, mode="query", verbose=False)
    offset = dict(model.camera_rows).get(getattr(dataset, "camera_space", "") or type(dataset).__name__)
    objects, labels = [], []
    scenes = []
    for split in splits:
        for number, (path, pid, camid, *_) in enumerate(getattr(dataset, split)):
            bundle = path if isinstance(path, PathBundle) else PathBundle({model.modalities[0]: path}, camid)
            images = {band_of(band, model.modalities): file for band, file in bundle.paths.items() if file is not None}
            camera = UNKNOWN if offset is None or bundle.camera < 0 else bundle.camera + offset
            objects.append(ReIDObject(images, camera, f"{split} {number}"))
            labels.append((pid, camid, split))
            scenes.append(bundle.labels.get("scene"))
    pids, camids, lists = zip(*labels, strict=True)
    own = {"pids": np.array(pids), "camids": np.array(camids), "split": np.array(lists)}
    if None not in scenes:
        own["scenes"] = np.array(scenes)
    return ObjectList(objects, {**_paths_of(objects, model), **own})


def _row_object(
    row: Mapping[str, str], bands: Mapping[str, str], model: ModelDescription, band: str | None, folder: Path
) -> ReIDObject:
    images = {name: row[column] for column, name in bands.items() if row[column]}
    if row.get("path"):
        said = next((row[column] for column in _BAND_COLUMNS if row.get(column)), band)
        images[_default_band(said, model, "path")] = row["path"]
    if not images:
        raise ValueError("no image: all of its paths are empty")
    if len(images) > model.images_per_sample:
        raise ValueError(
            f"images of {len(images)} bands, and this model embeds single images; give each image a row of its own"
        )
    camera = row.get("camera") or str(UNKNOWN)
    if not re.fullmatch(r"-?[0-9]{1,17}", camera) or not UNKNOWN <= int(camera) < max(model.cameras, int(camera) + 1):
        raise ValueError(f"camera {camera!r} is no whole number from 0 on (-1: unknown)")
    number = int(camera)
    if model.cameras and number >= model.cameras:
        raise ValueError(f"camera {number} is none of the {model.cameras} of the training; leave it empty")
    name = row.get("id") or next(iter(images.values()))
    paths = {key: str(folder / os.path.expanduser(path)) for key, path in images.items()}
    return ReIDObject(paths, number, name)


def _default_band(band: str | None, model: ModelDescription, what: str) -> str:
    if band is not None:
        return band_of(band, model.modalities)
    if len(model.modalities) == 1:
        return model.modalities[0]
    raise ValueError(f"{what}: of which band are its images? Say it with --band, one of {', '.join(model.modalities)}")


def _images_in(folder: Path) -> dict[str, Path]:
    """The images below a folder by their path without suffix, sorted; two of one stem keep their suffix."""
    found: dict[str, Path] = {}
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(files):
            path = Path(where) / name
            if path.suffix.lower() in SUFFIXES and not is_hidden(name):
                key = path.relative_to(folder).with_suffix("").as_posix()
                found[key if key not in found else path.relative_to(folder).as_posix()] = path
    return found


def _some(found: list[ReIDObject], where: Path) -> list[ReIDObject]:
    if not found:
        raise ValueError(f"{where}: no image in it; files end in {', '.join(SUFFIXES)}")
    return found


def _paths_of(objects: Sequence[ReIDObject], model: ModelDescription) -> dict[str, np.ndarray]:
    """A column of paths for each band, empty where an object has no image of it."""
    return {
        name: np.array([str(item.images.get(name, "")) for item in objects], dtype=object) for name in model.modalities
    }


def _read(file: Path) -> Mapping[str, Sequence[Any]]:
    if file.suffix == ".parquet":
        return read_parquet(file)
    with file.open(newline="", encoding="utf-8-sig") as lines:
        try:
            rows = list(csv.DictReader(lines, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{file}: not a CSV file in UTF-8 ({error}); write it again") from None
    if not rows:
        raise ValueError(f"{file}: has no rows")
    if any(None in row or None in row.values() for row in rows):
        raise ValueError(f"{file}: rows have more or fewer cells than the first line names")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _column(values: list[Any]) -> np.ndarray:
    """Whole numbers where all are, else texts."""
    texts = [_text(value) for value in values]
    if all(re.fullmatch(r"-?[0-9]{1,17}", text) for text in texts):
        return np.array([int(text) for text in texts])
    return np.array(texts, dtype=object)
