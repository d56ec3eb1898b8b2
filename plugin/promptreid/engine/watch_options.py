"""What of a training is told to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class WatchOptions:
    """``train.loggers`` and ``train.tensorboard``.

    Attributes:
        loggers: names of :data:`promptreid.engine.loggers.base.LOGGERS`; nobody is told anything without one.
        pictures: curves, histograms, pictures, the projector and the run's parameters, beside the scalars.
        histograms: of prompts and their gradients, after each epoch.
        cosines: maps of the prompts' cosines, after each epoch.
        batches: how many of the first epoch's batches are shown; 0 for none.
        images: images of each band in one of them.
        queries: ranked lists at each test; 0 for none.
        ranks: gallery images in one.
        objects: most samples in the projector; 0 for none.
        thumbnail: side of the projector's thumbnails, in pixels.
        mean, std: that images were normalised with, for values in [0, 1].

    Raises:
        ValueError: a number out of range.
    """

    loggers: Sequence[str] = ("tensorboard",)
    pictures: bool = True
    histograms: bool = True
    cosines: bool = True
    batches: int = 1
    images: int = 8
    queries: int = 10
    ranks: int = 5
    objects: int = 1000
    thumbnail: int = 64
    mean: Sequence[float] = _IMAGENET[0]
    std: Sequence[float] = _IMAGENET[1]

    def __post_init__(self) -> None:
        if min(self.batches, self.queries, self.objects) < 0 or min(self.images, self.ranks, self.thumbnail) < 1:
            raise ValueError(
                f"batches {self.batches}, queries {self.queries} and objects {self.objects} must be at least 0, and "
                f"images {self.images}, ranks {self.ranks} and thumbnail {self.thumbnail} at least 1"
            )
