"""What a test takes from a checkpoint: the rows of its cameras, and the configuration of its training."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from every_data_set import remove_train
from small_runs import newest, small_config

from promptreid.config import load_config
from promptreid.config.keys import flatten
from promptreid.data.manager import ModalDataManager
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.runs.run import run
from promptreid.synthetic import FOLDERS, write_tree

VI = ("sysu_mm01", "regdb", "llcm")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small SYSU-MM01 (6 cameras), RegDB (2) and LLCM (9); read only."""
    folder = tmp_path_factory.mktemp("several")
    for name in VI:
        write_tree(name, folder / FOLDERS[name], ids=12, seed=3, frames=2, size=(32, 16))
    return folder


def manager(root: Path, sources: list[str], targets: list[str]) -> ModalDataManager:
    return ModalDataManager(root=str(root), sources=sources, targets=targets, height=32, width=16, workers=0,
                            batch_size_train=4, batch_size_test=500, use_gpu=False)  # fmt: skip


def cameras(data: Any, target: str) -> set[int]:
    loaders = data.test_loader[target].values()
    return {int(camera) for loader in loaders for batch in loader for camera in batch["img"]["camera"]}


@pytest.mark.parametrize(
    ("sources", "target", "rows"),
    [
        (["sysu_mm01"], "sysu_mm01", set(range(6))),
        (["sysu_mm01"], "sysu_mm01_indoor", {0, 1, 2, 5}),
        (["sysu_mm01", "regdb"], "regdb", {6, 7}),
        (["regdb", "sysu_mm01"], "regdb", {0, 1}),
        (["regdb", "sysu_mm01"], "sysu_mm01", set(range(2, 8))),
        (["sysu_mm01"], "regdb", {-1}),
        (["sysu_mm01"], "llcm", {-1}),
    ],
)
def test_a_test_camera_has_the_row_of_its_training(root: Path, sources: list[str], target: str, rows: set[int]) -> None:
    assert cameras(manager(root, sources, [target]), target) == rows


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on SYSU-MM01 and RegDB."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    cfg = small_config(root, folder, **{"data.sources": ["sysu_mm01", "regdb"], "train.max_epoch": 1,
                                        "train.warmup_epochs": 0, "test.protocols": []})  # fmt: skip
    run(cfg)
    return folder


def evaluate(trained: Path, **changes: Any) -> Any:
    return run(load_config(trained / "config.yaml", overrides=changes), eval_only=True)


def test_the_checkpoint_says_whose_cameras_it_knows(trained: Path) -> None:
    rows = {"SYSUMM01": 0, "RegDB": 6}
    assert newest(trained)["data"]["camera_rows"] == rows
    assert newest(trained)["data"]["modalities"] == ["visible", "infrared"]
    about = checkpoint.about_weights(trained / "model" / "model.safetensors")
    assert '"RegDB": 6' in about["data"] and "embed_dim: 16" in about["config"]


def test_weights_that_are_handed_on_name_no_folder(trained: Path, root: Path) -> None:
    texts = [checkpoint.about_weights(path)["config"] for path in (trained / "model").glob("*.safetensors")]
    assert texts
    for text in texts:
        assert str(root) not in text and str(trained) not in text
        assert not differing_keys(text, newest(trained)["config"]) - {"data.root", "data.save_dir"}


def differing_keys(first: str, second: str) -> set[str]:
    one, other = (flatten(yaml.safe_load(text)) for text in (first, second))
    assert one.keys() == other.keys()
    return {key for key in one if one[key] != other[key]}


