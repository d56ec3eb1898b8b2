"""SYSU-MM01's training images in the four arrays that the field's preprocessing scripts write into its folder.

``train_rgb_resized_img.npy`` and ``train_ir_resized_img.npy`` hold the images, (N, H, W, 3) uint8, resized to 288 x 144
unless the script was changed; ``train_rgb_resized_label.npy`` and ``train_ir_resized_label.npy`` their identities, the
places of these in the sorted list of train and validation identities. Cameras are not in them.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from promptreid.data import arrays
from promptreid.data.batch import PathBundle
from promptreid.data.cameras import UNKNOWN
from promptreid.data.dataset import Record

logger = logging.getLogger(__name__)

STEMS = {"visible": "train_rgb_resized", "infrared": "train_ir_resized"}


def are_there(folder: Path) -> bool:
    """Whether all four arrays lie in a folder."""
    return all((folder / f"{stem}_{part}.npy").is_file() for stem in STEMS.values() for part in ("img", "label"))


def scan_arrays(folder: Path, ids: list[int]) -> list[Record]:
    """Records of all images in the arrays, visible ones first, of unknown cameras.

    Args:
        folder: of the data set.
        ids: the train and validation identities, sorted.

    Raises:
        ValueError: arrays of other types or lengths, or labels that aren't those of ``ids``.
    """
    records: list[Record] = []
    for modality, stem in STEMS.items():
        file = folder / f"{stem}_img.npy"
        labels = _labels(folder / f"{stem}_label.npy", len(arrays.load_pixels(file)), file, len(ids))
        records += [
            (PathBundle({modality: arrays.row(str(file), number)}, UNKNOWN), ids[label], UNKNOWN)
            for number, label in enumerate(labels.tolist())
        ]
    return records


def warn(folder: Path) -> None:
    """Tell what a training on the arrays is not."""
    pixels = {modality: arrays.load_pixels(folder / f"{stem}_img.npy") for modality, stem in STEMS.items()}
    sizes = sorted({f"{images.shape[1]} x {images.shape[2]}" for images in pixels.values()})
    logger.warning(
        "%s: trained on the arrays of a preprocessing script: images are resized to %s (height x width) already, and "
        "their cameras are unknown, so that a model with camera embeddings gets the neutral one for every image",
        folder, " and ".join(sizes),
    )  # fmt: skip


def _labels(file: Path, images: int, beside: Path, identities: int) -> NDArray[np.integer]:
    labels = arrays.load_array(file)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or len(labels) != images:
        raise ValueError(
            f"{file}: {labels.dtype} of shape {labels.shape}; expected a whole number for each of the {images} images "
            f"in {beside.name}: write both anew, or remove the arrays and unpack cam1 .. cam6"
        )
    found = np.unique(labels)
    if not np.array_equal(found, np.arange(identities)):
        span = f"{found[0]}..{found[-1]}" if len(found) else "none"
        raise ValueError(
            f"{file}: {len(found)} labels ({span}); expected each of 0..{identities - 1}, one for every identity of "
            "exp/train_id.txt and val_id.txt: write the arrays anew from the same lists, or remove them and unpack "
            "cam1 .. cam6"
        )
    return labels
