"""The examples, as a reader would run them: a plugin on the command line of ``train_net.py``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import python
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SMALL = [
    "data.height", "32", "data.width", "16", "data.workers", "0", "train.max_epoch", "2", "train.batch_size", "24",
    "train.print_freq", "2", "test.batch_size", "256", "backbone.vit.depth", "2", "backbone.vit.embed_dim", "16",
    "backbone.vit.num_heads", "2", "backbone.stride", "8",
]  # fmt: skip


def train(plugin: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    words = ("--config-file", EXAMPLES / "own.yaml", *SMALL, "plugins", f"['{EXAMPLES / plugin}']", *options)
    return python(ROOT / "tools" / "train_net.py", *words)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.name)
def test_each_is_one_short_file(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 60


@pytest.mark.slow
def test_own_data_set(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    (tmp_path / "corridor").mkdir()
    for person in range(16):
        for number in range(4):
            for camera, band in ((0, "visible"), (1, "visible"), (2, "infrared"), (3, "infrared")):
                pixels = draw.integers(0, 256, (32, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "corridor" / f"{person}_{camera}_{band}_{number}.png")
    run = tmp_path / "run"
    done = train("own_data_set.py", "--root", tmp_path, "data.sources", "['corridor']", "data.targets",
                 "['corridor']", "data.save_dir", run)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((run / "results-corridor.json").read_text())
    assert record["results"][0]["protocol"] == "corridor infrared-visible"
    assert record["results"][0]["num_valid"] == 8 * 2 * 4


@pytest.mark.slow
def test_own_loss(small_root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train("own_loss.py", "--root", small_root, "loss.name", "circle", "loss.circle.margin", "0.3",
                 "data.save_dir", run)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert first["identity"] > 0 and first["circle"] > 0
    assert "margin: 0.3" in (run / "config.yaml").read_text()
    done = train("own_loss.py", "loss.name", "circle", "loss.circle.margn", "0.3", "data.save_dir", tmp_path / "typo")
    assert done.returncode == 2
    assert "unknown key 'loss.circle.margn'; did you mean 'loss.circle.margin'?" in done.stderr
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_a_table_runs_the_own_method(small_root: Path, tmp_path: Path) -> None:
    done = python("-m", "promptreid", "table", EXAMPLES / "own_table.yaml", "--seeds", 1, "--out", tmp_path,
                  "--root", small_root, *SMALL, "data.width", 32, "train.max_epoch", 1,
                  "train.stepsize", "[1]")  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "plain ViT" in done.stdout and "low-rank" in done.stdout
    written = (tmp_path / "runs" / "own" / "low_rank" / "seed-1" / "config.yaml").read_text()
    assert "rank: 8" in written and str(EXAMPLES / "own_method.py") in written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: {a: {config: own.yaml, name: A, sett: {}}}", r"rows\.a: unknown key 'sett'; did you mean 'set'"),
        ("rows: {a: {name: A}}", r"rows\.a: config is missing"),
        ("rows: {a: {config: none.yaml}}", r"none\.yaml: no such file"),
        ("title: nothing", "rows is empty"),
        ("rows: {vit: {config: own.yaml, against: vitt}}", r"rows\.vit: against 'vitt' is no row; did you mean 'vit'"),
        ("rows: {vit: {config: own.yaml}}\nreference: b", r"reference 'b' is no row \(one of vit\)"),
        ("row: {}", r"unknown key 'row'; did you mean 'rows'"),
        ("rows: {a: {config: own.yaml}}\nplugins: [none.py]", r"plugins: no file .*none\.py"),
    ],
)
def test_a_table_with_a_mistake_names_it(text: str, message: str, tmp_path: Path) -> None:
    from promptreid.runs.tables.definitions import find_table

    (tmp_path / "own.yaml").write_text("train: {seed: 1}\n")
    (tmp_path / "table.yaml").write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_table(str(tmp_path / "table.yaml"))


@pytest.mark.slow
def test_own_method(small_root: Path, tmp_path: Path) -> None:
    run, own = tmp_path / "run", ("model.name", "low_rank_vit_tiny", "data.height", "32", "data.width", "32")
    done = train("own_method.py", "--root", small_root, *own, "low_rank.rank", "2", "data.save_dir", run)
    assert done.returncode == 0, done.stderr[-3000:]
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert first["identity"] > 0 and first["triplet"] > 0
    assert b"Prompts/gradient/low_rank" in b"".join(file.read_bytes() for file in run.glob("events*"))
    done = train("own_method.py", *own, "low_rank.rnak", "2", "data.save_dir", tmp_path / "typo")
    assert (done.returncode, "did you mean 'low_rank.rank'?" in done.stderr) == (2, True)
    done = train("own_method.py", *own, "low_rank.rank", "0", "data.save_dir", tmp_path / "zero")
    assert (done.returncode, "low_rank.rank 0 is out of range" in done.stderr) == (2, True)
    before = (run / "metrics.jsonl").read_text()
    (run / "model" / "model.pth.tar-2").unlink()  # as if it had been killed in the second epoch
    done = train("own_method.py", "--root", small_root, *own, "low_rank.rank", "2", "data.save_dir", run, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (run / "metrics.jsonl").read_text() == before
