"""What changes from one picture of a person to the next: pose, crop, light, occluder, blur."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from promptreid.synthetic.draws import between, chance, pick
from promptreid.synthetic.materials import BANDS


@dataclass(frozen=True)
class Pose:
    """How the person stands; displacements in body heights."""

    stride: float
    lift: float
    swing: tuple[float, float]
    elbow: tuple[float, float]
    lean: float
    turn: float

    @classmethod
    def draw(cls, rng: Generator) -> Pose:
        return cls(
            stride=between(rng, -0.045, 0.045),
            lift=between(rng, 0.0, 0.03),
            swing=(between(rng, -0.01, 0.045), between(rng, -0.01, 0.045)),
            elbow=(between(rng, 0.0, 0.03), between(rng, 0.0, 0.03)),
            lean=between(rng, -0.02, 0.02),
            turn=between(rng, 0.94, 1.03),
        )


@dataclass(frozen=True)
class Occluder:
    """Something in front of the person: a box in shares of the image, with a level for each band."""

    box: tuple[float, float, float, float]
    levels: dict[str, int]

    @classmethod
    def draw(cls, rng: Generator) -> Occluder:
        if chance(rng, 0.5):
            box = (0.0, between(rng, 0.78, 0.95), 1.0, 1.0)
        else:
            left, width = pick(rng, (0.0, 1.0)), between(rng, 0.12, 0.3)
            box = (0.0, 0.0, width, 1.0) if left == 0.0 else (1.0 - width, 0.0, 1.0, 1.0)
        return cls(box, {band: int(between(rng, 30, 220)) for band in BANDS})


@dataclass(frozen=True, eq=False)
class Frame:
    """One moment before one camera; the bands of a moment share it."""

    pose: Pose
    shift: tuple[float, float]
    zoom: float
    mirror: bool
    from_behind: bool
    backdrop: tuple[float, float]
    light: bytes
    folds: bytes
    exposure: float
    blur: int
    occluder: Occluder | None

    @classmethod
    def draw(cls, rng: Generator) -> Frame:
        """A moment from the generator keyed by seed, id, camera and frame number."""
        return cls(
            pose=Pose.draw(rng),
            shift=(between(rng, -0.025, 0.025), between(rng, -0.01, 0.01)),
            zoom=between(rng, 0.98, 1.02),
            mirror=chance(rng, 0.5),
            from_behind=chance(rng, 0.3),
            backdrop=(rng.random(), rng.random()),
            light=rng.bytes(10),
            folds=rng.bytes(32),
            exposure=between(rng, 0.8, 1.15),
            blur=pick(rng, (0, 0, 0, 3, 3, 5)),
            occluder=Occluder.draw(rng) if chance(rng, 0.15) else None,
        )
