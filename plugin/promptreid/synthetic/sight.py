"""How a camera sees a solid: which way it looks, which faces it sees, and where they come to lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from promptreid.synthetic.patterns import Point, Polygon

Point3 = tuple[float, float, float]

# Cosine and sine of the angle from a vehicle's front to the camera, towards its left; literals, for they are exact.
SIDES = (
    (1.0, 0.0), (0.6, 0.8), (0.0, 1.0), (-0.6, 0.8), (-1.0, 0.0), (-0.6, -0.8), (0.0, -1.0), (0.6, -0.8),
)  # fmt: skip
# Corners of a circle, for wheels.
CIRCLE = (
    (1.0, 0.0), (0.9239, 0.3827), (0.7071, 0.7071), (0.3827, 0.9239), (0.0, 1.0), (-0.3827, 0.9239),
    (-0.7071, 0.7071), (-0.9239, 0.3827), (-1.0, 0.0), (-0.9239, -0.3827), (-0.7071, -0.7071), (-0.3827, -0.9239),
    (0.0, -1.0), (0.3827, -0.9239), (0.7071, -0.7071), (0.9239, -0.3827),
)  # fmt: skip


@dataclass(frozen=True)
class Sight:
    """Parallel projection: the direction to the camera, seen from above (unit), and the sine of its elevation."""

    cosine: float
    sine: float
    elevation: float

    @classmethod
    def turned(cls, side: int, turn: float, elevation: float) -> Sight:
        """From one of the eight :data:`SIDES`, turned by the angle whose half has the tangent ``turn``."""
        cosine, sine = SIDES[side]
        across, along = 2.0 * turn / (1.0 + turn * turn), (1.0 - turn * turn) / (1.0 + turn * turn)
        return cls(cosine * along - sine * across, sine * along + cosine * across, elevation)

    def faces(self, normal: Point3) -> bool:
        """Whether the outside of a face with that outward ``normal`` is seen."""
        flat = sqrt(1.0 - self.elevation * self.elevation)
        return flat * (normal[0] * self.cosine + normal[1] * self.sine) + normal[2] * self.elevation > 1e-6

    def lay(self, points: Sequence[Point3]) -> Polygon:
        """Where the points come to lie: metres to the right and downwards."""
        return [self.point(point) for point in points]

    def point(self, point: Point3) -> Point:
        x, y, z = point
        nearness = x * self.cosine + y * self.sine
        upright = sqrt(1.0 - self.elevation * self.elevation)
        return y * self.cosine - x * self.sine, nearness * self.elevation - z * upright

    def box(self, low: Point3, high: Point3) -> list[Polygon]:
        """The faces that are seen of an upright box."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        faces: list[tuple[Point3, list[Point3]]] = [
            ((1, 0, 0), [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)]),
            ((-1, 0, 0), [(x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1)]),
            ((0, 1, 0), [(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)]),
            ((0, -1, 0), [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)]),
            ((0, 0, 1), [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)]),
        ]
        return [self.lay(points) for normal, points in faces if self.faces(normal)]

    def disc(self, centre: Point3, radius: float) -> Polygon:
        """A disc that stands in the direction of travel, as wheels do."""
        x, y, z = centre
        return self.lay([(x + radius * across, y, z + radius * up) for across, up in CIRCLE])
