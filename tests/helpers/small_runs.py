"""A training that takes a second, and what two runs that did the same must have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "configs" / "mip" / "quickstart.yaml"
SMALL = {
    "data.synthetic.like": "", "data.workers": 0, "data.height": 32, "data.width": 16, "backbone.vit.depth": 2,
    "backbone.vit.embed_dim": 16, "backbone.vit.num_heads": 2, "mip.prompt_length": 2, "backbone.stride": 4,
    "backbone.drop_path": 0.2,
    "train.max_epoch": 2, "train.warmup_epochs": 1, "train.batch_size": 24, "train.print_freq": 2,
    "train.tensorboard.pictures": False,  # which tests/engine/test_run_watch.py looks at
    "test.protocols": ["sysu-python indoor 1-shot"], "test.batch_size": 256,
}  # fmt: skip


def small_config(root: Path, save_dir: Path, **changes: Any) -> Any:
    """Two epochs of a small MIP on a rendered SYSU-MM01 at ``root``, with drop path and random augmentation."""
    return load_config(
        QUICKSTART, overrides={"data.root": str(root), "data.save_dir": str(save_dir), **SMALL, **changes}
    )


def newest(save_dir: Path) -> dict[str, Any]:
    return checkpoint.load_newest(save_dir / "model")[1]


def leaves(tree: Any, name: str = "") -> dict[str, Any]:
    """Every value in nested dicts, lists and tuples, by its path."""
    if isinstance(tree, dict | list | tuple):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {path: leaf for key, value in items for path, leaf in leaves(value, f"{name}/{key}").items()}
    return {name: tree}


def differing(first: Any, second: Any) -> list[str]:
    """The paths under which two trees differ; tensors are compared bit for bit."""
    a, b = leaves(first), leaves(second)
    return sorted({*a} ^ {*b}) + [name for name in a if name in b and not same(a[name], b[name])]


def same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b


def results(save_dir: Path) -> dict[str, Any]:
    """All results files without their times."""
    files = {file.name: json.loads(file.read_text()) for file in sorted(save_dir.glob("results-*.json"))}
    return {name: {**record, "time": ""} for name, record in files.items()}


def assert_same_run(first: Path, second: Path) -> None:
    """Weights, optimiser, random states, losses and results are equal, bit for bit."""
    states = [{**newest(folder), "config": "", "versions": {}} for folder in (first, second)]
    found = differing(*states)
    assert not found, found
    assert (first / "metrics.jsonl").read_text() == (second / "metrics.jsonl").read_text()
    assert results(first) == results(second) != {}
