"""What stands in the picture: a latent description of a vehicle that all bands and views share.

Lengths are metres. A vehicle's own axes: x to its front, y to its left, z up, from the ground below its middle.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from promptreid.synthetic.draws import between, chance, pick, whole
from promptreid.synthetic.materials import Palette
from promptreid.synthetic.physics import RENDERER, physics_of
from promptreid.synthetic.vehicle_materials import draw_paint

KINDS = ("sedan", "sedan", "hatchback", "hatchback", "wagon", "suv", "suv", "van", "van", "pickup", "coupe")
SIDE_PATTERNS = (
    "plain", "plain", "line", "two_tone", "wedge", "checks", "panel", "roundel", "bars", "rear", "doors",
)  # fmt: skip
TOP_PATTERNS = ("plain", "plain", "racing", "racing", "roof", "bonnet", "sunroof", "single")
ROOF_GEAR = ("none", "none", "rails", "rack", "box", "sign", "beacons", "ladder")
RIMS = ("disc", "cross", "five", "ring", "dark", "half")
HEADLAMPS = ("wide", "round", "slit", "tall")
GRILLES = ("wide", "narrow", "tall", "split", "none")
TAILLAMPS = ("wide", "tall", "bar", "round")


@dataclass(frozen=True)
class Proportions:
    """The ranges that a kind of vehicle is drawn from; positions along it are shares of its length from the front."""

    length: tuple[float, float]
    height: tuple[float, float]
    bonnet: float  # where the bonnet ends and the windscreen begins
    roof: tuple[float, float]  # where the roof begins and ends
    deck: float  # where the rear window ends
    belt: float  # the lower edge of the windows, as a share of the height


PROPORTIONS = {
    "sedan": Proportions((4.3, 4.95), (1.40, 1.50), 0.27, (0.43, 0.70), 0.85, 0.62),
    "hatchback": Proportions((3.6, 4.2), (1.42, 1.58), 0.24, (0.39, 0.82), 0.97, 0.61),
    "wagon": Proportions((4.4, 4.9), (1.42, 1.54), 0.26, (0.40, 0.90), 0.98, 0.61),
    "suv": Proportions((4.2, 4.9), (1.65, 1.88), 0.25, (0.37, 0.88), 0.97, 0.59),
    "van": Proportions((4.3, 5.2), (1.85, 2.15), 0.12, (0.26, 0.96), 0.99, 0.53),
    "pickup": Proportions((4.9, 5.35), (1.65, 1.85), 0.27, (0.38, 0.56), 0.60, 0.58),
    "coupe": Proportions((4.1, 4.7), (1.24, 1.36), 0.33, (0.49, 0.66), 0.92, 0.60),
}


@dataclass(frozen=True)
class Shell:
    """The body: x of its edges and heights. ``slope`` is how much lower the bonnet's tip and the tail's edge are."""

    length: float
    half_width: float
    height: float
    clearance: float
    bonnet: float
    roof: tuple[float, float]
    deck: float
    belt: float
    slope: float
    taper: float  # half width of the roof, as a share of the body's

    @classmethod
    def draw(cls, rng: Generator, kind: str) -> Shell:
        ranges = PROPORTIONS[kind]
        length, height = between(rng, *ranges.length), between(rng, *ranges.height)

        def place(share: float) -> float:
            return length * (0.5 - share - between(rng, -0.02, 0.02))

        return cls(
            length=length,
            half_width=between(rng, 0.83, 0.95),
            height=height,
            clearance=between(rng, 0.16, 0.24) + (0.07 if kind in ("suv", "pickup") else 0.0),
            bonnet=place(ranges.bonnet),
            roof=(place(ranges.roof[0]), place(ranges.roof[1])),
            deck=max(-0.495 * length, place(ranges.deck)),
            belt=height * (ranges.belt + between(rng, -0.03, 0.03)),
            slope=between(rng, 0.08, 0.24),
            taper=between(rng, 0.78, 0.90) if kind != "van" else between(rng, 0.88, 0.95),
        )


@dataclass(frozen=True)
class Wheels:
    """Wheels and their rims; ``overhang`` from the ends of the body to the axles."""

    radius: float
    overhang: tuple[float, float]
    rim: str
    rim_share: float

    @classmethod
    def draw(cls, rng: Generator, kind: str) -> Wheels:
        grow = 0.05 if kind in ("suv", "pickup") else 0.0
        return cls(
            radius=between(rng, 0.30, 0.36) + grow,
            overhang=(between(rng, 0.72, 0.92), between(rng, 0.72, 1.0)),
            rim=pick(rng, RIMS),
            rim_share=between(rng, 0.58, 0.76),
        )


@dataclass(frozen=True)
class Marking:
    """What is painted or glued onto the side: its kind, a height and an extent as shares, a period in metres."""

    kind: str
    level: float
    share: float
    period: float
    lean: float

    @classmethod
    def draw(cls, rng: Generator) -> Marking:
        return cls(
            kind=pick(rng, SIDE_PATTERNS),
            level=between(rng, 0.25, 0.75),
            share=pick(rng, (0.2, 0.3, 0.45)),
            period=pick(rng, (0.28, 0.4, 0.55)),
            lean=pick(rng, (-1.0, 1.0)) * between(rng, 0.15, 0.4),
        )


@dataclass(frozen=True)
class Face:
    """What is on the front and on the rear: kinds of lamps and grille, plates (y as a share, z in shares)."""

    headlamp: str
    grille: str
    intake: bool
    taillamp: str
    plate: tuple[float, float]
    rear_plate: tuple[float, float]
    spare_wheel: bool
    rear_label: float

    @classmethod
    def draw(cls, rng: Generator, kind: str) -> Face:
        return cls(
            headlamp=pick(rng, HEADLAMPS),
            grille=pick(rng, GRILLES),
            intake=chance(rng, 0.6),
            taillamp=pick(rng, TAILLAMPS),
            plate=(pick(rng, (0.0, 0.0, 0.0, -0.4, 0.4)), between(rng, 0.18, 0.34)),
            rear_plate=(pick(rng, (0.0, 0.0, 0.0, -0.4, 0.4)), pick(rng, (0.25, 0.5, 0.68))),
            spare_wheel=kind == "suv" and chance(rng, 0.5),
            rear_label=pick(rng, (0.0, 0.0, -1.0, 1.0)),
        )


@dataclass(frozen=True)
class Dent:
    """Damage on one side (-1 or 1): place (shares of length and of the side's height) and radius in metres."""

    side: int
    along: float
    level: float
    radius: float

    @classmethod
    def draw(cls, rng: Generator) -> Dent:
        return cls(pick(rng, (-1, 1)), between(rng, 0.1, 0.9), between(rng, 0.3, 0.9), between(rng, 0.08, 0.2))


@dataclass(frozen=True, eq=False)
class Vehicle:
    """A vehicle. Everything but ``palette`` is structure, which shows in every band."""

    kind: str
    shell: Shell
    wheels: Wheels
    windows: int
    blind: int
    pillar: float
    cladding: float
    bumpers: bool
    marking: Marking
    top: str
    gear: str
    gear_place: float
    mirrors: bool
    face: Face
    dents: tuple[Dent, ...]
    palette: Palette

    @classmethod
    def draw(cls, rng: Generator, renderer: int = RENDERER) -> Vehicle:
        """A vehicle from the generator keyed by seed and id; ``blind`` windows, from the rear, are covered."""
        kind = pick(rng, KINDS)
        windows = {"coupe": 1, "pickup": whole(rng, 1, 2)}.get(kind, whole(rng, 2, 3))
        return cls(
            kind=kind,
            shell=Shell.draw(rng, kind),
            wheels=Wheels.draw(rng, kind),
            windows=windows,
            blind=whole(rng, 0, windows - 1) if kind == "van" or chance(rng, 0.25) else 0,
            pillar=between(rng, 0.04, 0.08),
            cladding=pick(rng, (0.0, 0.0, 0.14, 0.22)),
            bumpers=chance(rng, 0.4),
            marking=Marking.draw(rng),
            top=pick(rng, TOP_PATTERNS),
            gear=pick(rng, ROOF_GEAR),
            gear_place=between(rng, 0.25, 0.75),
            mirrors=chance(rng, 0.85),
            face=Face.draw(rng, kind),
            dents=tuple(Dent.draw(rng) for _ in range(whole(rng, 0, 3))),
            palette=draw_paint(rng, physics_of(renderer)),
        )
