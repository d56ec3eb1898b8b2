from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from promptreid.methods.baselines.multi_stream import MultiStream

WIDTH, CLASSES = 6, 5


class Stream(nn.Module):
    """A small backbone that remembers how many images it was given."""

    def __init__(self, parts: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, WIDTH, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.parts, self.seen = parts, 0

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        self.seen += len(images)
        features = self.net(images)
        return (features[:, :2], features[:, 2:]) if self.parts else features


def model(loss: str = "triplet", **settings: object) -> MultiStream:
    torch.manual_seed(0)
    return MultiStream([Stream() for _ in range(3)], WIDTH, CLASSES, loss, **settings)  # type: ignore[arg-type]


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Four samples: complete, without modality 1, without 0 and 2, complete."""
    generator = torch.Generator().manual_seed(1)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 1]], dtype=torch.bool)
    return {
        "images": torch.randn(4, 3, 3, 8, 6, generator=generator),
        "modality": torch.arange(3).expand(4, 3),
        "camera": torch.zeros(4, dtype=torch.int64),
        "present": present,
    }


def test_what_torchreid_expects(batch: dict[str, Tensor]) -> None:
    streams = model()
    logits, features = streams(batch)
    assert logits.shape == (4, CLASSES) and features.shape == (4, 3 * WIDTH)
    assert torch.equal(model("softmax")(batch), logits)
    described = streams.eval()(batch)
    assert described.dtype == torch.float32 and torch.equal(described, features)
    assert isinstance(dict(streams.named_children())["classifier"], nn.Module)


def test_one_sample_at_a_time_gives_the_same(batch: dict[str, Tensor]) -> None:
    """The slow way: each image through its stream, logits averaged over those that are there."""
    streams = model()
    logits, features = streams(batch)
    for number in range(4):
        parts, votes = torch.zeros(3, WIDTH), []
        for slot in range(3):
            if batch["present"][number, slot]:
                parts[slot] = streams.streams[slot](batch["images"][number, slot][None])[0]
                votes.append(streams.classifier[slot](parts[slot]))
        torch.testing.assert_close(features[number], parts.flatten())
        torch.testing.assert_close(logits[number], torch.stack(votes).mean(0))


def test_missing_images_are_neither_looked_at_nor_computed(batch: dict[str, Tensor]) -> None:
    streams = model()
    before = streams(batch)
    assert [stream.seen for stream in streams.streams] == [3, 3, 3]
    batch["images"][~batch["present"]] = torch.nan
    for one, other in zip(before, streams(batch), strict=True):
        assert torch.equal(one, other)


def test_a_modality_that_no_sample_has_is_not_run(batch: dict[str, Tensor]) -> None:
    streams = model()
    batch["present"] = torch.tensor([[True, False, True]]).expand(4, 3)
    logits, features = streams(batch)
    assert streams.streams[1].seen == 0
    assert not features[:, streams.modality_slices(3)[1]].any()
    logits.sum().backward()
    assert streams.streams[0].net[0].weight.grad.any()


def test_the_order_of_the_slots_does_not_matter(batch: dict[str, Tensor]) -> None:
    streams, order = model().eval(), torch.tensor([2, 0, 1])
    turned = {key: value if key == "camera" else value[:, order] for key, value in batch.items()}
    torch.testing.assert_close(streams(turned), streams(batch))


def test_parts_depend_on_their_own_modality_alone(batch: dict[str, Tensor]) -> None:
    streams = model().eval()
    before = streams(batch)
    batch["images"][:, 1] += 1
    changed = [bool((streams(batch)[:, place] != before[:, place]).any()) for place in streams.modality_slices(3)]
    assert changed == [False, True, False]


def test_plain_images(batch: dict[str, Tensor]) -> None:
    """Of one image per sample, visible; of three, one of each modality."""
    streams, images = model().eval(), batch["images"]
    complete = streams({**batch, "present": torch.ones(4, 3, dtype=torch.bool)})
    assert torch.equal(streams(images), complete)
    assert torch.equal(streams(images[:, 0])[:, :WIDTH], complete[:, :WIDTH])
    assert not streams(images[:, 0])[:, WIDTH:].any()


def test_a_stream_may_return_its_feature_in_parts(batch: dict[str, Tensor]) -> None:
    plain, split = model().eval(), model().eval()
    for stream in split.streams:
        stream.parts = True
    assert torch.equal(plain(batch), split(batch))


def test_half_precision_streams_give_float32(batch: dict[str, Tensor]) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model().eval()(batch).dtype == torch.float32


def test_refuses(batch: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="one for each modality"):
        MultiStream([], WIDTH, CLASSES)
    with pytest.raises(ValueError, match=r"'prompt' is not one of \('softmax', 'triplet'\)"):
        model("prompt")
    with pytest.raises(ValueError, match="3 streams, the data 4 modalities"):
        model().modality_slices(4)
    with pytest.raises(ValueError, match=r"160 x 64 pixels .* got 8 x 6: change the image size \(data.height"):
        model(image_size=(160, 64))(batch)
    with pytest.raises(ValueError, match=r"samples \[2\] of the batch have no image"):
        model()({**batch, "present": batch["present"] & (torch.arange(4) != 2)[:, None]})
    with pytest.raises(ValueError, match="sample 0 of the batch has two images of modality 2"):
        model()({**batch, "modality": torch.tensor([0, 2, 2]).expand(4, 3)})
    with pytest.raises(ValueError, match=r"modality ids must be in 0\.\.2"):
        model()({**batch, "modality": batch["modality"] + 1})
