"""Synthetic data sets that look like the real thing on disk: pedestrians or vehicles before cameras of three bands.

A person is a latent structure (proportions, garments, patterns, bag) that all bands share, and materials that look
different in each of them; so is a vehicle. ``write_tree("sysu_mm01", out, ids=200, seed=0)`` renders a whole data set.
It comes out the same on every machine, in any order and with any number of workers, given the version of OpenCV, which
fills polygons.
"""

from promptreid.synthetic.cameras import Camera, Scene
from promptreid.synthetic.draws import keyed
from promptreid.synthetic.frames import Frame
from promptreid.synthetic.identity import Identity
from promptreid.synthetic.manifest import MANIFEST, check_manifest, manifest_of, read_manifest
from promptreid.synthetic.materials import BANDS
from promptreid.synthetic.physics import RENDERER, RENDERERS, Physics
from promptreid.synthetic.plans import Plan, Recipe, Shot, Style
from promptreid.synthetic.rendering import render
from promptreid.synthetic.trees import FOLDERS, TREES, recipe_of
from promptreid.synthetic.vehicle import Vehicle
from promptreid.synthetic.writer import render_shot, write_tree

__all__ = [
    "BANDS",
    "FOLDERS",
    "MANIFEST",
    "RENDERER",
    "RENDERERS",
    "TREES",
    "Camera",
    "Frame",
    "Identity",
    "Physics",
    "Plan",
    "Recipe",
    "Scene",
    "Shot",
    "Style",
    "Vehicle",
    "check_manifest",
    "keyed",
    "manifest_of",
    "read_manifest",
    "recipe_of",
    "render",
    "render_shot",
    "write_tree",
]
