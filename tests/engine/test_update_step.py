"""Accumulation, clipping, averaging and scaled losses, each against its definition."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from promptreid.engine.update_step import StepOptions, Updater, in_float32
from promptreid.engine.weight_average import WeightAverage


class Tied(nn.Module):
    """A small model with a batch normalisation, tied weights, and a frozen weight that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("frozen", torch.ones(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.norm(self.first(x)) * self.frozen)


def batches(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, generator=generator) for _ in range(count)]


def updater_of(model: nn.Module, lr: float = 0.1, **options: object) -> Updater:
    return Updater(model, torch.optim.SGD(model.parameters(), lr), StepOptions(**options), "cpu")


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def test_accumulated_batches_are_one_step_with_the_mean_loss() -> None:
    model, twin = linear(), linear()
    updater, one = updater_of(model, accumulation=3), torch.optim.SGD(twin.parameters(), 0.1)
    before = model.weight.detach().clone()
    for number, batch in enumerate(batches(3)):
        updater.backward(model(batch).square().mean())
        updater.step()
        assert torch.equal(model.weight, before) == (number < 2)
    torch.stack([twin(batch).square().mean() for batch in batches(3)]).mean().backward()
    one.step()
    torch.testing.assert_close(model.weight, twin.weight)
    assert updater.pending == 0


def test_batches_that_an_epoch_leaves_over_count_by_their_own_mean() -> None:
    model, twin = linear(), linear()
    updater, one = updater_of(model, accumulation=4), torch.optim.SGD(twin.parameters(), 0.1)
    for batch in batches(2):
        updater.backward(model(batch).square().mean())
        updater.step()
    updater.flush()
    torch.stack([twin(batch).square().mean() for batch in batches(2)]).mean().backward()
    one.step()
    torch.testing.assert_close(model.weight, twin.weight)
    updater.flush()  # nothing waits
    torch.testing.assert_close(model.weight, twin.weight)


@pytest.mark.parametrize("scaled", [False, True])
def test_clipped_gradients_have_that_norm_whatever_the_scale_of_the_loss(scaled: bool) -> None:
    model = linear()
    updater = updater_of(model, clip_norm=0.01, amp=scaled, amp_dtype="float16")
    updater.backward(model(batches(1)[0]).square().mean())
    updater.step()
    norm = torch.stack([parameter.grad.norm() for parameter in model.parameters()]).norm()
    torch.testing.assert_close(norm, torch.tensor(0.01))


def test_averages_follow_the_definition_and_buffers_are_copied() -> None:
    torch.manual_seed(0)
    model = Tied()
    updater = updater_of(model, ema=0.75)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    for batch in batches(4):
        updater.backward(model(batch).square().mean())
        updater.step()
        for name, value in model.named_parameters(remove_duplicate=False):
            expected[name] = 0.75 * expected[name] + 0.25 * value.detach()
    assert updater.average is not None
    assert updater.average.weights.keys() == model.state_dict().keys()
    for name, value in updater.average.weights.items():
        buffer = name.startswith("norm.running") or name.endswith("tracked")
        torch.testing.assert_close(value, model.state_dict()[name] if buffer else expected[name])
    torch.testing.assert_close(updater.average.weights["second.weight"], updater.average.weights["first.weight"])


def test_averaged_weights_are_there_for_the_block_and_gone_after_it() -> None:
    model = Tied()
    average = WeightAverage(model, 0.5)
    with torch.no_grad():
        model.first.weight.add_(1)
    average.update(model)
    own = deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="in the block"), average.applied(model):
        torch.testing.assert_close(model.first.weight.detach(), own["first.weight"] - 0.5)
        raise RuntimeError("in the block")
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


def test_float16_scales_the_loss_and_skips_a_step_that_overflows() -> None:
    model = linear()
    updater = updater_of(model, amp=True, amp_dtype="float16")
    scale, before = updater.scaler.get_scale(), model.weight.detach().clone()
    updater.backward(model(batches(1)[0]).sum() * 1e38)
    updater.step()
    assert torch.equal(model.weight, before)
    assert updater.scaler.get_scale() == scale / 2
    updater.backward(model(batches(1)[0]).sum())
    updater.step()
    assert not torch.equal(model.weight, before)
    again = updater_of(linear(), amp=True, amp_dtype="float16")
    again.load_state_dict(updater.state_dict())
    assert again.scaler.state_dict() == updater.scaler.state_dict()


@pytest.mark.parametrize(("name", "dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_autocast_computes_in_the_named_type(name: str, dtype: torch.dtype) -> None:
    with StepOptions(amp=True, amp_dtype=name).autocast("cpu"):
        assert linear()(torch.rand(1, 3)).dtype == dtype
    with StepOptions(amp=False, amp_dtype=name).autocast("cpu"):
        assert linear()(torch.rand(1, 3)).dtype == torch.float32


def test_outputs_become_float32_and_keep_their_types() -> None:
    half, whole, ids = torch.rand(2).half(), torch.rand(2), torch.arange(2)
    output = in_float32({"a": [half, (whole.bfloat16(), ids)], "b": None})
    assert output["a"][0].dtype == output["a"][1][0].dtype == torch.float32
    assert isinstance(output["a"][1], tuple) and output["a"][1][1] is ids and output["b"] is None
    assert in_float32(whole) is whole


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "type": (lambda: StepOptions(amp_dtype="float8"), "amp_dtype 'float8' is none of bfloat16, float16"),
    "accumulation": (lambda: StepOptions(accumulation=0), "accumulation 0 must be at least 1"),
    "ema": (lambda: StepOptions(ema=1.0), r"ema 1\.0 in \[0, 1\)"),
    "half a step": (lambda: StepOptions(accumulation=2, checkpoint_steps=3), "must be a multiple of accumulation 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_options_that_cannot_be(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make()
