"""How the three bands hang together: what a fabric, a wall and the sun look like in each of them, by renderer.

Renderer 1 drew the levels of the bands nearly apart from each other, lit thermal pictures by the sun and printed every
pattern into them. Renderer 2 follows what is known of real triples: a near-infrared picture resembles the visible one,
since most fabrics and walls reflect both alike, while many dyes are transparent to it; a thermal one shows emission,
which neither sun and shade nor a dye changes.
"""

from __future__ import annotations

from dataclasses import dataclass

RENDERER = 2  # raise it, and keep the old ones, whenever the same recipe gives other pixels


@dataclass(frozen=True)
class Physics:
    """Relations between the bands.

    Attributes:
        near_infrared_follows: share of the visible level in a near-infrared one; the rest is drawn.
        near_infrared_contrast: least difference in near-infrared between a part and the part beneath it, grey levels.
        scene_follows: the same share for walls and floors.
        thermal_scene: contrast of a thermal scene around its middle; 1 leaves it as drawn.
        thermal_lit: sun and shade brighten thermal pictures too.
        transparent_dyes: share of the patterns whose dye near-infrared light passes.
        dye_near_infrared: what is left of such a pattern's contrast in near-infrared.
        dye_thermal: what is left of each pattern's contrast in thermal.
    """

    near_infrared_follows: float
    near_infrared_contrast: int
    scene_follows: float = 0.0
    thermal_scene: float = 1.0
    thermal_lit: bool = True
    transparent_dyes: float = 0.0
    dye_near_infrared: float = 1.0
    dye_thermal: float = 1.0


RENDERERS = {
    1: Physics(near_infrared_follows=0.2, near_infrared_contrast=75),
    2: Physics(
        near_infrared_follows=0.7,
        near_infrared_contrast=20,
        scene_follows=0.75,
        thermal_scene=0.5,
        thermal_lit=False,
        transparent_dyes=0.5,
        dye_near_infrared=0.2,
        dye_thermal=0.15,
    ),
}


def physics_of(renderer: int) -> Physics:
    """The physics of a renderer.

    Raises:
        ValueError: there is no such renderer.
    """
    if renderer not in RENDERERS:
        versions = ", ".join(map(str, RENDERERS))
        raise ValueError(
            f"renderer (data.synthetic.renderer, --renderer): there is no {renderer!r}; choose from {versions}"
        )
    return RENDERERS[renderer]


def faded(level: float, ground: float, contrast: float) -> float:
    """``level``, moved towards ``ground`` until ``contrast`` (0 to 1) of their difference is left; 1 changes no bit."""
    return level if contrast == 1.0 else ground + contrast * (level - ground)
