"""ModalBatch and PathBundle keep their type through everything torchreid does to a sample."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, default_collate

from promptreid import ModalBatch, PathBundle


def sample(value: float = 0.0, modality: int = 1, camera: int = 2) -> ModalBatch:
    return ModalBatch.sample(torch.full((1, 3, 4, 2), value), [modality], camera)


def test_collate_keeps_the_type_and_stacks() -> None:
    batch = default_collate([sample(0.0, 0, 5), sample(1.0, 1, 2)])
    assert type(batch) is ModalBatch
    assert batch["images"].shape == (2, 1, 3, 4, 2)
    assert batch.size() == batch.shape == (2, 3, 4, 2)
    assert batch.size(0) == 2
    assert batch["modality"].tolist() == [[0], [1]]
    assert batch["camera"].tolist() == [5, 2]
    assert batch["present"].all()


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_keeps_the_type(workers: int) -> None:
    loader = DataLoader([{"img": sample(float(i)), "pid": i} for i in range(4)], batch_size=2, num_workers=workers)
    for batch in loader:
        assert type(batch["img"]) is ModalBatch
        assert batch["img"]["images"].shape == (2, 1, 3, 4, 2)


def test_data_parallel_keeps_the_type() -> None:
    """DataParallel rebuilds containers by calling their type with (key, value) pairs."""
    batch = default_collate([sample(float(i)) for i in range(4)])
    assert type(type(batch)(batch.items())) is ModalBatch
    assert type(nn.DataParallel(nn.Identity())(batch)) is ModalBatch


def test_to_moves_all_and_casts_images_alone() -> None:
    batch = default_collate([sample(), sample()]).to(torch.float64)
    assert type(batch) is ModalBatch
    assert batch["images"].dtype == torch.float64
    assert batch["modality"].dtype == torch.int64
    assert batch["present"].dtype == torch.bool
    assert batch.to("meta")["camera"].device.type == "meta"


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="modality of shape"):
        ModalBatch.sample(torch.zeros(2, 3, 4, 2), [0], 0)
    with pytest.raises(ValueError, match="must have the shapes"):
        ModalBatch.of(torch.zeros(2, 1, 3, 4, 2), torch.zeros(2, 1).long(), torch.zeros(3).long())


BUNDLE = PathBundle({"visible": "a.jpg", "infrared": None, "thermal": "c.jpg"}, camera=4)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_bundle_survives_copies(copier) -> None:
    again = copier(BUNDLE)
    assert isinstance(again, str)
    assert again == "a.jpg"
    assert again.paths == {"visible": "a.jpg", "infrared": None, "thermal": "c.jpg"}
    assert again.camera == 4


def test_bundle_is_its_first_present_path() -> None:
    assert PathBundle({"visible": None, "infrared": "b.jpg"}) == "b.jpg"
    with pytest.raises(ValueError, match="at least one image"):
        PathBundle({"visible": None})


def test_bundle_collates_as_a_path() -> None:
    assert default_collate([{"impath": BUNDLE}, {"impath": BUNDLE}])["impath"] == ["a.jpg", "a.jpg"]


def triples() -> ModalBatch:
    samples = [
        ModalBatch.sample(torch.rand(3, 3, 4, 2) + 1, [0, 1, 2], camera, [True, camera > 0, True]) for camera in (0, 1)
    ]
    return default_collate(samples)


@pytest.mark.parametrize("kept", [[0], {1, 2}, (0, 1, 2), range(3)])
def test_only_marks_the_others_missing(kept) -> None:
    batch = triples()
    before = {key: value.clone() for key, value in batch.items()}
    only = batch.only(kept)
    assert type(only) is ModalBatch
    assert only.size() == batch.size()
    for m in range(3):
        assert torch.equal(only["present"][:, m], batch["present"][:, m] & (m in kept))
        assert torch.equal(only["images"][:, m], batch["images"][:, m] * (m in kept))
    assert torch.equal(only["modality"], batch["modality"]) and torch.equal(only["camera"], batch["camera"])
    assert all(torch.equal(value, before[key]) for key, value in batch.items())


def test_only_goes_by_modality_and_not_by_place() -> None:
    batch = default_collate([sample(1.0, 0), sample(2.0, 1)]).only([1])
    assert batch["present"].tolist() == [[False], [True]]
    assert batch["images"].amax((1, 2, 3, 4)).tolist() == [0, 2]
    one = ModalBatch.sample(torch.full((2, 3, 1, 1), float("nan")), [2, 0], 0).only({0})
    assert one["present"].tolist() == [False, True]
    assert one["images"].isnan().flatten(1).any(1).tolist() == [False, True]


def test_only_keeps_something() -> None:
    with pytest.raises(ValueError, match="kept is empty"):
        triples().only([])
