"""Who is in the picture: a latent description of a person that all bands share."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from promptreid.synthetic.draws import between, chance, pick
from promptreid.synthetic.materials import Palette, draw_palette
from promptreid.synthetic.physics import RENDERER, physics_of

HAIR = ("bald", "short", "short", "long", "long", "bun", "afro")
HATS = ("none", "none", "none", "cap", "brim", "beanie")
UPPER_PATTERNS = (
    "plain", "bars", "bars", "stripes", "diagonal", "checks", "dots", "yoke", "band", "open", "logo", "sides",
)  # fmt: skip
LOWER_KINDS = ("trousers", "trousers", "shorts", "skirt", "long_skirt")
LOWER_PATTERNS = ("plain", "plain", "seam", "bars", "checks", "cuffs")
BAGS = ("none", "none", "backpack", "backpack", "sling", "handbag", "tote")


@dataclass(frozen=True)
class Body:
    """Proportions, in body heights; widths are half widths, heights are measured down from the crown."""

    head: float
    shoulder: float
    waist: float
    hip: float
    crotch: float
    limb: float

    @classmethod
    def draw(cls, rng: Generator) -> Body:
        stout = between(rng, 0.82, 1.28)
        return cls(
            head=between(rng, 0.056, 0.068),
            shoulder=between(rng, 0.092, 0.112) * (0.5 + 0.5 * stout),
            waist=between(rng, 0.066, 0.082) * stout,
            hip=between(rng, 0.074, 0.090) * stout,
            crotch=between(rng, 0.48, 0.54),
            limb=between(rng, 0.88, 1.08) * (0.4 + 0.6 * stout),
        )


@dataclass(frozen=True)
class Pattern:
    """What is woven into or printed on a garment, in body heights."""

    kind: str
    period: float
    phase: float
    share: float
    lean: float

    @classmethod
    def draw(cls, rng: Generator, kinds: tuple[str, ...]) -> Pattern:
        return cls(
            kind=pick(rng, kinds),
            period=pick(rng, (0.065, 0.09, 0.12)),
            phase=rng.random(),
            share=pick(rng, (0.35, 0.5, 0.65)),
            lean=pick(rng, (-1.0, 1.0)) * between(rng, 0.6, 1.2),
        )


@dataclass(frozen=True)
class Upper:
    """The garment of the upper body; ``hem`` in body heights from the crown, ``sleeve`` as a share of the arm."""

    hem: float
    flare: float
    sleeve: float
    sleeve_accent: bool
    pattern: Pattern
    belt: bool

    @classmethod
    def draw(cls, rng: Generator) -> Upper:
        hem = pick(rng, (0.44, 0.47, 0.52, 0.58, 0.68, 0.78))
        return cls(
            hem=hem + between(rng, -0.012, 0.012),
            flare=between(rng, 1.0, 1.15) if hem < 0.55 else between(rng, 1.1, 1.5),
            sleeve=pick(rng, (0.0, 0.35, 0.35, 0.65, 1.0, 1.0, 1.0)),
            sleeve_accent=chance(rng, 0.3),
            pattern=Pattern.draw(rng, UPPER_PATTERNS),
            belt=chance(rng, 0.3),
        )


@dataclass(frozen=True)
class Lower:
    """The garment of the legs and the shoes; heights in body heights from the crown."""

    kind: str
    hem: float
    width: float
    pattern: Pattern
    shoe_top: float
    shoe_size: float

    @classmethod
    def draw(cls, rng: Generator) -> Lower:
        kind = pick(rng, LOWER_KINDS)
        hem = {"trousers": 0.94, "shorts": 0.68, "skirt": 0.70, "long_skirt": 0.86}[kind]
        return cls(
            kind=kind,
            hem=hem + between(rng, -0.025, 0.025),
            width=pick(rng, (0.85, 1.1, 1.45)),
            pattern=Pattern.draw(rng, LOWER_PATTERNS),
            shoe_top=pick(rng, (0.955, 0.955, 0.90, 0.80)),
            shoe_size=between(rng, 0.9, 1.25),
        )


@dataclass(frozen=True, eq=False)
class Identity:
    """A person. Everything but ``palette`` is structure, which shows in every band."""

    body: Body
    hair: str
    hair_length: float
    hat: str
    upper: Upper
    lower: Lower
    scarf: bool
    bag: str
    bag_size: float
    bag_side: int
    palette: Palette

    @classmethod
    def draw(cls, rng: Generator, renderer: int = RENDERER) -> Identity:
        """A person from the generator keyed by seed and id."""
        return cls(
            body=Body.draw(rng),
            hair=pick(rng, HAIR),
            hair_length=between(rng, 0.8, 1.4),
            hat=pick(rng, HATS),
            upper=Upper.draw(rng),
            lower=Lower.draw(rng),
            scarf=chance(rng, 0.2),
            bag=pick(rng, BAGS),
            bag_size=between(rng, 0.8, 1.3),
            bag_side=pick(rng, (-1, 1)),
            palette=draw_palette(rng, physics_of(renderer)),
        )
