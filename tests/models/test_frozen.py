from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from promptreid.models.frozen import Frozen, freeze, weights_digest
from promptreid.models.weights import load_matching


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2, bias=False))


class Tuned(nn.Module):
    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.body = Frozen(network(seed), dtype)
        self.head = nn.Linear(2, 1)

    def forward(self, x):
        return self.head(self.body(x))


def test_every_weight_becomes_a_buffer_under_its_own_name_outside_the_state_dict():
    module = network()
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    values = {name: value.clone() for name, value in module.state_dict().items()}
    x = torch.randn(2, 3)
    before = module.eval()(x)
    freeze(module)
    assert list(module.parameters()) == []
    assert module.state_dict() == {}
    buffers = dict(module.named_buffers())
    assert sorted(buffers) == sorted(names)
    assert all(torch.equal(buffers[name], values[name]) for name in names)
    assert torch.equal(module(x), before)
    assert not module.training


def test_shared_weights_stay_shared():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = module[0].weight
    freeze(module, torch.bfloat16)
    assert module[0].weight is module[1].weight
    assert module[0].weight.dtype == torch.bfloat16


def test_what_torchreid_does_each_epoch_changes_nothing():
    model = Tuned()
    before = copy.deepcopy(dict(model.body.named_buffers()))
    for _ in range(3):
        model.train()
        for parameter in model.parameters():
            parameter.requires_grad = True
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1)
        model(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
    assert not model.body.training
    assert not any(part.training for part in model.body.modules())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.body.named_buffers())
    assert model.body.check_unchanged()


def test_gradients_flow_through():
    body, x = Frozen(network()), torch.randn(2, 3, requires_grad=True)
    body(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_the_state_dict_holds_the_digest_alone():
    state = Tuned().state_dict()
    assert list(state) == ["body.digest", "head.weight", "head.bias"]
    assert state["body.digest"].shape == (32,)
    assert state["body.digest"].dtype == torch.uint8


def test_the_digest_is_of_names_dtypes_shapes_and_bytes():
    plain = weights_digest(network())
    assert weights_digest(network()) == plain
    changed = network()
    with torch.no_grad():
        changed[0].weight[0, 0] = -changed[0].weight[0, 0]
    reshaped = network()
    reshaped[3].weight.data = reshaped[3].weight.data.reshape(4, 2)
    renamed = nn.Sequential(*network()[:3], nn.Identity(), network()[3])
    others = [changed, reshaped, renamed, network().double(), network().bfloat16()]
    assert len({plain, *(weights_digest(other) for other in others)}) == 1 + len(others)


def test_negative_zero_is_another_weight():
    one, two = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    one.weight.data.zero_()
    two.weight.data.zero_().neg_()
    assert weights_digest(one) != weights_digest(two)


def test_a_change_in_place_is_noticed():
    body = Frozen(network())
    assert body.check_unchanged()
    body.module[3].weight[0, 1] += 1e-6
    assert not body.check_unchanged()


@pytest.mark.parametrize("strict", [True, False])
def test_other_frozen_weights_are_refused_by_every_loader(strict):
    ours, state = Tuned(), Tuned(seed=1).state_dict()
    with pytest.raises(RuntimeError, match="trained on other frozen weights"):
        ours.load_state_dict(state, strict=strict)
    with pytest.raises(ValueError, match=r"run7: .*trained on other frozen weights"):
        load_matching(ours, state, "run7", strict=strict)
    assert ours.body.check_unchanged(), "the digest must not be overwritten by the refused one"


def test_a_storage_of_other_precision_is_other_weights():
    with pytest.raises(RuntimeError, match="frozen_dtype"):
        Tuned().load_state_dict(Tuned(dtype=torch.bfloat16).state_dict())


def test_the_same_frozen_weights_are_accepted():
    ours, theirs = Tuned(), Tuned()
    nn.init.ones_(theirs.head.weight)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours.head.weight, theirs.head.weight)


def test_a_state_without_the_digest_is_an_error_in_strict_loading_only():
    state = {name: value for name, value in Tuned().state_dict().items() if name != "body.digest"}
    with pytest.raises(RuntimeError, match=r"Missing key.*body\.digest"):
        Tuned().load_state_dict(state)
    Tuned().load_state_dict(state, strict=False)


def test_a_digest_that_is_no_digest():
    for wrong in (torch.zeros(3, dtype=torch.uint8), "text"):
        with pytest.raises(RuntimeError, match="other frozen weights"):
            Tuned().load_state_dict({**Tuned().state_dict(), "body.digest": wrong})


def test_low_precision_storage():
    body = Frozen(network(), torch.bfloat16)
    dtypes = {name: buffer.dtype for name, buffer in body.named_buffers()}
    assert dtypes["module.0.weight"] == torch.bfloat16
    assert dtypes["module.1.num_batches_tracked"] == torch.int64
    assert dtypes["digest"] == torch.uint8


def test_shapes_alone_can_be_counted():
    with torch.device("meta"):
        body = Frozen(nn.Linear(10_000, 10_000))
    assert sum(buffer.numel() for buffer in body.buffers()) > 1e8
