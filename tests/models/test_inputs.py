from __future__ import annotations

import pytest
import torch

from promptreid.models.inputs import UNKNOWN_CAMERA, unpack


def test_one_image_per_sample_is_visible_from_an_unknown_camera():
    images = torch.randn(4, 3, 8, 6)
    unpacked = unpack(images, modalities=2)
    assert torch.equal(unpacked.images, images[:, None])
    assert unpacked.modality.tolist() == [[0]] * 4
    assert unpacked.camera.tolist() == [UNKNOWN_CAMERA] * 4
    assert unpacked.present.all()


def test_image_m_of_a_sample_is_modality_m():
    unpacked = unpack(torch.randn(2, 3, 3, 8, 6), modalities=3)
    assert unpacked.modality.tolist() == [[0, 1, 2]] * 2


def test_a_mapping_is_taken_as_it_is(batch):
    unpacked = unpack(batch, modalities=2)
    assert all(torch.equal(tensor, batch[name]) for name, tensor in unpacked._asdict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(6, 1, 1, 64, 32)}, "images must be"),
        ({"images": torch.zeros(6, 1, 3, 64, 32, dtype=torch.uint8)}, "floating point"),
        ({"modality": torch.zeros(6, dtype=torch.long)}, "modality has shape"),
        ({"modality": torch.full((6, 1), 2)}, r"0\.\.1, got 2\.\.2"),
        ({"modality": torch.full((6, 1), -1)}, r"got -1\.\.-1"),
        ({"camera": torch.zeros(6, 1, dtype=torch.long)}, "camera has shape"),
    ],
)
def test_bad_fields_are_named(batch, change, message):
    with pytest.raises(ValueError, match=message):
        unpack({**batch, **change}, modalities=2)


def test_missing_fields_are_named(batch):
    del batch["camera"]
    with pytest.raises(ValueError, match=r"lacks \['camera'\]"):
        unpack(batch, modalities=2)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="got list"):
        unpack([1, 2], modalities=2)  # type: ignore[arg-type]
