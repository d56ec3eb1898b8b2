"""A row of a published table as a folder: ``row.json``, ``config.yaml`` and ``queries.npz``."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from promptreid.config.keys import flatten
from promptreid.evaluation.tables import Columns
from promptreid.files import atomic_write, write_text

FORMAT = 1
"""Raise it whenever a reader of the former one would misunderstand."""
RECORD, CONFIG, QUERIES = "row.json", "config.yaml", "queries.npz"
CHANGED = "-dirty"
"""Behind a commit: files of the code or of the configurations were changed, or there were new ones."""
ARRAYS = {
    "AP": np.float32, "world": np.int32, "seed": np.int32, "test": np.int16, "trial": np.int16, "query": np.int32,
}  # fmt: skip
"""Arrays of ``queries.npz``, all of one length; ``test`` is a place in the record's ``tests``."""


@dataclass(frozen=True)
class RunRecord:
    """One run under one protocol, or under one condition of missing modalities. Scores are in [0, 1].

    Attributes:
        world: seed of what was rendered.
        seed: of the training; 0 where nothing was trained.
        protocol: its name.
        condition: its name; empty where nothing is missing on purpose.
        selection: how the weights were chosen.
        mAP, rank1: what came out.
        queries: outcomes that :data:`QUERIES` holds of it, over all trials.
        digest: SHA-256 of these, see :func:`digest_of`.
    """

    world: int
    seed: int
    protocol: str
    condition: str
    selection: str
    mAP: float
    rank1: float
    queries: int
    digest: str

    @property
    def test(self) -> str:
        """What its queries' outcomes are filed under."""
        return self.condition or self.protocol


@dataclass(frozen=True)
class RowRecord:
    """A row with everything that it rests on.

    Attributes:
        format: :data:`FORMAT`.
        table: name of the table.
        key: of the row, and its folder's name.
        name: what the table calls it.
        against: key of the row that it is compared with; the table's reference when empty.
        trained: whether there was anything to train.
        overrides: what the row is about, by dotted key.
        worlds, seeds: of its runs; no seeds where nothing was trained.
        runs: by world, seed and protocol.
        tests: names that the ``test`` of a query's outcome stands for.
        costs: ``trained_parameters``, ``kept_bytes`` per image, and ``step_seconds``, which may be None.
        commits: at which it was trained, with ``-dirty`` where files were changed.
        environment: of each kind of machine or of versions that its runs saw, at least one.
        renderer: version of what rendered the images; None where nothing did.
        queries_sha256: of the file :data:`QUERIES`.
        settings: the configuration by dotted key, from :data:`CONFIG`.
        queries: the arrays of :data:`ARRAYS`.
    """

    format: int
    table: str
    key: str
    name: str
    against: str
    trained: bool
    overrides: dict[str, Any]
    worlds: list[int]
    seeds: list[int]
    runs: list[RunRecord]
    tests: list[str]
    costs: dict[str, float | None]
    commits: list[str]
    environment: list[dict[str, Any]]
    renderer: int | None
    queries_sha256: str
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    queries: Columns = field(default_factory=dict, repr=False)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it
_IN_FILE = [entry.name for entry in fields(RowRecord) if entry.name not in ("settings", "queries")]
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "int | None": (int, type(None)),
}  # fmt: skip


