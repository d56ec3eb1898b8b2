"""Single-gallery-shot: galleries of one image per identity, as CUHK03 was first tested."""

from __future__ import annotations

import random

import numpy as np

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols.market import MarketProtocol


class SingleShotProtocol(MarketProtocol):
    """Mean over galleries of one random image of each identity (Li et al., CVPR 2014), image-level CMC.

    A query whose identity is represented by an image that it must not see has no match in that trial and does not count
    there. torchreid's ``use_metric_cuhk03`` draws anew for every query among the images that this one sees instead: for
    each query the same in expectation, but its mAP is that of the whole gallery, while this one's is of the draws.

    Args:
        name, exclude: as for :class:`MarketProtocol`.
        trials: number of galleries, drawn under the seeds 0, 1, ...

    Raises:
        ValueError: an unknown choice, no trial.
    """

    def __init__(self, name: str = "single-gallery-shot", exclude: str = "camera", trials: int = 10) -> None:
        super().__init__(name, exclude)
        if trials < 1:
            raise ValueError(f"trials: {trials} is below 1")
        self.num_trials = trials

    def trials(self, gallery: FeatureSet) -> list[np.ndarray]:
        """Pool indices of the drawn images, identities ascending."""
        order = np.argsort(gallery.pids, kind="stable")
        cells = np.split(order, np.flatnonzero(np.diff(gallery.pids[order])) + 1)
        streams = [random.Random(seed) for seed in range(self.num_trials)]
        return [np.array([stream.choice(cell) for cell in cells]) for stream in streams]
