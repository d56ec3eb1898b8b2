"""The small files of a run's folder, packs, event files, locks, and the names of a data set's files."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from tests.fuzz.outcome import Target
from tests.fuzz.source import Source

from promptreid.data.packing import Pack
from promptreid.datasets import llcm, market_mm, msvr310, rgbnt100, rgbnt201, sysu_mm01, wmveid863
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.metrics_log import MetricsLog
from promptreid.engine.checkpoints.position import Position
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.loggers.event_files import cut_events
from promptreid.files import LOCK, user_of
from promptreid.retrieval.trained import results_beside
from promptreid.runs.evaluate_several import evaluate_several
from promptreid.runs.splits_and_seeds import selections, summarise
from promptreid.visual.report.run_files import read_runs

RESULT = {"protocol": "sysu", "mAP": 0.5, "mINP": 0.25, "rank": {"1": 0.5}}
RECORD: dict[str, Any] = {"dataset": "sysu_mm01", "results": [RESULT], "selection": "last", "epoch": 2}


def results(folder: Path, content: bytes) -> object:
    """``results-*.json`` of a run, as a report, a table of several runs and a model's card read it."""
    (folder / "config.yaml").write_text("model: {name: mip_vit_tiny_patch16}\n")
    (folder / "results-sysu.json").write_bytes(content)
    read_runs([folder])
    selections([folder])
    return summarise([folder]), results_beside(folder)


def made_results(folder: Path, content: bytes) -> object:
    """The same, altered."""
    return results(folder, json.dumps(Source(content).altered(RECORD)).encode())


def metrics(folder: Path, content: bytes) -> object:
    """``metrics.jsonl``, read and cut."""
    log = MetricsLog(folder / "metrics.jsonl")
    log.path.write_bytes(content)
    found = log.records()
    log.cut(Position(1, 2, 3))
    return found


def recorded(folder: Path, content: bytes) -> object:
    """``splits.json`` and ``seeds.json``, before trainings of several are tested."""
    for name in ("splits.json", "seeds.json"):
        (folder / name).write_bytes(content)
    return evaluate_several(folder)


def pack(folder: Path, content: bytes) -> object:
    """The index of a pack."""
    np.save(folder / "p.npy", np.zeros((1, 2, 2, 3), np.uint8))
    (folder / "p.json").write_bytes(content)
    found = Pack(folder / "p.npy", str(folder))
    found.check([], 2, 2, "bilinear")
    return found


def lock(folder: Path, content: bytes) -> object:
    """The file by which a process has locked a folder."""
    (folder / LOCK).write_bytes(content)
    return user_of(folder)


def events(folder: Path, content: bytes) -> object:
    """TensorBoard's event files, cut."""
    (folder / "events.out.tfevents.1.a").write_bytes(content)
    return cut_events(folder, Position(1, 2, 3))


def names(folder: Path, content: bytes) -> object:
    """Files and folders of any names in the layout of a data set."""
    source = Source(content)
    read, layout, name = source.choice(LAYOUTS)
    shutil.rmtree(folder / "set", ignore_errors=True)
    for parts in itertools.product(*layout):
        place = folder.joinpath("set", *parts)
        place.mkdir(parents=True)
        (place / name).touch()
    for _ in range(source.number(1, 4)):
        parts = tuple(_name(source, part[0]) if source.once_in(9) else source.choice(part) for part in layout)
        path = folder.joinpath("set", *parts, _name(source, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / ("model.pth.tar-" + _safe(source.text()))).touch()
    checkpoint.checkpoints(folder / "model")
    RunFolder(folder).parts()
    return read(folder / "set")


def _name(source: Source, name: str) -> str:
    """A valid name with a few of its characters others."""
    letters = list(name)
    for _ in range(source.number(0, 3)):
        place = source.number(0, len(letters) - 1)
        letters[place] = source.choice(
            ("", "0", "9", "-", "_", "c", "٣", "²", "\n", "é", " ", ".", "9" * 60, letters[place] * 2)
        )
    return _safe("".join(letters))


def _safe(text: str) -> str:
    """What a file may be called."""
    kept = text.replace("/", "").replace("\0", "").encode("utf-8", "surrogateescape" if text.isascii() else "replace")
    return kept[:200].decode("utf-8", "ignore").strip(".") or "a"


BANDS = ("RGB", "NI", "TI")
LAYOUTS: list[tuple[Any, tuple[Any, ...], str]] = [
    (rgbnt201.read, (("train_171", "test"), BANDS), "000287_cam1_0_05.jpg"),
    (market_mm.read, (("train", "query", "gallery"), BANDS), "0002_c1s1_000451_03.jpg"),
    (wmveid863.read, (("train", "query", "test"), ("0406",), ("vis", "ni", "th")), "v7_n0_s999_004.jpg"),
    (
        msvr310.read,
        (("bounding_box_train", "query3", "bounding_box_test"), ("0019",), ("vis", "ni", "th")),
        "0019_s012_v0_000.jpg",
    ),
    (rgbnt100.read, (("bounding_box_train", "query", "bounding_box_test"),), "0548_c0002_000.jpg"),
    (
        lambda folder: sysu_mm01.scan(folder, [1, 2], range(1, 7)),
        (("cam1", "cam3", "CAM3"), ("0001", "1", "2")),
        "0001.jpg",
    ),
    (
        lambda folder: llcm.scan(folder, [1, 2], "visible"),
        (("cam1", "cam10", "camx"), ("0001", "1")),
        "0001_c01_s1.jpg",
    ),
]


def _event_seeds() -> list[bytes]:
    import tempfile

    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(folder)
        for step in range(4):
            writer.add_scalar("Train/loss", 0.5, step)
        writer.close()
        return [path.read_bytes() for path in Path(folder).iterdir()]


JSON = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"a": ',
    b"null",
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b'"epoch": ',
    b'"step": ',
    b'"results": ',
    b"\n",
    b"\xff",
    b"[" * 5000,
)
PACK = {
    "version": 1,
    "height": 2,
    "width": 2,
    "interpolation": "bilinear",
    "library": "x",
    "files": [["a.jpg", 1, 2, "a"]],
}
LOCKED = {"process": 1, "host": "a", "since": "now"}

TARGETS = [
    Target("results", results, lambda: [json.dumps(RECORD).encode(), b"[]", b"\xff", b"[" * 9000], JSON),
    Target("made_results", made_results, lambda: [bytes(8)]),
    Target(
        "metrics", metrics, lambda: [b'{"epoch": 1, "step": 2}\n{"epoch": 3}\n', b"[" * 9000 + b"\n", b"\xff\n"], JSON
    ),
    Target(
        "recorded", recorded, lambda: [b'{"splits": [1], "seeds": [0, 1]}', b"[]", b'{"splits": 3}', b"[" * 9000], JSON
    ),
    Target(
        "pack",
        pack,
        lambda: [json.dumps(PACK).encode(), json.dumps({**PACK, "files": [1]}).encode(), b"[" * 9000],
        JSON,
    ),
    Target(
        "lock",
        lock,
        lambda: [json.dumps(LOCKED).encode(), json.dumps({**LOCKED, "process": "x"}).encode(), b"[" * 9000],
        JSON,
    ),
    Target("events", events, _event_seeds, (b"brain.Event:2", b"Train/loss")),
    Target("names", names, lambda: [bytes(8)]),
]
