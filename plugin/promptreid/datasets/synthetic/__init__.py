"""Synthetic data sets that look like the real thing on disk: pedestrians or vehicles before cameras of three bands.

A person is a latent structure (proportions, garments, patterns, bag) that all bands share, and materials that look
different in each of them; so is a vehicle. ``write_tree("sysu_mm01", out, ids=200, seed=0)`` renders a whole data set.
It comes out the same on every machine, in any order and with any number of workers, given the version of OpenCV, which
fills polygons.
"""

from promptreid.datasets.synthetic.cameras import Camera, Scene
from promptreid.datasets.synthetic.draws import keyed
from promptreid.datasets.synthetic.frames import Frame
from promptreid.datasets.synthetic.identity import Identity
from promptreid.datasets.synthetic.manifest import MANIFEST, RENDERER, check_manifest, manifest_of, read_manifest
from promptreid.datasets.synthetic.materials import BANDS
from promptreid.datasets.synthetic.plans import Plan, Recipe, Shot, Style
from promptreid.datasets.synthetic.rendering import render
from promptreid.datasets.synthetic.trees import FOLDERS, TREES, recipe_of
from promptreid.datasets.synthetic.vehicle import Vehicle
from promptreid.datasets.synthetic.writer import render_shot, write_tree

__all__ = [
    "BANDS",
    "FOLDERS",
    "MANIFEST",
    "RENDERER",
    "TREES",
    "Camera",
    "Frame",
    "Identity",
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
