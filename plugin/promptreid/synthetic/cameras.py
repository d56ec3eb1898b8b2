"""Where the picture is taken and with what: scene, viewpoint and sensor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.synthetic.draws import between, keyed, pick, whole
from promptreid.synthetic.materials import BANDS, TINTS
from promptreid.synthetic.physics import RENDERER, Physics, faded, physics_of

# Dark or bright things: a scene outshines the person, so pictures of one person don't look alike as a whole.
SCENE_LEVELS = {
    "visible": ((15, 85), (165, 245)),
    "near_infrared": ((10, 75), (150, 235)),
    "thermal_infrared": ((20, 60), (90, 160)),
}
THERMAL_MIDDLE = 90.0  # of the thermal levels of scenes
BACKDROP = (1.25, 4.0)  # the scene's height and width, in those of a picture


@dataclass(frozen=True)
class Block:
    """A box of the scene, in shares of the backdrop, with RGB values in each band (in the order of ``BANDS``)."""

    box: tuple[float, float, float, float]
    values: tuple[tuple[int, ...], ...]

    @classmethod
    def draw(cls, rng: Generator, box: tuple[float, float, float, float], index: int, physics: Physics) -> Block:
        """The ``index``-th block of a scene: dark and bright alternate, with another period in each band."""
        levels = [between(rng, *SCENE_LEVELS[band][(index >> bit) & 1]) for bit, band in enumerate(BANDS)]
        levels[1] += physics.scene_follows * (levels[0] - levels[1])
        levels[2] = faded(levels[2], THERMAL_MIDDLE, physics.thermal_scene)
        tint = pick(rng, TINTS)
        coloured = tuple(min(255, max(0, int(levels[0] + offset / 2))) for offset in tint)
        return cls(box, (coloured, *((int(level),) * 3 for level in levels[1:])))


@dataclass(frozen=True)
class Scene:
    """A place: wall, floor, and things before the wall. Two cameras may look at the same one."""

    blocks: tuple[Block, ...]
    grain: int

    @classmethod
    def draw(cls, rng: Generator, renderer: int = RENDERER) -> Scene:
        """A place from the generator keyed by seed and location."""
        floor = between(rng, 0.6, 0.85)
        boxes = [(0.0, 0.0, 1.0, floor), (0.0, floor, 1.0, 1.0)]
        things, lines = whole(rng, 16, 24), whole(rng, 2, 5)
        for index in range(things):
            left, top = (index + rng.random()) / things, between(rng, -0.2, 0.6)
            right, bottom = left + between(rng, 0.02, 0.14), top + between(rng, 0.2, 0.9)
            boxes.append((left, max(0.0, top), right, min(floor, bottom)))
        for _ in range(lines):
            left, top = rng.random(), between(rng, floor, 1.0)
            boxes.append((left, top, left + between(rng, 0.05, 0.3), top + between(rng, 0.01, 0.05)))
        first, physics = whole(rng, 0, 7), physics_of(renderer)
        blocks = tuple(Block.draw(rng, box, first + index, physics) for index, box in enumerate(boxes))
        return cls(blocks, whole(rng, 0, 2**31))


@lru_cache(maxsize=32)
def backdrop(scene: Scene, band: str, height: int, width: int) -> NDArray[np.uint8]:
    """The whole scene in a band, (1.25 height, 4 width, 3) uint8, of which a frame shows a part."""
    rows, columns = int(height * BACKDROP[0]), int(width * BACKDROP[1])
    image = np.zeros((rows, columns, 3), dtype=np.uint8)
    for block in scene.blocks:
        left, top, right, bottom = block.box
        image[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)] = block.values[
            BANDS.index(band)
        ]
    cells = (rows // 8, columns // 8)
    noise = keyed(scene.grain, "scene", BANDS.index(band)).bytes(cells[0] * cells[1])
    grain = (np.frombuffer(noise, dtype=np.uint8) >> 2).reshape(cells)
    texture = cv2.resize(grain, (columns, rows), interpolation=cv2.INTER_LINEAR_EXACT)
    mixed = np.clip(image.astype(np.int16) + texture[..., None] - 32, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(mixed, (5, 5), 0), dtype=np.uint8)


@dataclass(frozen=True)
class Viewpoint:
    """How the camera sees a body: scale, width, perspective (head or feet larger), foreshortening and tilt."""

    scale: float
    widen: float
    taper: float
    pitch: float
    shear: float

    @classmethod
    def draw(cls, rng: Generator) -> Viewpoint:
        return cls(
            scale=between(rng, 0.88, 0.92),
            widen=between(rng, 0.96, 1.06),
            taper=between(rng, -0.02, 0.08),
            pitch=between(rng, -0.02, 0.05),
            shear=between(rng, -0.015, 0.015),
        )


@dataclass(frozen=True)
class Sensor:
    """Contrast around mid-grey, offset, gain of each channel and noise amplitude (grey levels)."""

    contrast: float
    offset: float
    white: tuple[float, float, float]
    noise: float

    @classmethod
    def draw(cls, rng: Generator, band: str) -> Sensor:
        contrast, offset = between(rng, 0.8, 1.1), between(rng, -15, 15)
        white = (between(rng, 0.88, 1.12), between(rng, 0.94, 1.06), between(rng, 0.88, 1.12))
        noise = between(rng, 8, 20) if band == "visible" else between(rng, 14, 28)
        return cls(contrast, offset, white if band == "visible" else (1.0, 1.0, 1.0), noise)


@dataclass(frozen=True)
class Camera:
    """A camera that sees in every band (in the order of ``BANDS``); most trees use just one."""

    scene: Scene
    viewpoint: Viewpoint
    sensors: tuple[Sensor, ...]

    @classmethod
    def draw(cls, rng: Generator, scene: Scene) -> Camera:
        """A camera before ``scene``, from the generator keyed by seed and camera."""
        return cls(scene, Viewpoint.draw(rng), tuple(Sensor.draw(rng, band) for band in BANDS))
