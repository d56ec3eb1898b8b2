"""The door: plugins from files, modules and installed packages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import promptreid
from promptreid import Key, Method, Range
from promptreid.config import load_config, plugins, validate
from promptreid.config.sections import all_keys
from promptreid.methods import base
from promptreid.runs.run_log import run_log


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registries and modules as they were before the test."""
    from promptreid import host
    from promptreid.config import sections
    from promptreid.losses import registry

    for place in (base.METHODS, base.MODELS, base._owner, sections._sections, sections._choices, sections._keys,
                  registry.TRAINABLE, host._MODELS, host._ours, promptreid.DATASETS, host._DATASETS):  # fmt: skip
        _undo.append((place, dict(place)))
    known = set(sys.modules)
    monkeypatch.setattr(plugins, "_tried", set())
    monkeypatch.setattr(plugins, "_left_out", [])
    yield
    while _undo:
        place, before = _undo.pop()
        place.clear()
        place.update(before)
    for name in set(sys.modules) - known:
        if name.startswith((plugins._PREFIX, "my_package")):
            del sys.modules[name]


_undo: list[tuple[dict[Any, Any], dict[Any, Any]]] = []

PLUGIN = """
from torch import nn
import promptreid
from promptreid import Key, Method, Range

def build(num_classes, loss="softmax", pretrained=True, use_gpu=True, *, width=2, mode="a"):
    return nn.Linear(width, num_classes)

class Toy(Method):
    name = "{name}"
    models = {{"{name}_small": build}}
    keys = (Key("width", 2, "of the features", range=Range(1)), Key("mode", "a", "which", choices=("a", "b")))

    def contradictions(self, flat):
        if flat["{name}.width"] > 8 and flat["{name}.mode"] == "b":
            yield "{name}.width above 8 with mode b: lower it"

promptreid.register_method(Toy())
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_beside_the_configuration(tmp_path: Path) -> None:
    write(tmp_path / "toy.py", PLUGIN.format(name="toy"))
    config = write(tmp_path / "run.yaml", "plugins: [toy.py]\nmodel: {name: toy_small}\ntoy: {width: 3}\n")
    cfg = load_config(config)
    assert (cfg.toy.width, cfg.plugins) == (3, [str(tmp_path / "toy.py")])
    validate(cfg, models=promptreid.host.model_names())
    again = write(tmp_path / "elsewhere" / "config.yaml", cfg.dump())
    assert load_config(again) == cfg


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"toy.widht": 3}, "unknown key 'toy.widht'; did you mean 'toy.width'?"),
        ({"toy.width": "wide"}, "toy.width: expected int, got 'wide' (str)"),
    ],
)
def test_its_keys_are_checked_as_ours_when_they_are_set(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    plugin = write(tmp_path / "toy.py", PLUGIN.format(name="toy"))
    with pytest.raises(ValueError) as caught:
        load_config(overrides={"plugins": [str(plugin)], **changes})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"toy.width": 0}, "toy.width 0 is out of range: it must be at least 1"),
        ({"toy.mode": "c"}, "toy.mode: unknown name 'c' (one of a, b)"),
        ({"toy.width": 9, "toy.mode": "b"}, "toy.width above 8 with mode b"),
    ],
)
def test_its_keys_are_validated_as_ours(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    plugin = write(tmp_path / "toy.py", PLUGIN.format(name="toy"))
    cfg = load_config(overrides={"plugins": [str(plugin)], "model.name": "toy_small", **changes})
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        validate(cfg)


def test_a_module_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "my_package" / "__init__.py", "")
    write(tmp_path / "my_package" / "reid.py", PLUGIN.format(name="toy"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_config(opts=["plugins", "['my_package.reid']", "toy.width", "5"]).toy.width == 5


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    config = write(tmp_path / "run.yaml", "plugins: [none.py]\n")
    with pytest.raises(FileNotFoundError, match=r"plugins: no file .*none\.py; a relative path is looked for beside"):
        load_config(config)


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"plugins: nowhere\.reid could not be loaded: ModuleNotFoundError"):
        load_config(overrides={"plugins": ["nowhere.reid"]})


def test_a_file_that_fails_is_named_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path / "bad.py", "import no_such_module\n")
    with pytest.raises(ValueError, match=r"plugins: .*bad\.py could not be loaded: ModuleNotFoundError: No module"):
        load_config(overrides={"plugins": [str(tmp_path / "bad.py")]})
    assert "promptreid_plugin_bad" not in sys.modules


def test_two_files_of_one_name(tmp_path: Path) -> None:
    files = [str(write(tmp_path / folder / "toy.py", PLUGIN.format(name=folder))) for folder in ("one", "two")]
    load_config(overrides={"plugins": files[:1]})
    with pytest.raises(ValueError, match=r"two plugins are called toy: .*one.*two.*; rename one"):
        load_config(overrides={"plugins": files})


def test_two_methods_of_one_name(tmp_path: Path) -> None:
    files = [str(write(tmp_path / f"{stem}.py", PLUGIN.format(name="toy"))) for stem in ("one", "two")]
    with pytest.raises(ValueError, match=r"two methods are called 'toy': promptreid_plugin_one\.Toy and"):
        load_config(overrides={"plugins": files})


def test_entry_points_are_loaded_with_a_configuration_and_one_that_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "my_package_good.py", PLUGIN.format(name="toy"))
    write(tmp_path / "my_package_bad.py", "raise RuntimeError('out of order')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint(name, f"my_package_{name}", plugins.GROUP) for name in ("bad", "good")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == plugins.GROUP else [])
    with caplog.at_level(logging.WARNING):
        assert load_config(overrides={"toy.width": 7}).toy.width == 7
    assert "'bad' (my_package_bad) could not be loaded and is left out: RuntimeError: out of order" in caplog.text
    assert caplog.text.count("left out") == 1
    load_config()
    assert caplog.text.count("left out") == 1
    with run_log() as log:
        log.to_file(tmp_path / "log.txt")
    assert (tmp_path / "log.txt").read_text().count("my_package_bad) could not be loaded and is left out") == 1
    assert caplog.text.count("left out") == 1


def method(**settings: Any) -> Method:
    return type("Given", (Method,), settings)()


def good(num_classes: int, loss: str = "softmax", pretrained: bool = True, use_gpu: bool = True) -> nn.Module:
    return nn.Linear(2, num_classes)


def wide(num_classes: int, loss: str, pretrained: bool, use_gpu: bool, width: int) -> nn.Module:
    return nn.Linear(width, num_classes)


def test_a_builder_that_torchreid_could_not_call() -> None:
    def bad(classes: int) -> nn.Module:
        return nn.Linear(2, classes)

    with pytest.raises(ValueError, match=r"builder of 'given_small' cannot be called as build\(num_classes"):
        promptreid.register_method(method(name="given", models={"given_small": bad}))
    assert "given" not in promptreid.METHODS and "given_small" not in promptreid.MODELS


def test_names_that_are_taken() -> None:
    with pytest.raises(ValueError, match="torchreid already has a model named 'resnet50'"):
        own = (Key("width", 1, "a width", range=Range(1)),)
        promptreid.register_method(method(name="given", models={"resnet50": wide}, keys=own))
    assert "given.width" not in all_keys()
    with pytest.raises(ValueError, match=r"the configuration has 'train\.lr' from torchreid already"):
        promptreid.register_method(method(name="train", keys=(Key("lr", 1.0, "a rate"),)))
    with pytest.raises(ValueError, match="use lower-case letters"):
        promptreid.register_method(method(name="My Method"))
    assert "given" not in promptreid.METHODS


def test_registering_again_changes_nothing() -> None:
    own = method(name="given", keys=(Key("width", 1, "a width", range=Range(1)),))
    assert promptreid.register_method(own) is promptreid.register_method(own)
    assert "given.width" in all_keys()


def test_losses() -> None:
    class Loss(nn.Module):
        def __init__(self, scale: float = 1.0) -> None:
            super().__init__()
            self.scale = scale

    promptreid.register_loss("mine", Loss, keys=(Key("scale", 1.0, "a factor", range=Range(0)),))
    promptreid.register_loss("mine", Loss)
    cfg = load_config(overrides={"loss.name": "mine", "loss.mine.scale": 3})
    validate(cfg)
    from promptreid.runs.build import build_criterion

    criterion: Any = build_criterion(cfg, torch.nn.Linear(1, 1))
    assert isinstance(criterion, Loss) and criterion.scale == 3.0
    with pytest.raises(ValueError, match="loss name 'mine' is taken"):
        promptreid.register_loss("mine", nn.Module)
    with pytest.raises(ValueError, match="loss name 'triplet' is taken"):
        promptreid.register_loss("triplet", Loss)
    with pytest.raises(ValueError, match="use lower-case"):
        promptreid.register_loss("My Loss", Loss)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.amp_dtype": "float16"}, "train.amp_dtype (needs train.amp)"),
        ({"train.cosine.cycle": 7}, "train.cosine.cycle (needs train.lr_scheduler=mip_cosine)"),
        ({"test.select_target": "regdb"}, "test.select_target (needs test.select=dev|test)"),
        ({"data.synthetic.ids": 3}, "data.synthetic.ids (needs data.synthetic.like)"),
        (
            {"data.synthetic.ids": 3, "data.synthetic.seed": 5},
            "data.synthetic.ids, data.synthetic.seed (need data.synthetic.like)",
        ),
        ({"sgd.nesterov": True}, "sgd.nesterov (needs train.optim=sgd)"),
        ({"loss.prompt.margin": 1.0}, "loss.prompt.margin (needs loss.name=prompt)"),
        ({"mip.jpm": False, "dmpt.deep": False}, "mip.jpm, dmpt.deep (not read by model.name resnet50 with loss.name"),
        ({"backbone.stride": 8}, "backbone.stride (not read by model.name resnet50"),
        (
            {"model.name": "dmpt_vit_base_patch16", "backbone.drop_path": 0.5},
            "backbone.drop_path (not read by model.name",
        ),
    ],
)
def test_keys_without_effect_are_told_once(
    changes: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        validate(load_config(overrides=changes))
    assert caplog.text.count("keys without effect: ") == 1
    assert message in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train.amp": True, "train.amp_dtype": "float16"},
        {"model.name": "mip_vit_tiny_patch16", "backbone.stride": 8, "backbone.vit.depth": 2, "mip.jpm": False},
        {"model.name": "vit_tiny_patch16_reid", "backbone.stride": 8, "baselines.jpm": True},
        {"model.name": "dmpt_vit_base_patch16", "backbone.stride": 8, "dmpt.deep": False},
    ],
)
def test_no_word_about_keys_that_are_read(changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        validate(load_config(overrides=changes))
    assert not caplog.text


def test_a_builder_that_does_not_take_its_own_keys() -> None:
    keys = (Key("rank", 1, "a rank", range=Range(1)),)
    with pytest.raises(ValueError, match=r"cannot be called as build\(num_classes.*rank\): got an unexpected.*'rank'"):
        promptreid.register_method(method(name="given", models={"given_small": good}, keys=keys))


def test_a_builder_that_wants_more_than_it_gets() -> None:
    with pytest.raises(ValueError, match="missing a required argument: 'width'"):
        promptreid.register_method(method(name="given", models={"given_small": wide}))


def test_a_plugin_that_exits_is_named(tmp_path: Path) -> None:
    plugin = write(tmp_path / "leaves.py", "import sys\nsys.exit(3)\n")
    with pytest.raises(ValueError, match=r"plugins: .*leaves\.py could not be loaded: SystemExit: 3"):
        load_config(overrides={"plugins": [str(plugin)]})


def test_a_file_that_a_plugin_misses_is_told_as_the_plugins(tmp_path: Path) -> None:
    plugin = write(tmp_path / "opens.py", "open('nofile.txt')\n")
    with pytest.raises(ValueError, match=r"plugins: .*opens\.py could not be loaded: FileNotFoundError: .*nofile"):
        load_config(overrides={"plugins": [str(plugin)]})


def test_two_packages_with_an_entry_point_of_one_name_are_both_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in ("one", "two"):
        write(tmp_path / f"my_package_{number}.py", PLUGIN.format(name=f"toy_{number}"))
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint("reid", f"my_package_{number}", plugins.GROUP) for number in ("one", "two")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    cfg = load_config()
    assert (cfg.toy_one.width, cfg.toy_two.width) == (2, 2)
