"""Embedding of many objects into a file, in parts: a killed job continues and ends with the same bytes."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.engine.distributed.process_group import barrier, first_does, rank, together, world_size
from promptreid.engine.epoch_meter import progress
from promptreid.evaluation.tables import save_table
from promptreid.files import FolderInUse, FolderLock, explained_writes, write_text
from promptreid.json_texts import read_json
from promptreid.retrieval.embedder import Embedder
from promptreid.retrieval.embedding_files import check_embeddings_path, load_embeddings, save_embeddings
from promptreid.retrieval.embeddings import Embeddings, join
from promptreid.retrieval.object_lists import ObjectList

logger = logging.getLogger(__name__)

_REMEDY = "make room, then the same command goes on with what is finished"
_PLAN, _ROWS = "plan.json", "row"


def embed_to_file(
    reid: Embedder,
    found: ObjectList,
    out: str | Path,
    *,
    on_error: str = "stop",
    part_size: int = 1024,
    overwrite: bool = False,
    precision: str = "float32",
) -> Embeddings:
    """Embed objects into a ``.safetensors`` or ``.parquet`` file.

    Beside the file, ``<file>.parts`` holds what is finished until the file is complete: the same call goes on from
    there. Under torchrun the processes share the parts, and the first one writes the file.

    Args:
        reid: embeds.
        found: what to embed.
        out: the file.
        on_error: ``stop``, or ``skip`` objects whose images cannot be read; they are listed in ``<file>.failed.csv``.
        part_size: objects in a part.
        overwrite: replace the file and start anew.
        precision: of the model, for the record.

    Raises:
        ValueError: the file is there already; its parts are of other objects or another model; another process embeds
            into it; nothing could be read.
    """
    path = Path(out)
    parts = path.with_name(f"{path.name}.parts")
    plan = _plan(reid, found, on_error, part_size, precision)
    lock = FolderLock(parts)
    first_does(lambda: _lock(path, parts, lock, overwrite))
    try:
        first_does(lambda: _open(parts, plan, overwrite))
        together(lambda: _embed_parts(reid, found, parts, on_error, part_size))
        barrier()
        done = first_does(lambda: _assemble(found, path, parts, part_size))
    finally:
        lock.release()
    first_does(lambda: shutil.rmtree(parts, ignore_errors=True))
    return done


def _plan(reid: Embedder, found: ObjectList, on_error: str, part_size: int, precision: str) -> dict[str, Any]:
    """What two jobs have in common that may share their parts."""
    digest = hashlib.sha256()
    for item in found.objects:
        paths = {name: str(image) for name, image in sorted(item.images.items())}
        digest.update(json.dumps([item.name, item.camera, paths]).encode())
    return {
        "model": reid.model.model_id,
        "objects": digest.hexdigest(),
        "on_error": on_error,
        "part_size": part_size,
        "batch_size": reid.batch_size,
        "precision": precision,
    }


def _lock(path: Path, parts: Path, lock: FolderLock, overwrite: bool) -> None:
    """Keep the folder of the parts for this job, once it is known that the file may be written."""
    check_embeddings_path(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path} is there already; choose another file, or have it replaced with --overwrite")
    try:
        with explained_writes(parts, _REMEDY):
            parts.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except FolderInUse as user:
        raise ValueError(f"{parts} is in use by {user}: wait until it has ended, or choose another file") from None


def _open(parts: Path, plan: dict[str, Any], overwrite: bool) -> None:
    """Take up what an earlier job has left, if it was this one."""
    if plan["part_size"] < 1:
        raise ValueError(f"part size {plan['part_size']} must be at least 1")
    left = [*parts.glob("part-*"), *parts.glob(_PLAN)]
    if overwrite:
        for file in left:
            file.unlink()
    elif (parts / _PLAN).is_file():
        _check_plan(parts, plan)
        logger.info("going on with %s", parts)
    with explained_writes(parts / _PLAN, _REMEDY):
        write_text(parts / _PLAN, json.dumps(plan))


def _check_plan(parts: Path, plan: dict[str, Any]) -> None:
    try:
        theirs = read_json(parts / _PLAN, "a plan", "start anew with --overwrite")
    except ValueError:
        theirs = {}
    differing = [name for name in plan if theirs.get(name) != plan[name]]
    if differing:
        raise ValueError(
            f"{parts}: an unfinished job with other {', '.join(differing)}; finish it as it was begun, or start anew "
            "with --overwrite"
        )


def _embed_parts(reid: Embedder, found: ObjectList, parts: Path, on_error: str, part_size: int) -> None:
    """This process's share of the parts that are not there yet."""
    count = -(-len(found.objects) // part_size)
    mine = [number for number in range(rank(), count, world_size()) if not _part(parts, number).is_file()]
    for number in progress(mine, "embedding parts", len(mine)):
        rows = np.arange(number * part_size, min((number + 1) * part_size, len(found.objects)))
        chosen = [found.objects[row] for row in rows]
        done = join(list(reid.stream(chosen, on_error=on_error)))
        place = {item.name: int(row) for item, row in zip(chosen, rows, strict=True)}
        kept = np.array([place[name] for name in done.names], dtype=np.int64)
        save_embeddings(done, _part(parts, number), {_ROWS: kept})


def _assemble(found: ObjectList, path: Path, parts: Path, part_size: int) -> Embeddings:
    count = -(-len(found.objects) // part_size)
    read = [load_embeddings(_part(parts, number)) for number in range(count)]
    done = join([embeddings for embeddings, _ in read])
    if not len(done):
        raise ValueError(f"none of the {len(found.objects)} objects could be read; first: {done.failed[0][1]}")
    rows = np.concatenate([columns[_ROWS] for _, columns in read])
    save_embeddings(done, path, {name: values[rows] for name, values in found.columns.items()})
    failed = path.with_name(f"{path.name}.failed.csv")
    failed.unlink(missing_ok=True)
    if done.failed:
        names, reasons = zip(*done.failed, strict=True)
        with explained_writes(failed, _REMEDY):
            save_table({"name": np.array(names), "reason": np.array(reasons)}, failed)
        logger.warning("%d objects could not be read and are left out; see %s", len(names), failed)
    return done


def _part(parts: Path, number: int) -> Path:
    return parts / f"part-{number:06d}.safetensors"
