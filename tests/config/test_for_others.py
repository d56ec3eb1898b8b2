"""Configurations in files that are handed to others."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from promptreid.config import dump_config, load_config
from promptreid.config.for_others import without_paths
from promptreid.config.keys import flatten

CHANGES = {
    "model.name": "mip_vit_base", "model.load_weights": "/home/me/w.pth", "model.resume": "log/x/model",
    "data.root": "/data", "data.save_dir": "thesis/secret", "data.table": "mine/rows.csv", "data.pack": "p.pack",
    "data.height": 64, "data.norm_mean": [0.1, 0.2, 0.3], "data.sources": ["regdb"], "data.targets": ["regdb", "llcm"],
    "backbone.weights": "weights/vit.pth", "mip.prompt_length": 3, "test.protocols": ["regdb-split-1 a/b"],
}  # fmt: skip


def test_folders_go_and_everything_else_stays() -> None:
    cfg = load_config(overrides=CHANGES)
    before, after = (flatten(yaml.safe_load(text)) for text in (dump_config(cfg), without_paths(dump_config(cfg))))
    assert list(before) == list(after)
    assert {key: after[key] for key in after if after[key] != before[key]} == {
        "model.load_weights": "", "model.resume": "", "data.root": "reid-data", "data.save_dir": "log",
        "data.table": "", "data.pack": "", "backbone.weights": "vit.pth",
    }  # fmt: skip
    again = load_config(overrides=after)
    assert again.mip == cfg.mip and again.backbone.weights == "vit.pth" and again.test == cfg.test


@pytest.mark.parametrize(
    ("key", "value", "left"),
    [
        (
            "plugins",
            ["my_package.reid", "/home/me/my_reid.py", "other.py"],
            ["my_package.reid", "my_reid.py", "other.py"],
        ),
        ("plugins", ["folder/mine.py"], ["mine.py"]),
        ("toy.words", "/home/me/words.txt", "words.txt"),
        ("toy.words", "~/words.txt", "words.txt"),
        ("toy.words", "C:\\Users\\me\\words.txt", "words.txt"),
        ("toy.weights", "C:\\me\\w.pth", "w.pth"),
        ("backbone.name", "hf-hub:timm/vit_tiny", "hf-hub:timm/vit_tiny"),
        ("toy.sentence", "a photo of a person / vehicle", "a photo of a person / vehicle"),
        ("toy.rate", 0.5, 0.5),
        ("toy.none", None, None),
    ],
)
def test_files_keep_their_name_alone(key: str, value: Any, left: Any) -> None:
    tree: Any = value
    for name in reversed(key.split(".")):
        tree = {name: tree}
    assert flatten(yaml.safe_load(without_paths(yaml.safe_dump(tree)))) == {key: left}


def test_a_checkpoint_without_a_configuration_has_none() -> None:
    assert without_paths("") == ""
