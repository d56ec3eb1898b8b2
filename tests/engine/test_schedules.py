"""The schedule of MIP, against rates that the authors' own code printed."""

from __future__ import annotations

import pytest
import torch

from promptreid.engine.schedules import WarmupCosineRestarts

BASE = {
    1: 2.08e-3,
    2: 4.06e-3,
    4: 8.02e-3,
    5: 9.330134e-3,
    6: 9.045095e-3,
    15: 5.00005e-3,
    29: 2.749025e-5,
    30: 1.0e-3,
    31: 9.972610e-4,
    59: 2.749025e-6,
    60: 1.0e-4,
    79: 2.966387e-5,
    80: 2.500075e-5,
}
GENERATOR = {1: 3.008e-2, 4: 0.12002, 5: 0.1399520, 15: 7.500005e-2, 29: 4.109576e-4, 30: 1.5e-2, 80: 3.750008e-4}


def rates(lrs: list[float], epochs: int, **settings: float) -> list[list[float]]:
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs])
    scheduler = WarmupCosineRestarts(optimizer, **settings)  # type: ignore[arg-type]
    seen = []
    for _ in range(epochs):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return seen


def test_rates_of_the_released_recipe() -> None:
    seen = rates([0.01, 0.15], 80)
    for epoch, rate in BASE.items():
        assert seen[epoch - 1][0] == pytest.approx(rate, rel=2e-6), epoch
    for epoch, rate in GENERATOR.items():
        assert seen[epoch - 1][1] == pytest.approx(rate, rel=2e-6), epoch


def test_no_warm_up() -> None:
    assert rates([1.0], 1, warmup_epochs=0, cycle=10)[0][0] == pytest.approx(0.97552826)


def test_state_is_restored() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = WarmupCosineRestarts(optimizer)
    for _ in range(7):
        optimizer.step()
        scheduler.step()
    again = WarmupCosineRestarts(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    again.load_state_dict(scheduler.state_dict())
    assert again.get_last_lr() == scheduler.get_last_lr()


def test_bad_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        rates([0.1], 1, cycle=0)
