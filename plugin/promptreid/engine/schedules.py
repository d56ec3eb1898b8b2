"""Learning-rate schedules that torchreid lacks."""

from __future__ import annotations

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupCosineRestarts(LRScheduler):
    """Linear warm-up, then cosine cycles whose peak and floor shrink from cycle to cycle (MIP's schedule).

    In epoch e = 1, 2, ... the rate is ``warmup_lr + (lr - warmup_lr) * e / warmup_epochs`` while e < warmup_epochs
    (``warmup_lr`` is absolute, the same for each parameter group), afterwards the cosine from ``lr * decay**c`` to
    ``floor * decay**c`` at e mod ``cycle``, c being the number of finished cycles. Step it once per epoch.

    Args:
        optimizer: its groups' rates are the peaks of the first cycle.
        warmup_epochs: 0 for none.
        warmup_lr: rate that the warm-up starts from.
        cycle: epochs per cosine cycle.
        decay: factor on peak and floor after each cycle.
        floor: lowest rate of the first cycle.
        last_epoch: as in torch.

    Raises:
        ValueError: a cycle below 1, a negative length or rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_epochs: int = 5,
        warmup_lr: float = 1e-4,
        cycle: int = 30,
        decay: float = 0.1,
        floor: float = 1e-7,
        last_epoch: int = -1,
    ) -> None:
        if cycle < 1 or min(warmup_epochs, warmup_lr, decay, floor) < 0:
            raise ValueError(
                f"warm-up ({warmup_epochs}, {warmup_lr}), decay {decay} and floor {floor} must not be "
                f"negative, and the cycle ({cycle}) at least 1"
            )
        self.warmup_epochs, self.warmup_lr = warmup_epochs, warmup_lr
        self.cycle, self.decay, self.floor = cycle, decay, floor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        return [self._rate(float(base)) for base in self.base_lrs]

    def _rate(self, base: float) -> float:
        epoch = self.last_epoch + 1
        if epoch < self.warmup_epochs:
            return self.warmup_lr + (base - self.warmup_lr) * epoch / self.warmup_epochs
        cycles, position = divmod(epoch, self.cycle)
        peak, floor = base * self.decay**cycles, self.floor * self.decay**cycles
        return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * position / self.cycle))