def digest_of(columns: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the outcomes of one run under one protocol, whatever their order: trial, query and AP of each."""
    order = np.lexsort((columns["query"], columns["trial"]))
    digest = hashlib.sha256()
    for name, kind in (("trial", "<i4"), ("query", "<i4"), ("AP", "<f4")):
        digest.update(np.ascontiguousarray(columns[name][order], dtype=kind).tobytes())
    return digest.hexdigest()


def pack_queries(queries: Mapping[str, np.ndarray]) -> bytes:
    """The content of :data:`QUERIES`, the same bytes for the same arrays."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(queries[name], kind) for name, kind in ARRAYS.items()}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write_row(folder: Path, record: RowRecord, config: str) -> None:
    """Write the three files of a row; ``row.json`` is last, so that a folder with one is complete.

    Args:
        folder: of the row.
        record: whose ``queries_sha256`` is that of its packed ``queries``.
        config: the row's configuration as YAML.
    """
    (folder / RECORD).unlink(missing_ok=True)
    with atomic_write(folder / QUERIES) as file:
        file.write(pack_queries(record.queries))
    write_text(folder / CONFIG, config)
    content = {name: value for name, value in asdict(record).items() if name in _IN_FILE}
    write_text(folder / RECORD, _json(content))


def read_row(folder: Path) -> RowRecord:
    """What :func:`write_row` wrote, checked.

    Raises:
        ValueError: a file that is missing, does not parse, lacks a field or has one of another type, or is of another
            format; or outcomes of queries that are not those which the record was written with.
    """
    path = folder / RECORD
    content = read_json(path)
    missing = [name for name in _IN_FILE if name not in content]
    if missing:
        raise ValueError(f"{path}: field {missing[0]!r} is missing; write the row again with promptreid table")
    if content["format"] != FORMAT:
        raise ValueError(f"{path}: format {content['format']!r}, read is {FORMAT}; write the row again")
    if content["key"] != folder.name:
        raise ValueError(f"{path}: key {content['key']!r} in the folder {folder.name!r}; give both one name")
    for entry in fields(RowRecord):
        _check_kind(path, entry.name, content.get(entry.name), str(entry.type))
    runs = [_run_of(path, number, run) for number, run in enumerate(content["runs"])]
    if not runs:
        raise ValueError(f"{path}: runs is empty; a row needs at least one")
    queries = _read_queries(folder / QUERIES, content["queries_sha256"])
    settings = _read_settings(folder / CONFIG)
    record = RowRecord(
        **{**{name: content[name] for name in _IN_FILE}, "runs": runs}, settings=settings, queries=queries
    )
    _check_runs(path, record)
    return record


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ValueError: no such file, or something else in it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; write it again with promptreid table") from None
    except ValueError as error:
        raise ValueError(f"{path}: no JSON ({error}); restore it, or write it again with promptreid table") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object with fields, got {type(content).__name__}; write it again")
    return content


def _json(content: Mapping[str, Any]) -> str:
    """Indented, with a line for each run, so that a change is seen as one."""
    runs: Sequence[Mapping[str, Any]] = content["runs"]
    lines = ",\n".join(f"  {json.dumps(run)}" for run in runs)
    text = json.dumps({**content, "runs": "RUNS"}, indent=1, ensure_ascii=False)
    return text.replace('"RUNS"', f"[\n{lines}\n ]") + "\n"


def _run_of(path: Path, number: int, run: Any) -> RunRecord:
    names = [entry.name for entry in fields(RunRecord)]
    missing = [name for name in names if not isinstance(run, Mapping) or name not in run]
    if missing:
        raise ValueError(f"{path}: runs[{number}] has no field {missing[0]!r}; write the row again")
    for entry in fields(RunRecord):
        _check_kind(path, f"runs[{number}].{entry.name}", run[entry.name], str(entry.type))
    return RunRecord(**{name: run[name] for name in names})


def _check_kind(path: Path, name: str, value: Any, kind: str) -> None:
    if kind not in _KINDS:
        wanted: tuple[type, ...] = (list,) if kind.startswith("list") else (dict,)
        if name in ("settings", "queries"):
            return
    else:
        wanted = _KINDS[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise ValueError(f"{path}: {name} is {value!r}, expected {kind}; write the row again")


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; write the row again with promptreid table") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({error}); write the row again") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: expected keys with values; write the row again")
    return flatten(tree)


def _read_queries(path: Path, digest: str) -> Columns:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; write the row again with promptreid table")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ValueError(
            f"{path}: its SHA-256 is {found[:12]}…, in {RECORD} {str(digest)[:12]}…: it was changed, or is of another "
            "row; restore both, or write the row again"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ARRAYS}


def _check_runs(path: Path, record: RowRecord) -> None:
    """Each run has its outcomes, and there is one for each world and seed."""
    queries = record.queries
    for run in record.runs:
        place = record.tests.index(run.test) if run.test in record.tests else -1
        own = (queries["world"] == run.world) & (queries["seed"] == run.seed) & (queries["test"] == place)
        if int(own.sum()) != run.queries:
            raise ValueError(
                f"{path}: world {run.world}, seed {run.seed}, {run.test}: {run.queries} outcomes of queries, and "
                f"{int(own.sum())} in {QUERIES}; write the row again"
            )
    pairs = {(run.world, run.seed) for run in record.runs}
    wanted = {(world, seed) for world in record.worlds for seed in record.seeds or (0,)}
    if pairs != wanted:
        world, seed = min(pairs ^ wanted)
        raise ValueError(f"{path}: world {world}, seed {seed} is only in one of worlds, seeds and runs; write it again")
