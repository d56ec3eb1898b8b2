"""Renders a plan to disk: all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from promptreid.files import atomic_folder
from promptreid.synthetic.cameras import Camera, Scene
from promptreid.synthetic.draws import between, chance, keyed
from promptreid.synthetic.frames import Frame
from promptreid.synthetic.identity import Identity
from promptreid.synthetic.layers import Image
from promptreid.synthetic.manifest import MANIFEST, manifest_of
from promptreid.synthetic.materials import BANDS
from promptreid.synthetic.physics import RENDERER
from promptreid.synthetic.plans import PEOPLE, Plan, Recipe, Shot, Style
from promptreid.synthetic.rendering import render
from promptreid.synthetic.sight import SIDES
from promptreid.synthetic.trees import TREES, recipe_of
from promptreid.synthetic.vehicle import Vehicle
from promptreid.synthetic.vehicle_rendering import Drive, render_vehicle

DUSK = (0.06, 0.3)  # of the visible light that is left
ENCODINGS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 90], ".bmp": []}  # parameters by a file's suffix, which says the format


@lru_cache(maxsize=4)
def _identity(seed: int, pid: int, renderer: int = RENDERER) -> Identity:
    return Identity.draw(keyed(seed, "identity", pid), renderer)


@lru_cache(maxsize=4)
def _vehicle(seed: int, pid: int, renderer: int = RENDERER) -> Vehicle:
    return Vehicle.draw(keyed(seed, "identity", pid), renderer)


@lru_cache(maxsize=64)
def _camera(seed: int, camera: int, location: int, renderer: int = RENDERER) -> Camera:
    return Camera.draw(keyed(seed, "camera", camera), Scene.draw(keyed(seed, "scene", location), renderer))


def render_shot(
    shot: Shot,
    seed: int,
    location: int,
    size: tuple[int, int],
    style: Style = PEOPLE,
    renderer: int = RENDERER,
) -> Image:
    """The image of one shot, (H, W, 3) uint8 RGB; it depends on nothing but the arguments.

    Args:
        shot: Who, where, when and in which band.
        seed: Of the tree.
        location: Of the shot's camera.
        size: Height and width in pixels, both even.
        style: Of the tree.
        renderer: A key of ``physics.RENDERERS``.
    """
    if style.graded and shot.band != "thermal_infrared":
        visible = render_shot(replace(shot, band="visible"), seed, location, size, renderer=renderer)
        return _grade(visible, shot.band)
    key = (shot.pid, shot.camera, shot.frame)
    camera, moment = _camera(seed, shot.camera, location, renderer), keyed(seed, "frame", *key)
    frame, noise = Frame.draw(moment), keyed(seed, "noise", *key, BANDS.index(shot.band))
    if style.subject == "person":
        person, daylight = _identity(seed, shot.pid, renderer), _daylight(seed, key, style)
        return render(person, camera, frame, shot.band, size, noise, renderer, daylight)
    vehicle, drive = _vehicle(seed, shot.pid, renderer), Drive.draw(moment)
    side, night = shot.camera % len(SIDES), shot.camera in style.night
    return render_vehicle(vehicle, camera, (frame, drive), side, shot.band, size, noise, night=night, renderer=renderer)


def _daylight(seed: int, moment: tuple[int, int, int], style: Style) -> float:
    """Share of the visible light that is left in a moment (pid, camera, frame)."""
    if not style.dusk:
        return 1.0
    rng = keyed(seed, "dusk", *moment)
    return between(rng, *DUSK) if chance(rng, style.dusk) else 1.0


def _grade(image: Image, band: str) -> Image:
    """The darkened picture (40 % of the light), or the grey one with its full light."""
    if band == "visible":
        return (image.astype(np.uint16) * 2 // 5).astype(np.uint8)
    grey = (image.astype(np.uint16) @ np.array([77, 150, 29], dtype=np.uint16)) >> 8
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def write_tree(
    like: str,
    out: str | os.PathLike[str],
    ids: int,
    seed: int,
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    train_fraction: float | None = None,
    test_ids: int | None = None,
    renderer: int = RENDERER,
    workers: int = 1,
) -> int:
    """Render a data set into the new folder ``out``; the arguments are those of :func:`recipe_of`.

    It is rendered beside ``out`` and moved there when it is complete. The number of worker processes doesn't change a
    byte; with several, a script that calls this needs the usual ``if __name__ == "__main__"``.

    Returns:
        The number of images.

    Raises:
        ValueError: an argument that can't be.
        FileExistsError: ``out`` is there and is not an empty folder.
    """
    recipe = recipe_of(
        like,
        ids,
        seed,
        frames=frames,
        size=size,
        train_fraction=train_fraction,
        test_ids=test_ids,
        renderer=renderer,
    )
    if workers < 1:
        raise ValueError(f"workers: must be at least 1, not {workers}")
    plan = TREES[like](recipe)
    total = len({shot.path for shot in plan.shots})
    with atomic_folder(Path(out)) as folder:
        # Work is shared out by identity: all images of a strip, and what can be used again, are in one cell.
        cells = [list(cell) for _, cell in groupby(plan.shots, key=lambda shot: shot.pid)]
        jobs = [Job(folder, cell, recipe, plan.locations, plan.style) for cell in cells]
        done = 0
        for count in _run(jobs, workers):
            done += count
            _report(done, total)
        _write_beside(folder, plan, recipe)
    return total + len(plan.copies)


def _write_beside(folder: Path, plan: Plan, recipe: Recipe) -> None:
    """What is not rendered: copies of images, lists, and the manifest."""
    for copy, original in plan.copies.items():
        (folder / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / original, folder / copy)
    for name, text in {**plan.files, MANIFEST: json.dumps(manifest_of(recipe), indent=2) + "\n"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


class Job(NamedTuple):
    """Shots to render into a folder, and how."""

    folder: Path
    shots: list[Shot]
    recipe: Recipe
    locations: dict[int, int]
    style: Style


def _write_cell(job: Job) -> int:
    """Render shots; the number of files."""
    files, recipe = 0, job.recipe
    for name, parts in groupby(job.shots, key=lambda shot: shot.path):
        images = [
            render_shot(shot, recipe.seed, job.locations[shot.camera], recipe.size, job.style, recipe.renderer)
            for shot in parts
        ]
        path = job.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded, data = cv2.imencode(path.suffix, np.concatenate(images, axis=1)[..., ::-1], ENCODINGS[path.suffix])
        if not encoded:
            raise OSError(f"{path}: OpenCV can't write this kind of image")
        path.write_bytes(data.tobytes())
        files += 1
    return files


def _run(jobs: list[Job], workers: int) -> Iterator[int]:
    if workers == 1:
        yield from map(_write_cell, jobs)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
    try:
        yield from pool.map(_write_cell, jobs, chunksize=2)
    finally:
        pool.shutdown(cancel_futures=True)


def _report(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done}/{total} images" + ("\n" if done == total else ""))
        sys.stderr.flush()
