"""Features with their labels, and the right to test."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.engine.feature_extraction import check_split, features_of, protocols_of
from promptreid.evaluation import MarketProtocol
from promptreid.evaluation.protocols import catalogue, register_protocol


class Dataset:
    """Records of images, as many as ``count`` says."""

    def __init__(self, paths: list[Any], count: int = 4) -> None:
        self.data, self.count = [(path, 0, 0, 0) for path in paths], count

    def __len__(self) -> int:
        return self.count


class Loader(list[dict[str, Any]]):
    """Two batches of two modalities, and records with these labels."""

    def __init__(self, labels: list[dict[str, int] | None]) -> None:
        pixels = torch.arange(4.0)[:, None, None, None, None] + torch.tensor([0.0, 10.0])[None, :, None, None, None]
        images = pixels.expand(4, 2, 3, 2, 2)
        modality = torch.tensor([[0, 1]]).expand(4, 2)
        for rows in ([0, 1, 2], [3]):
            batch = ModalBatch.of(images[rows], modality[rows], torch.zeros(len(rows), dtype=torch.int64))
            self.append({"img": batch, "pid": torch.tensor(rows), "camid": torch.tensor(rows) * 2})
        paths = [
            f"{number}.jpg" if label is None else PathBundle({"a": f"{number}.jpg"}, 0, label)
            for number, label in enumerate(labels)
        ]
        self.dataset = Dataset(paths)


SCENES = [{"scene": 5}, {"scene": 6}, {"scene": 5}, {"scene": 7}]


def shown(batch: ModalBatch) -> Tensor:
    """For each sample the sum over the modalities that are there, and how many they are."""
    values = (batch["images"].mean(dim=(2, 3, 4)) * batch["present"]).sum(1)
    return torch.stack([values, batch["present"].sum(1).float()], dim=1)


def test_features_come_with_identities_cameras_and_scenes() -> None:
    found = features_of(Loader(SCENES), shown, "query")
    assert torch.equal(found.features, torch.tensor([[10.0, 2], [12, 2], [14, 2], [16, 2]]))
    assert found.pids.tolist() == [0, 1, 2, 3] and found.camids.tolist() == [0, 2, 4, 6]
    assert np.array_equal(found.scenes, [5, 6, 5, 7])


def test_without_a_scene_for_each_image_there_are_none() -> None:
    for labels in ([{}, *SCENES[1:]], [None, *SCENES[1:]], [None] * 4):
        assert features_of(Loader(labels), shown, "query").scenes is None


def test_only_the_kept_modalities_are_shown() -> None:
    found = features_of(Loader(SCENES), shown, "query", kept=[1])
    assert torch.equal(found.features, torch.tensor([[10.0, 1], [11, 1], [12, 1], [13, 1]]))


def test_features_of_unit_length() -> None:
    found = features_of(Loader(SCENES), shown, "query", normalize=True)
    torch.testing.assert_close(found.features.norm(dim=1), torch.ones(4))


def test_a_loader_that_gives_fewer_images_than_its_set_has_is_refused() -> None:
    loader = Loader(SCENES)
    loader.dataset.count = 5
    with pytest.raises(RuntimeError, match="the query set gave 4 of 5 images"):
        features_of(loader, shown, "query")


def test_one_is_asked_between_batches() -> None:
    calls: list[None] = []
    features_of(Loader(SCENES), shown, "query", between=lambda: calls.append(None))
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("trained", "split", "refused"),
    [("a 1", "a 1", False), ("a 1", "a 2", True), ("", "a 2", False), ("a 1", "", False), ("", "", False)],
)
def test_another_split_is_refused(trained: str, split: str, refused: bool) -> None:
    if not refused:
        check_split(trained, SimpleNamespace(split=split), Path("w"))
        return
    with pytest.raises(ValueError, match=r"w was trained on a 1, and a 2 tests identities of that training set"):
        check_split(trained, SimpleNamespace(split=split), Path("w"))


def test_a_data_set_may_decide_itself() -> None:
    dev = SimpleNamespace(split="dev", shares_identities_with=lambda split: split == "full")
    check_split("dev", dev, Path("w"))
    check_split("other", dev, Path("w"))
    check_split("", dev, Path("w"))
    with pytest.raises(ValueError, match="w was trained on full, and dev tests identities"):
        check_split("full", dev, Path("w"))


def test_protocols_are_the_data_sets_own_and_then_registered_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    mine, other = MarketProtocol("mine 1"), MarketProtocol("own 2")
    own, named = MarketProtocol("own 1"), MarketProtocol("named")
    for protocol in (mine, other):
        register_protocol(protocol)
    missing = {"mine 3": "no scenes", "lost": "no file"}
    data = SimpleNamespace(protocols=(own,), named_protocols=(named,), missing_protocols=missing)
    assert protocols_of(data) == [own]
    assert protocols_of(data, ["own", "named", "own 1"]) == [own, named]
    assert protocols_of(data, ["own 2", "mine 1"]) == [other, mine]
    refused = {"mine 3": "no scenes", "mine": "no scenes", "lost 4": "no file", "lost4": "not one of"}
    for wanted, reason in refused.items():
        with pytest.raises(ValueError, match=rf"test\.protocols '{wanted}': {reason}"):
            protocols_of(data, [wanted])


def test_a_data_set_without_protocols_knows_the_registered_ones_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    mine = MarketProtocol("mine")
    register_protocol(mine)
    assert protocols_of(SimpleNamespace()) == []
    assert protocols_of(SimpleNamespace(), ["sysu-python", "mine"]) == [mine]


def test_nothing_to_test_by_default_is_an_error_with_its_reason() -> None:
    named = MarketProtocol("named")
    data = SimpleNamespace(protocols=(), named_protocols=(named,), no_standard="there is one camera; name named")
    assert protocols_of(data, ["named"]) == [named]
    with pytest.raises(ValueError, match="test\\.protocols is empty: there is one camera; name named"):
        protocols_of(data)
    with pytest.raises(ValueError, match="'other': not one of"):
        protocols_of(data, ["other"])
    with pytest.raises(ValueError, match="'named': nobody is there twice"):
        protocols_of(SimpleNamespace(missing_protocols={"named": "nobody is there twice"}), ["named"])
