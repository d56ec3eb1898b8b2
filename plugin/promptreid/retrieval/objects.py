"""Objects to embed in one form: an object with an image for each of its bands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from promptreid.data.images import read_image, to_rgb
from promptreid.data.sixteen_bit import Range16
from promptreid.retrieval.bands import band_of
from promptreid.retrieval.description import ModelDescription

UNKNOWN = -1
"""The camera of an object whose camera is not known."""

Source = Any
"""An image: a path, a ``PIL.Image``, an array (H, W) or (H, W, 3) uint8, or a tensor (3, H, W) uint8 or in [0, 1]."""


@dataclass(frozen=True)
class ReIDObject:
    """Person or vehicle at one moment, with an image per band.

    Attributes:
        images: an image by band; bands that are missing are left out.
        camera: 0-based row of the model's camera table, or :data:`UNKNOWN`.
        name: tells it apart in messages and results.
    """

    images: Mapping[str, Source] = field(default_factory=dict)
    camera: int = UNKNOWN
    name: str = ""


def objects_of(
    given: Any, model: ModelDescription, band: str | None = None, cameras: Sequence[int] | int | None = None
) -> tuple[list[ReIDObject], bool]:
    """Turn a user's argument into objects.

    Args:
        given: one object or a list of them. An object is an image (see :data:`Source`), a mapping of bands to images in
            which None stands for a missing one, or a :class:`ReIDObject`. A tensor or array with one axis more is a
            list of images.
        model: whose bands are meant.
        band: of images that come without one.
        cameras: of each object, or of all.

    Returns:
        the objects, and whether bands were guessed.

    Raises:
        TypeError: something else.
        ValueError: no image at all, an unknown band, more bands than the model takes, or lengths that differ.
    """
    several = _is_list(given)
    items = list(given) if several else [given]
    chosen = None if band is None else band_of(band, model.modalities)
    guessed = False
    found = []
    for number, item in enumerate(items):
        if isinstance(item, ReIDObject):
            found.append(_checked(item, model))
            continue
        if isinstance(item, Mapping):
            images = {band_of(str(name), model.modalities): image for name, image in item.items() if image is not None}
        else:
            guessed = guessed or (chosen is None and len(model.modalities) > 1)
            images = {chosen or model.modalities[0]: item}
        name = next((str(os.fspath(image)) for image in images.values() if isinstance(image, str | os.PathLike)), "")
        found.append(_checked(ReIDObject(images, UNKNOWN, name or f"object {number}"), model))
    return _with_cameras(found, cameras, model), guessed


def load_source(source: Source, levels: Range16) -> Image.Image:
    """Load an image as the transforms take it: RGB, 8 bit.

    Raises:
        FileNotFoundError, ValueError, TypeError: no such file; not an image; an array of another shape or range.
    """
    if isinstance(source, str | os.PathLike):
        return read_image(str(Path(source)), range_16bit=levels)
    if isinstance(source, Image.Image):
        return to_rgb("a PIL image", source, levels)
    array = source.detach().cpu().numpy() if isinstance(source, Tensor) else source
    if not isinstance(array, np.ndarray):
        raise TypeError(f"an image is a path, a PIL image, an array or a tensor, got {type(source).__name__}")
    if isinstance(source, Tensor):
        if array.ndim != 3 or array.shape[0] not in (1, 3):
            raise ValueError(f"a tensor of an image has the shape (3, H, W) or (1, H, W), got {tuple(array.shape)}")
        array = array.transpose(1, 2, 0)
    return Image.fromarray(_as_bytes(array)).convert("RGB")


def _as_bytes(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        raise ValueError(f"an array of an image has the shape (H, W) or (H, W, 3), got {array.shape}")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ValueError("an image of floats has values in [0, 1]; give 8-bit values as uint8, not normalised ones")
        return (array * 255).round().astype(np.uint8)
    raise ValueError(f"an image has uint8 values, or floats in [0, 1], got {array.dtype}; convert it first")


def _is_list(given: Any) -> bool:
    if isinstance(given, Tensor | np.ndarray):
        return given.ndim == 4
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)


def _checked(item: ReIDObject, model: ModelDescription) -> ReIDObject:
    if not item.images:
        raise ValueError(f"{item.name or 'an object'} has no image; give at least one of {', '.join(model.modalities)}")
    if len(item.images) > model.images_per_sample:
        raise ValueError(
            f"{item.name or 'an object'} has images of {len(item.images)} bands, and this model embeds single images; "
            "give each image as an object of its own"
        )
    for name in item.images:
        band_of(name, model.modalities)
    return item


def _with_cameras(
    found: list[ReIDObject], cameras: Sequence[int] | int | None, model: ModelDescription
) -> list[ReIDObject]:
    if cameras is None:
        return found
    numbers = [cameras] * len(found) if isinstance(cameras, int) else [int(camera) for camera in cameras]
    if len(numbers) != len(found):
        raise ValueError(f"cameras: {len(numbers)} numbers for {len(found)} objects")
    known = max(model.cameras, 1)
    strange = [camera for camera in numbers if camera != UNKNOWN and not 0 <= camera < known]
    if strange and model.cameras:
        raise ValueError(f"cameras: {strange[0]} is none of the {known} of the training; use {UNKNOWN} for others")
    return [ReIDObject(item.images, camera, item.name) for item, camera in zip(found, numbers, strict=True)]