@pytest.mark.parametrize("weights", ["model.safetensors", "model.pth.tar-1"])
def test_weights_bring_their_rows(trained: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tested with the sources in another order, the images are looked up as the training had them."""
    seen: set[int] = set()
    from promptreid.models.sie import SideInformation

    original = SideInformation.forward
    monkeypatch.setattr(SideInformation, "forward", lambda self, ids: seen.update(ids.tolist()) or original(self, ids))
    changes = {"data.sources": ["regdb", "sysu_mm01"], "data.targets": ["regdb"], "data.save_dir": str(tmp_path / "t"),
               "model.load_weights": str(trained / "model" / weights)}  # fmt: skip
    evaluate(trained, **changes)
    assert seen == {6, 7}


def test_a_set_that_was_not_trained_on_is_told(trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    changes = {"data.targets": ["llcm"], "data.save_dir": str(tmp_path / "t"), "model.load_weights": str(trained)}
    with caplog.at_level(logging.WARNING):
        evaluate(trained, **changes)
    told = [record.message for record in caplog.records if "neutral camera embedding" in record.message]
    assert told == [
        "the cameras of LLCM are not among those of the training (SYSUMM01, RegDB): their images get the neutral "
        "camera embedding"
    ]


def test_a_checkpoint_of_before_loads_with_a_warning_where_it_matters(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = tmp_path / "model.pth.tar-1"
    torch.save({key: value for key, value in newest(trained).items() if key != "data"}, old)
    changes = {"data.save_dir": str(tmp_path / "t"), "model.load_weights": str(old)}
    with caplog.at_level(logging.WARNING):
        evaluate(trained, **changes)
        assert "does not say which cameras" not in caplog.text
        evaluate(trained, **{**changes, "data.targets": ["llcm"]})
    assert "does not say which cameras it was trained on; they are taken to be those of data.sources" in caplog.text


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"data.norm_mean": [0.4, 0.4, 0.4]}, r"data\.norm_mean: \[0\.5, 0\.5, 0\.5\], now \[0\.4"),
        ({"mip.sie_weight": 1.0}, r"mip\.sie_weight: 3\.0, now 1\.0"),
        ({"backbone.vit.num_heads": 4}, r"backbone\.vit\.num_heads: 2, now 4"),
        ({"backbone.stride": 2}, r"backbone\.stride: 4, now 2"),
        ({"mip.after_bn": True}, r"mip\.after_bn: False, now True"),
        ({"data.width": 32}, r"data\.width: 16, now 32"),
    ],
)
@pytest.mark.parametrize("weights", ["", "model.safetensors"])
def test_another_configuration_than_the_trainings_is_refused(
    trained: Path, changes: dict[str, Any], named: str, weights: str, tmp_path: Path
) -> None:
    file = {"model.load_weights": str(trained / "model" / weights)} if weights else {}
    with pytest.raises(ValueError, match=rf"trained with another configuration \({named}.*test\.allow_differences"):
        evaluate(trained, **changes, **file)


def test_it_is_tested_where_the_user_says_so(trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    meant = {"mip.after_bn": True, "test.allow_differences": True, "data.save_dir": str(tmp_path / "t"),
             "model.load_weights": str(trained)}  # fmt: skip
    with caplog.at_level(logging.WARNING):
        evaluate(trained, **meant)
    assert "tested with another configuration than trained with: mip.after_bn: False, now True" in caplog.text


def test_what_changes_no_descriptor_may_differ(trained: Path, tmp_path: Path) -> None:
    free = {"data.workers": 1, "train.lr": 0.5, "test.batch_size": 7, "loss.prompt.margin": 0.2, "train.max_epoch": 9,
            "data.save_dir": str(tmp_path / "t"), "model.load_weights": str(trained)}  # fmt: skip
    evaluate(trained, **free)


@pytest.mark.parametrize("weights", ["", "model.safetensors", "model.pth.tar-1"])
def test_a_test_needs_none_of_the_sources_images(trained: Path, root: Path, weights: str, tmp_path: Path) -> None:
    """Elsewhere there is LLCM alone: the scores are those that the whole data give."""
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / FOLDERS["llcm"]).symlink_to(root / FOLDERS["llcm"])
    changes = {"data.targets": ["llcm"], "model.load_weights": str(trained / "model" / weights if weights else trained)}
    here = evaluate(trained, **changes, **{"data.save_dir": str(tmp_path / "here")})
    there = evaluate(trained, **changes, **{"data.save_dir": str(tmp_path / "there"), "data.root": str(alone)})
    assert [result.mAP for result in there["llcm"]] == [result.mAP for result in here["llcm"]]


def test_extraction_needs_them_no_more(trained: Path, root: Path, tmp_path: Path) -> None:
    from promptreid.retrieval.extraction import extract

    (tmp_path / FOLDERS["llcm"]).symlink_to(root / FOLDERS["llcm"])
    cfg = load_config(
        trained / "config.yaml",
        overrides={"data.targets": ["llcm"], "data.root": str(tmp_path), "model.load_weights": str(trained)},
    )
    assert len(extract(cfg).features) > 0


def test_nor_those_of_its_target_that_are_trained_on(trained: Path, root: Path, tmp_path: Path) -> None:
    """Elsewhere there are the tested images of one set alone: scores and features are those of the whole data."""
    from promptreid.retrieval.extraction import extract

    target = "sysu_mm01"
    shutil.copytree(root / FOLDERS[target], tmp_path / "left" / FOLDERS[target])
    remove_train(target, tmp_path / "left")
    scores, features = [], []
    for place in (root, tmp_path / "left"):
        changes = {"data.targets": [target], "data.root": str(place), "model.load_weights": str(trained),
                   "data.save_dir": str(tmp_path / place.name)}  # fmt: skip
        scores.append([result.as_dict() for result in evaluate(trained, **changes)[target]])
        features.append(extract(load_config(trained / "config.yaml", overrides=changes)).features)
    assert scores[0] == scores[1] != []
    assert (features[0] == features[1]).all() and len(features[0]) > 0


def test_weights_that_say_nothing_of_their_data_need_them_as_before(trained: Path, root: Path, tmp_path: Path) -> None:
    old = tmp_path / "model.pth.tar-1"
    torch.save({key: value for key, value in newest(trained).items() if key != "data"}, old)
    (tmp_path / FOLDERS["sysu_mm01"]).symlink_to(root / FOLDERS["sysu_mm01"])
    shutil.copytree(root / FOLDERS["regdb"], tmp_path / FOLDERS["regdb"])
    remove_train("regdb", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"train_visible_1\.txt: no such list"):
        evaluate(trained, **{"data.root": str(tmp_path), "data.targets": ["regdb"], "model.load_weights": str(old),
                             "data.save_dir": str(tmp_path / "t")})  # fmt: skip
