"""Renders a plan to disk: all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import cv2

from promptreid.datasets.synthetic.cameras import Camera, Scene
from promptreid.datasets.synthetic.draws import keyed
from promptreid.datasets.synthetic.frames import Frame
from promptreid.datasets.synthetic.identity import Identity
from promptreid.datasets.synthetic.manifest import MANIFEST, manifest_of
from promptreid.datasets.synthetic.materials import BANDS
from promptreid.datasets.synthetic.plans import Shot
from promptreid.datasets.synthetic.rendering import Image, render
from promptreid.datasets.synthetic.trees import TREES, recipe_of

ENCODINGS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 90], ".bmp": []}  # parameters by a file's suffix, which says the format


@lru_cache(maxsize=4)
def _identity(seed: int, pid: int) -> Identity:
    return Identity.draw(keyed(seed, "identity", pid))


@lru_cache(maxsize=64)
def _camera(seed: int, camera: int, location: int) -> Camera:
    return Camera.draw(keyed(seed, "camera", camera), Scene.draw(keyed(seed, "scene", location)))


def render_shot(shot: Shot, seed: int, location: int, size: tuple[int, int]) -> Image:
    """The image of one shot, (H, W, 3) uint8 RGB; it depends on nothing but the arguments."""
    moment = (shot.pid, shot.camera, shot.frame)
    return render(
        _identity(seed, shot.pid),
        _camera(seed, shot.camera, location),
        Frame.draw(keyed(seed, "frame", *moment)),
        shot.band,
        size,
        keyed(seed, "noise", *moment, BANDS.index(shot.band)),
    )


def write_tree(
    like: str,
    out: str | os.PathLike[str],
    ids: int,
    seed: int,
    *,
    frames: int | None = None,
    size: tuple[int, int] = (128, 64),
    train_fraction: float | None = None,
    test_ids: int | None = None,
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
    recipe = recipe_of(like, ids, seed, frames=frames, size=size, train_fraction=train_fraction, test_ids=test_ids)
    if workers < 1:
        raise ValueError(f"workers: must be at least 1, not {workers}")
    plan = TREES[like](recipe)
    with _new_folder(Path(out)) as folder:
        cells = [list(cell) for _, cell in groupby(plan.shots, key=lambda shot: Path(shot.path).parent)]
        jobs = [(folder, cell, seed, plan.locations, size) for cell in cells]
        done = 0
        for count in _run(jobs, workers):
            done += count
            _report(done, len(plan.shots))
        for name, text in {**plan.files, MANIFEST: json.dumps(manifest_of(recipe), indent=2) + "\n"}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    return len(plan.shots)


Job = tuple[Path, list[Shot], int, dict[int, int], tuple[int, int]]


def _write_cell(job: Job) -> int:
    """Render the shots of one folder."""
    folder, shots, seed, locations, size = job
    for shot in shots:
        image = render_shot(shot, seed, locations[shot.camera], size)
        path = folder / shot.path
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded, data = cv2.imencode(path.suffix, image[..., ::-1], ENCODINGS[path.suffix])
        if not encoded:
            raise OSError(f"{path}: OpenCV can't write this kind of image")
        path.write_bytes(data.tobytes())
    return len(shots)


def _run(jobs: list[Job], workers: int) -> Iterator[int]:
    if workers == 1:
        yield from map(_write_cell, jobs)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
    try:
        yield from pool.map(_write_cell, jobs, chunksize=8)
    finally:
        pool.shutdown(cancel_futures=True)


def _report(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done}/{total} images" + ("\n" if done == total else ""))
        sys.stderr.flush()


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that becomes ``out`` if all goes well and vanishes if not."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} is there already and not an empty folder; remove it or choose another one")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
