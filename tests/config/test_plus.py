"""The stronger recipes in configs/plus: what their headers say is what they do.

That each is valid, builds its model and takes a step is in ``test_shipped_configs.py``.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from promptreid.config import load_config
from promptreid.config.keys import flatten
from promptreid.methods.base import method_named

FOLDER = Path(__file__).resolve().parents[2] / "configs"
PAPER = {"rgbnt201": "dmpt", "rgbnt100": "dmpt", "msvr310": "dmpt", "sysu_mm01": "mip", "regdb": "mip", "llcm": "mip"}
SWAPPED = {"data.augment.amplitude_swap", "data.augment.visible", "loss.prompt.use_msel", "train.amp"}
CHANGES = {
    "rgbnt201": {"dmpt.preset", "dmpt.sie_weight", "dmpt.prompt_init", "sampler.num_instances", "train.max_epoch"},
    "rgbnt100": {"dmpt.preset", "dmpt.sie_weight", "dmpt.prompt_init", "train.max_epoch"},
    "msvr310": {"dmpt.preset", "dmpt.sie_weight", "dmpt.prompt_init", "train.max_epoch"},
    "sysu_mm01": SWAPPED,
    "regdb": SWAPPED | {"data.augment.amplitude_window"},
    "llcm": SWAPPED,
}


def test_they_are_these() -> None:
    assert {file.stem for file in (FOLDER / "plus").iterdir()} == set(PAPER)


@pytest.mark.parametrize("name", PAPER)
def test_it_differs_from_the_papers_recipe_in_what_its_header_says(name: str) -> None:
    file, method = FOLDER / "plus" / f"{name}.yaml", PAPER[name]
    plain, own = flatten(load_config(FOLDER / method / f"{name}.yaml")), flatten(load_config(file))
    changed = {key for key in own if own[key] != plain[key]} - {"data.save_dir"}
    assert changed == CHANGES[name]
    text = file.read_text()
    if text.find("plus/sysu_mm01, whose header says") >= 0:
        text += (FOLDER / "plus" / "sysu_mm01.yaml").read_text()
    for key in changed:
        last = key.rpartition(".")[2]
        assert re.search(rf"^#   {'visible chain' if last == 'visible' else last} ", text, re.M), key
    assert own["data.save_dir"] == f"log/plus_{name}"


@pytest.mark.parametrize("name", PAPER)
def test_its_header_has_the_preset_at_the_top_and_the_command(name: str) -> None:
    lines = (FOLDER / "plus" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == f"{PAPER[name]}:" and lines[1].startswith("  preset: ")
    header = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    assert "Nobody has run it on real data yet." in header and '"ours, real data" of docs/results.md' in header
    (command,) = [shlex.split(line.lstrip("# ")) for line in lines if line.startswith("#   python tools/train_net.py")]
    assert command[3] == f"configs/plus/{name}.yaml" and command[4:6] == ["--root", "reid-data"]
    assert command[6:8] == (["--splits", "1-10"] if name == "regdb" else ["--seeds", "3"])


@pytest.mark.parametrize("name", [name for name, method in PAPER.items() if method == "dmpt"])
def test_another_preset_may_stand_there(name: str) -> None:
    cfg = load_config(FOLDER / "plus" / f"{name}.yaml", ["dmpt.preset", "dmpt"])
    assert cfg.dmpt.preset == "dmpt" and method_named(cfg.model.name).name == "dmpt"
