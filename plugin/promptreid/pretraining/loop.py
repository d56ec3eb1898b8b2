"""A training loop that gives the same bits however often it is killed, given the machine and its number of threads."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.files import atomic_write
from promptreid.models.weights import read_pickle
from promptreid.pretraining.images import check_seed

_logger = logging.getLogger(__name__)
EVERY = 50  # steps from one checkpoint to the next
Loss = Callable[[int], Tensor]


@dataclass(frozen=True)
class Recipe:
    """What all towers' recipes have; AdamW with linear warm-up and cosine decay to zero.

    Args:
        seed: at least 90000; also of the initialisation.
        steps: how many.
        batch: images in a step.
        rate: highest learning rate.
        warmup: steps.
        weight_decay: of matrices; vectors have none.
        beta: AdamW's second.
        clip: largest norm of the gradient.

    Raises:
        ValueError: values that can't be.
    """

    seed: int = 90_000
    steps: int = 1200
    batch: int = 64
    rate: float = 1e-3
    warmup: int = 60
    weight_decay: float = 0.05
    beta: float = 0.98
    clip: float = 1.0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.steps < 1:
            raise ValueError(f"steps: must be at least 1, not {self.steps}")
        if self.batch < 2:
            raise ValueError(f"batch: must be at least 2, not {self.batch}")

    def digest(self) -> str:
        """sha256 of the recipe, by which checkpoints and weight files know it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, 0-based."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * 0.5 * (1.0 + math.cos(math.pi * done))


def train(module: nn.Module, loss_of: Loss, recipe: Recipe, checkpoint: Path, every: int = EVERY) -> list[float]:
    """Train ``module`` in place, from ``checkpoint`` on where there is one.

    Args:
        module: what is trained, initialised.
        loss_of: the loss of a step, a function of the step's number and the module's state alone.
        recipe: of the training.
        checkpoint: a file, written every ``every`` steps and at the end.

    Returns:
        The loss of each step.

    Raises:
        ValueError: the checkpoint is another recipe's.
    """
    optimiser = _optimiser(module, recipe)
    losses = _resume(module, optimiser, recipe, checkpoint)
    module.train()
    start, first = time.monotonic(), len(losses)
    for step in range(first, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate_at(step)
        optimiser.zero_grad()
        loss = loss_of(step)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            _save(module, optimiser, recipe, losses, checkpoint)
            mean = sum(losses[-every:]) / len(losses[-every:])
            pace = (time.monotonic() - start) / (step + 1 - first)
            _logger.info("step %d of %d: loss %.4f, %.2f s a step", step + 1, recipe.steps, mean, pace)
    return losses


def _optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    matrices = [value for value in module.parameters() if value.ndim > 1]
    vectors = [value for value in module.parameters() if value.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, recipe.beta))


def _save(module: nn.Module, optimiser: torch.optim.Optimizer, recipe: Recipe, losses: list[float], path: Path) -> None:
    state = {"recipe": recipe.digest(), "losses": losses}
    with atomic_write(path) as file:
        torch.save({**state, "model": module.state_dict(), "optimiser": optimiser.state_dict()}, file)


def _resume(module: nn.Module, optimiser: torch.optim.Optimizer, recipe: Recipe, path: Path) -> list[float]:
    if not path.is_file():
        return []
    state: dict[str, Any] = read_pickle(path)
    if state["recipe"] != recipe.digest():
        raise ValueError(f"{path} is the checkpoint of another recipe; choose another folder, or remove it")
    module.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    _logger.info("going on after step %d of %d from %s", len(state["losses"]), recipe.steps, path)
    return list(state["losses"])
