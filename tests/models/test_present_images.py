from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from promptreid.models.present_images import labels_of_images, slots_of


def triples(present):
    present = torch.tensor(present)
    batch, slots = present.shape
    return {
        "images": torch.randn(batch, slots, 3, 4, 2, generator=torch.Generator().manual_seed(0)),
        "modality": torch.arange(slots).expand(batch, slots),
        "camera": torch.arange(batch),
        "present": present,
    }


def test_one_image_per_sample_loses_the_axis_of_slots(batch):
    slots = slots_of(batch, modalities=2, images_per_sample=1)
    assert torch.equal(slots.images, batch["images"][:, 0])
    assert slots.modality.tolist() == [0, 1, 0, 1, 0, 1]
    assert torch.equal(slots.camera, batch["camera"])


def test_images_that_are_missing_are_left_out():
    batch = triples([[True, False, True], [True, True, True]])
    slots = slots_of(batch, modalities=3, images_per_sample=3)
    assert torch.equal(slots.images[1], batch["images"][0, 2])
    assert slots.modality.tolist() == [0, 2, 0, 1, 2]
    assert slots.camera.tolist() == [0, 0, 1, 1, 1]


rows = st.lists(st.booleans(), min_size=3, max_size=3).filter(any)


@given(st.lists(rows, min_size=1, max_size=5))
def test_joining_puts_every_feature_in_its_place_and_zeros_elsewhere(present):
    slots = slots_of(triples(present), modalities=3, images_per_sample=3)
    features = torch.arange(1.0, 1 + 2 * len(slots.images)).reshape(-1, 2).requires_grad_()
    joined = slots.join(features)
    counted = iter(features.tolist())
    expected = [[value for there in row for value in (next(counted) if there else [0.0, 0.0])] for row in present]
    assert joined.tolist() == expected
    assert torch.equal(slots.part(joined), features)
    joined.sum().backward()
    assert (features.grad == 1).all()


def test_labels_of_images_are_those_of_their_samples():
    present = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    assert labels_of_images(torch.tensor([7, 8, 9]), present).tolist() == [7, 7, 8, 9, 9, 9]


def test_samples_without_any_image_are_named():
    batch = triples([[True, True], [False, False], [False, True], [False, False]])
    with pytest.raises(ValueError, match=r"samples \[1, 3\] of the batch have no image"):
        slots_of(batch, modalities=2, images_per_sample=2)


@pytest.mark.parametrize(("built_for", "remedy"), [(1, "a sample of its own"), (3, "images_per_sample=2")])
def test_another_number_of_slots_is_refused(built_for, remedy):
    with pytest.raises(ValueError, match=f"per sample, got 2 .*{remedy}"):
        slots_of(torch.zeros(4, 2, 3, 8, 6), modalities=3, images_per_sample=built_for)
