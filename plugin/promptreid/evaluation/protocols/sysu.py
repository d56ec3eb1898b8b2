"""SYSU-MM01: ten galleries drawn from the visible cameras, infrared queries, and cameras 2 and 3 in one room.

Papers draw the galleries in two ways and call both "SYSU-MM01": with Python's seeded generator (AGW and its
descendants) or from the permutations that the data set's authors published (MPANet, MCJA and others). The draws share
few images and their scores differ, hence two names.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.protocols.base import Protocol, check_cameras, check_choice
from promptreid.evaluation.protocols.cells import Cells, cells_of, draw_by_seed
from promptreid.evaluation.protocols.permutations import Permutations

GALLERY_CAMERAS = {"all": (0, 1, 3, 4), "indoor": (0, 1)}
QUERY_CAMERAS = (2, 5)
_LOCATION = np.array([0, 1, 1, 3, 4, 5])
"""Where each camera is: 2 and 3 (1-based) film the same room, by day and in the dark."""
_RELEASE_SEEDS = {("all", 1): 254, ("all", 10): 1221, ("indoor", 1): 2936, ("indoor", 10): 2936}
"""As the released commit draws. An earlier copy of it names 1884 for indoor single-shot; in the commit that constant is
never reached, because the setting is compared with a name that it does not have."""


class SYSUProtocol(Protocol):
    """The SYSU-MM01 protocol (Wu et al., ICCV 2017): mean over ten galleries of 1 or 10 images per identity and camera.

    A query does not see its own location, whatever the identity; the CMC counts identities.

    Args:
        mode: ``"all"`` (gallery cameras 1, 2, 4, 5) or ``"indoor"`` (1, 2).
        shots: 1 or 10 gallery images per identity and camera.
        draw: ``"python"``, seeds 0, 1, ...; or ``"official"``, the authors' permutations.
        trials: number of galleries; the published numbers use 10.
        permutations: for the official draw, from :func:`load_rand_perm_cam`.

    Raises:
        ValueError: an unknown choice, or permutations missing or not wanted.
    """

    rule = "location"
    level = "identity"

    def __init__(
        self,
        mode: str = "all",
        shots: int = 1,
        draw: str = "python",
        trials: int = 10,
        permutations: Permutations | None = None,
    ) -> None:
        check_choice("mode", mode, tuple(GALLERY_CAMERAS))
        check_choice("shots", shots, (1, 10))
        check_choice("draw", draw, ("python", "official"))
        if (draw == "official") != (permutations is not None):
            raise ValueError("permutations: the official draw, and only that one, needs load_rand_perm_cam(path)")
        most = 10 if draw == "official" else 10**6
        if not 1 <= trials <= most:
            raise ValueError(f"trials: {trials} is outside 1..{most}")
        self.name = f"sysu-{draw} {mode} {shots}-shot"
        self.mode, self.shots, self.num_trials, self.permutations = mode, shots, trials, permutations

    def trials(self, gallery: FeatureSet) -> list[np.ndarray]:
        """Pool indices of each gallery.

        Args:
            gallery: all visible test images; those of one identity and camera in frame order.
        """
        cells = self._cells(gallery)
        if self.permutations is not None:
            return [self.permutations.draw(cells, self.shots, trial) for trial in range(self.num_trials)]
        return [draw_by_seed(cells, self.shots, trial) for trial in range(self.num_trials)]

    def _cells(self, gallery: FeatureSet) -> Cells:
        return cells_of(gallery, GALLERY_CAMERAS[self.mode])

    def _labels(self, images: FeatureSet) -> FeatureSet:
        return replace(images, camids=_LOCATION[images.camids])

    def _check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        check_cameras("gallery", gallery, range(6), "a camera of SYSU-MM01")
        check_cameras("query", query, QUERY_CAMERAS, "an infrared camera of SYSU-MM01, and only those are queries")

    def _note(self, gallery: FeatureSet) -> str:
        cells = self._cells(gallery)
        small = sum(len(cell) < self.shots for cell in cells.values())
        return f"{small} of {len(cells)} cells hold fewer than {self.shots} images" if small else ""


class SYSUReleaseProtocol(SYSUProtocol):
    """The legacy test of MIP's released code, for comparison with its printed numbers only.

    One gallery, drawn with a hand-picked seed (all-search 254 and 1221, indoor 2936); the Market rule, which never
    bites across modalities, so queries of camera 3 do see camera 2; the CMC counts images. The release lists folders
    unsorted, so its own gallery depends on the file system: this draw, from sorted frames, is made in its manner and
    does not repeat it image by image.

    Args:
        mode: ``"all"`` or ``"indoor"``.
        shots: 1 or 10.
    """

    rule = "camera"
    level = "image"

    def __init__(self, mode: str = "all", shots: int = 1) -> None:
        super().__init__(mode, shots, trials=1)
        self.name = f"sysu-mip-release {mode} {shots}-shot"

    def trials(self, gallery: FeatureSet) -> list[np.ndarray]:
        """Pool indices of the one gallery."""
        return [draw_by_seed(self._cells(gallery), self.shots, _RELEASE_SEEDS[self.mode, self.shots])]

    def _labels(self, images: FeatureSet) -> FeatureSet:
        return images
