"""What happens to the gradients of a batch: precision, accumulation, clipping, the averaged weights."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.engine.weight_average import WeightAverage

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class StepOptions:
    """How weights are updated.

    Attributes:
        amp: run the model under autocast; losses and ranking stay in float32.
        amp_dtype: ``bfloat16`` or ``float16``; the latter with a scaled loss.
        accumulation: batches per optimisation step; their losses are averaged.
        clip_norm: largest L2 norm of all gradients together; 0 for any.
        ema: decay of the moving average of the weights that is evaluated; 0 for none.
        checkpoint_steps: batches between two checkpoints within an epoch; 0 for none but at its end.
        gather: compute the loss of the batches of all processes together, instead of each one's own.

    Raises:
        ValueError: an unknown type, a number out of range, or checkpoints in the middle of an optimisation step.
    """

    amp: bool = False
    amp_dtype: str = "bfloat16"
    accumulation: int = 1
    clip_norm: float = 0.0
    ema: float = 0.0
    checkpoint_steps: int = 0
    gather: bool = True

    def __post_init__(self) -> None:
        if self.amp_dtype not in DTYPES:
            raise ValueError(f"amp_dtype {self.amp_dtype!r} is none of {', '.join(DTYPES)}")
        if self.accumulation < 1 or min(self.clip_norm, self.checkpoint_steps) < 0 or not 0 <= self.ema < 1:
            raise ValueError(
                f"accumulation {self.accumulation} must be at least 1, clip_norm {self.clip_norm} and checkpoint_steps "
                f"{self.checkpoint_steps} at least 0, and ema {self.ema} in [0, 1)"
            )
        if self.checkpoint_steps % self.accumulation:
            raise ValueError(
                f"checkpoint_steps {self.checkpoint_steps} must be a multiple of accumulation {self.accumulation}: "
                "half an optimisation step cannot be saved"
            )

    def autocast(self, device: str) -> AbstractContextManager[None]:
        """The context that a model runs in on ``device``, ``cuda`` or ``cpu``."""
        return torch.autocast(device, dtype=DTYPES[self.amp_dtype], enabled=self.amp)


class Updater:
    """Turns the losses of batches into optimisation steps.

    Args:
        model, optimizer: what is trained, and by whom.
        options: how.
        device: ``cuda`` or ``cpu``.

    Attributes:
        pending: batches whose gradients wait for the next optimisation step.
        average: the averaged weights; None before the first step, or without any.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, options: StepOptions, device: str) -> None:
        self.model, self.optimizer, self.options = model, optimizer, options
        self.scaler = torch.amp.GradScaler(device, enabled=options.amp and options.amp_dtype == "float16")
        self.pending = 0
        self.average: WeightAverage | None = None

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one batch to those that wait."""
        if not self.pending:
            self.optimizer.zero_grad()
        self.scaler.scale(loss / self.options.accumulation).backward()
        self.pending += 1

    @property
    def completes_step(self) -> bool:
        """Whether the next batch is the last of its optimisation step."""
        return self.pending + 1 == self.options.accumulation

    def step(self) -> None:
        """Update the weights, if enough batches wait."""
        if self.pending == self.options.accumulation:
            self._update()

    def flush(self) -> None:
        """Update the weights with the batches that an epoch leaves over, however few: with the mean over these."""
        if not self.pending:
            return
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(self.options.accumulation / self.pending)
        self._update()

    def _update(self) -> None:
        if self.options.ema and self.average is None:
            self.average = WeightAverage(self.model, self.options.ema)
        self.scaler.unscale_(self.optimizer)
        if self.options.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model)
        self.pending = 0

    def state_dict(self) -> dict[str, Any]:
        """The loss scale, and the averaged weights where there are some."""
        average = {} if self.average is None else {"ema": dict(self.average.weights)}
        return {"scaler": self.scaler.state_dict(), **average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict()``; keys that are missing leave things as they are."""
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        if self.options.ema and "ema" in state:
            self.average = WeightAverage(self.model, self.options.ema)
            self.average.load(state["ema"])


def in_float32(output: Any) -> Any:
    """A model's output with low-precision tensors, also those in dicts, lists and tuples, as float32."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype in DTYPES.values() else output
    if isinstance(output, dict):
        return type(output)({key: in_float32(value) for key, value in output.items()})
    return type(output)(map(in_float32, output)) if isinstance(output, (list, tuple)) else output
