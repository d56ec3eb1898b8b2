"""Agreement of an exported program with its model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from promptreid.data.batch import ModalBatch
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embedder import Backend

BATCHES = (1, 2, 15, 64)
LEAST = {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.99, "int8": 0.9}
"""The smallest cosine between a vector of the model and one of the file, by the file's precision."""
TOP = 10
_TIE = 1e-5  # scores that differ by less than this may change places: float32 sums in another order


@dataclass(frozen=True)
class Agreement:
    """Agreement between the vectors of a model and of an exported file.

    Attributes:
        cosines: the smallest cosine, by the size of the batch.
        same_order: the share of objects whose ten nearest others are the same, in the same order.
    """

    cosines: dict[int, float]
    same_order: float

    def check(self, precision: str) -> None:
        """Refuse a file whose vectors differ from the model's.

        Raises:
            ValueError: a cosine below :data:`LEAST`, or, in float32, another order.
        """
        for size, cosine in self.cosines.items():
            if not cosine >= LEAST[precision]:
                raise ValueError(
                    f"the exported program is not the model: cosine {cosine:.6f} at batch {size}, expected at least "
                    f"{LEAST[precision]} in {precision}; no file was written"
                )
        if precision == "fp32" and self.same_order < 1:
            raise ValueError(
                f"the exported program ranks {1 - self.same_order:.1%} of the objects in another order than the model; "
                "no file was written"
            )

    def lines(self) -> list[str]:
        """The figures in words."""
        pairs = ", ".join(f"{cosine:.7f} at {size}" for size, cosine in self.cosines.items())
        return [
            f"smallest cosine to PyTorch, by batch: {pairs}",
            f"same top {TOP}: {self.same_order:.1%} of the objects",
        ]


def agreement(model: ModelDescription, ours: Backend, theirs: Backend, seed: int = 0) -> Agreement:
    """Compare two backends of a model on drawn images, with and without missing bands.

    Args:
        model: what they run.
        ours: the model itself.
        theirs: the exported one.
        seed: of the images.
    """
    batch = drawn_batch(model, max(BATCHES), seed)
    expected = ours(batch).numpy()
    cosines: dict[int, float] = {}
    for size in BATCHES:
        for part in _parts(size):
            found = theirs(_rows(batch, part)).numpy()
            lowest = float(_cosines(expected[part], found).min())
            cosines[size] = min(lowest, cosines.get(size, 1.0)) if np.isfinite(lowest) else float("nan")
    return Agreement(cosines, _same_order(expected, found, model.by_cosine))


def drawn_batch(model: ModelDescription, count: int, seed: int = 0) -> ModalBatch:
    """Objects with smooth, noisy images; with several slots every second object lacks some of its bands."""
    generator = torch.Generator().manual_seed(seed)
    slots = model.images_per_sample
    coarse = torch.rand(count * slots, 3, 8, 4, generator=generator)
    images = F.interpolate(coarse, (model.height, model.width), mode="bicubic", align_corners=False)
    images = (images + 0.05 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
    present = torch.rand(count, slots, generator=generator) > 0.5
    present[torch.arange(count), torch.randint(slots, (count,), generator=generator)] = True
    present[::2] = True
    images = ((images - mean) / std).unflatten(0, (count, slots)) * present[..., None, None, None]
    if slots == 1:
        modality = (torch.arange(count) % len(model.modalities))[:, None]
    else:
        modality = torch.arange(slots).expand(count, slots).contiguous()
    camera = torch.arange(count) % (model.cameras + 1) - 1  # unknown ones among them
    return ModalBatch.of(images, modality, camera, present)


def _parts(size: int) -> Iterator[slice]:
    """The first objects; single ones with and without all bands."""
    yield slice(0, size)
    if size == 1:
        yield slice(1, 2)


def _rows(batch: ModalBatch, rows: slice) -> ModalBatch:
    return ModalBatch({name: value[rows] for name, value in batch.items()})


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(1) / lengths)


def _same_order(expected: np.ndarray, found: np.ndarray, by_cosine: bool) -> float:
    ours, theirs = (_scores(vectors, by_cosine) for vectors in (expected, found))
    same = [_same_top(ours[row], theirs[row]) for row in range(len(ours))]
    return float(np.mean(same))


def _same_top(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether both order the nearest alike, but for what is as near."""
    best, other = (np.argsort(-scores, kind="stable")[:TOP] for scores in (ours, theirs))
    return bool(np.all(np.abs(ours[best] - ours[other]) <= _TIE))


def _scores(vectors: np.ndarray, by_cosine: bool) -> np.ndarray:
    """(N, N) scores about 1 in size; an object is not compared with itself."""
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / (lengths if by_cosine else lengths.mean())
    squares = (vectors**2).sum(1)
    scores = np.asarray(vectors @ vectors.T - 0.5 * (squares[:, None] + squares))
    np.fill_diagonal(scores, -1e3)
    return scores
