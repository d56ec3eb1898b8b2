"""``DistributedDataParallel`` around a training forward pass and its loss."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from promptreid.engine.distributed.process_group import world_size

_NEW_NAME = "forward_sync_buffers"  # since torch 2.13
_BUFFERS_STAY: dict[str, Any] = {
    _NEW_NAME if _NEW_NAME in signature(DistributedDataParallel).parameters else "broadcast_buffers": False
}

Objective = Callable[[Any, Tensor], tuple[Tensor, dict[str, Tensor]]]
"""From images and identities to the loss and its parts."""


class Replicas:
    """The model of each process, trained as one: after a backward pass all have the same gradients.

    The model itself stays as it is, under its own names. Alone, the objective is called as it is.

    Buffers are not sent from step to step: neither frozen weights, nor the running statistics of batch normalisations,
    which are each process's own.

    Args:
        model: what is trained.
        objective: the forward pass and the loss, computed with ``model``.
        every_step_uses_all: whether each parameter that is trained has a gradient in each step. Otherwise each step
            looks for those that have none.
    """

    def __init__(self, model: nn.Module, objective: Objective, every_step_uses_all: bool) -> None:
        self.model, self.objective = model, objective
        self.every_step_uses_all = every_step_uses_all
        self._parallel: DistributedDataParallel | None = None
        self._trained: list[int] = []

    def __call__(self, images: Any, pids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if world_size() == 1:
            return self.objective(images, pids)
        outcome: tuple[Tensor, dict[str, Tensor]] = self._current()(images, pids)
        return outcome

    def accumulating(self, more_follows: bool) -> AbstractContextManager[None]:
        """The context of a batch; gradients are not exchanged while more batches of the optimisation step follow."""
        alone = world_size() == 1 or not more_follows
        return nullcontext() if alone else self._current().no_sync()

    def _current(self) -> DistributedDataParallel:
        """Made anew when other parameters are trained (``train.fixbase_epoch``)."""
        trained = [id(parameter) for parameter in self.model.parameters() if parameter.requires_grad]
        if self._parallel is None or trained != self._trained:
            self._trained = trained
            self._parallel = DistributedDataParallel(
                _Forward(self.model, self.objective),
                find_unused_parameters=not self.every_step_uses_all,
                gradient_as_bucket_view=True,
                **_BUFFERS_STAY,
            )
        return self._parallel


class _Forward(nn.Module):
    """What is wrapped: with the loss inside, a parameter that it does not depend on is seen to be unused."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, images: Any, pids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.objective(images, pids)
