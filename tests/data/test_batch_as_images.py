"""Batches of single images in torchreid's own models."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, default_collate

from promptreid import ModalBatch, host


def batch(samples: int = 4, count: int = 1, size: tuple[int, int] = (64, 32)) -> ModalBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(samples, count, 3, *size, generator=generator)
    return ModalBatch.of(images, torch.arange(count).expand(samples, count), torch.arange(samples))


def model(name: str, loss: str = "softmax") -> nn.Module:
    torch.manual_seed(0)
    return host.models.build_model(name, num_classes=4, loss=loss, pretrained=False, use_gpu=False)


NAMES = ["osnet_x0_25", "osnet_ain_x0_25", "resnet18", "shufflenet", "squeezenet1_1", "mobilenetv2_x1_0", "mlfn"]
NAMES = [name for name in NAMES if name in vars(host.models)["__model_factory"]]


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_they_are_what_their_images_are(name: str) -> None:
    own = model(name).eval()
    assert torch.equal(own(batch()), own(batch()["images"][:, 0]))


def test_hacnn_looks_at_the_size_first() -> None:
    own = model("hacnn").eval()
    with torch.no_grad():
        assert torch.equal(own(batch(2, size=(160, 64))), own(batch(2, size=(160, 64))["images"][:, 0]))
        with pytest.raises(AssertionError, match=r"expected \(160, 64\)"):
            own(batch(2))


def test_training_and_autocast() -> None:
    first, second = model("osnet_x0_25").train(), model("osnet_x0_25").train()
    for own, images in ((first, batch()), (second, batch()["images"][:, 0])):
        with torch.autocast("cpu", torch.bfloat16):
            own(images).float().sum().backward()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_samples_of_several_images_are_refused_in_one_sentence() -> None:
    with pytest.raises(
        ValueError, match=r"takes one image per sample, and these have 3: .*three_osnet_x1_0.*shared_vit"
    ):
        model("osnet_x0_25")(batch(count=3))
    assert batch(count=3).size() == (4, 3, 3, 64, 32)
    assert batch(count=3).dim() == 5


def test_size_shape_and_indices_are_those_of_the_images() -> None:
    one = batch()
    assert one.size() == one.shape == (4, 3, 64, 32)
    assert one.size(2) == 64 and one.size(-1) == 32 and one.dim() == 4
    assert torch.equal(one.view(4, 3, -1), one["images"].view(4, 3, -1))
    assert torch.equal(one[1, ...], one["images"][1, 0]) and torch.equal(one[0], one["images"][0, 0])
    with pytest.raises(KeyError, match="pids"):
        one["pids"]


def test_collating_moving_and_pickling_keep_the_type() -> None:
    sample = ModalBatch.sample(torch.zeros(1, 3, 4, 2), [0], 0)
    assert sample.size() == (3, 4, 2)
    collated = default_collate([sample, sample])
    for moved in (collated, collated.to("cpu"), collated.to(torch.float64), pickle.loads(pickle.dumps(collated))):
        assert type(moved) is ModalBatch and moved.shape == (2, 3, 4, 2)


def test_functions_take_lists_of_batches() -> None:
    both = torch.cat([batch(), batch()])
    assert both.shape == (8, 3, 64, 32)
    assert torch.equal(torch.nn.functional.relu(input=batch()), batch()["images"][:, 0].relu())


@pytest.mark.slow
def test_models_of_ours_can_be_compiled_with_them(tiny_mip) -> None:
    own = tiny_mip().eval()
    with torch.no_grad():
        described = torch.compile(own, backend="eager", fullgraph=True)(batch())
        assert torch.allclose(described, own(batch()), atol=1e-5)


class _Manager:
    """As much of a data manager as torchreid's image engines ask for."""

    data_type, num_train_pids, sources = "image", 2, ["one"]

    def __init__(self) -> None:
        images = batch()
        self.items = [
            {"img": ModalBatch({k: v[i] for k, v in images.items()}), "pid": i % 2, "camid": i // 2, "impath": str(i)}
            for i in range(4)
        ]
        self.train_loader = DataLoader(self.items, batch_size=4)
        self.test_loader = {"one": {"query": DataLoader(self.items[:2], 2), "gallery": DataLoader(self.items[2:], 2)}}


@pytest.mark.parametrize("loss", ["softmax", "triplet"])
@pytest.mark.parametrize("name", ["osnet_x0_25", "resnet18"])
def test_unmodified_engines_train_and_test(name: str, loss: str) -> None:
    own = model(name, loss)
    optimizer = torch.optim.SGD(own.parameters(), 1e-3)
    kind = host.ImageSoftmaxEngine if loss == "softmax" else host.ImageTripletEngine
    engine = kind(_Manager(), own, optimizer, scheduler=SimpleNamespace(step=lambda: None), use_gpu=False)
    before = own.conv1.weight.clone() if name == "resnet18" else own.conv1.conv.weight.clone()
    own.train()
    summary = engine.forward_backward(next(iter(engine.train_loader)))
    assert all(value == value for value in summary.values())
    after = own.conv1.weight if name == "resnet18" else own.conv1.conv.weight
    assert not torch.equal(before, after)
    rank1 = engine.test(ranks=[1])
    assert 0 <= rank1 <= 1
