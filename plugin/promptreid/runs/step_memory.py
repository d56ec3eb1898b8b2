"""The memory that a training with a configuration needs, counted before there are data, weights or a GPU.

Bytes of tensors are counted in steps of two small batches on the CPU. Every moment of such a step is one operation, and
what exists after it grows linearly with the batch, so that each moment is continued to the whole batch, and the largest
one is the step's peak. What a GPU takes besides is not counted: its context (several hundred MB), the workspaces of its
kernels, and what its allocator cannot use because of the sizes of pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from promptreid import host
from promptreid.config.kwargs import step_kwargs
from promptreid.config.merge import merged
from promptreid.data.batch import ModalBatch
from promptreid.engine.batch_loss import criterion_loss
from promptreid.engine.optimizers import build_optimizer
from promptreid.engine.update_step import StepOptions, in_float32
from promptreid.engine.weight_average import tensors_of
from promptreid.models.live_bytes import LiveBytes
from promptreid.models.saved_activations import saved_bytes
from promptreid.runs.build import build_criterion, build_model, checkpoint_blocks

IDENTITIES = 500
"""As many as the larger data sets have; a thousand more cost a classifier 3 MB per 768 numbers of a feature."""
BATCHES = (4, 6)


@dataclass(frozen=True)
class StepMemory:
    """Bytes, of tensors alone.

    Attributes:
        batch: samples of a training batch.
        weights: parameters and buffers, frozen ones too.
        gradients: of all that is trained.
        optimizer: its state after a step, with the averaged weights where there are some.
        kept: what autograd saves of the forward pass of a batch for the backward pass.
        peak: the largest moment of a training step, all of the above that is there then included.
        tested: the largest moment of a batch of tests, weights and optimiser included.
    """

    batch: int
    weights: int
    gradients: int
    optimizer: int
    kept: int
    peak: int
    tested: int


def step_memory(cfg: Any, identities: int = IDENTITIES, batches: Sequence[int] = BATCHES) -> StepMemory:
    """The memory of training with ``cfg`` and of its tests, with random weights.

    Args:
        cfg: a tree from ``load_config``.
        identities: in training.
        batches: sizes of the two batches that are counted, even numbers from 4 on, in samples.

    Raises:
        ValueError: sizes that cannot be, a configuration that cannot be built, or a step whose operations depend on
            the size of its batch.
    """
    first, second = batches
    if first < 4 or second <= first or first % 2 or second % 2:
        raise ValueError(f"batches {first} and {second} must be two even numbers from 4 on, the smaller one first")
    step = _Step(merged(cfg, {"model.pretrained": False, "backbone.weights": ""}), identities)
    weights, gradients, optimizer = step.weights(), step.gradients(), step.optimizer()
    steady = weights + optimizer

    def grown(count: Callable[[int], Sequence[int]], to: int) -> int:
        return _largest(count(first), count(second), (first, second), to)

    return StepMemory(
        cfg.train.batch_size,
        weights,
        gradients,
        optimizer,
        kept=grown(lambda batch: [step.kept(batch)], cfg.train.batch_size),
        peak=steady + grown(step.moments, cfg.train.batch_size),
        tested=steady + grown(step.tested, cfg.test.batch_size),
    )


def _largest(few: Sequence[int], more: Sequence[int], batches: tuple[int, int], batch: int) -> int:
    """The largest of counts at two sizes of a batch, each continued linearly to ``batch``."""
    if len(few) != len(more):
        raise ValueError(
            f"a step of {batches[0]} samples has {len(few)} operations and one of {batches[1]} has {len(more)}, so "
            "that its memory can't be continued to larger batches; count at train.batch_size itself"
        )
    share = (batch - batches[0]) / (batches[1] - batches[0])
    return round(max(one + share * (other - one) for one, other in zip(few, more, strict=True)))


class _Step:
    """A model with all that trains it, and batches of random images."""

    def __init__(self, cfg: Any, identities: int) -> None:
        self.cfg, self.data = cfg, _facts(cfg)
        datamanager = SimpleNamespace(num_train_pids=identities, trained=self.data)
        self.model: nn.Module = build_model(cfg, datamanager, use_gpu=False)
        if cfg.train.checkpoint_blocks:
            checkpoint_blocks(self.model)
        self.criterion = build_criterion(cfg, self.model)
        getattr(self.criterion, "set_epoch", lambda epoch: None)(cfg.train.max_epoch)  # all parts of the loss count
        self.options = StepOptions(**step_kwargs(cfg))

    def weights(self) -> int:
        return _bytes(self._own())

    def gradients(self) -> int:
        return _bytes(parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def optimizer(self) -> int:
        """State of the optimiser after a step of weights without memory, and averaged weights."""
        own = build_optimizer(self.model, self.cfg)
        groups = [{**group, "params": [_without_memory(p) for p in group["params"]]} for group in own.param_groups]
        copy: Any = type(own)(groups, **own.defaults)
        copy.step()
        state = [value for each in copy.state.values() for value in each.values() if isinstance(value, Tensor)]
        return _bytes(state) + (_bytes(tensors_of(self.model).values()) if self.options.ema else 0)

    def kept(self, batch: int) -> int:
        samples, pids = self.samples(batch)
        return saved_bytes(lambda: self._loss(samples, pids), (*self._own(), *samples.values()))

    def moments(self, batch: int) -> list[int]:
        """Bytes of the batch, of what comes and goes, and of gradients, moment by moment of a step.

        During the forward pass the gradients of the step before are still there.
        """
        for parameter in self.model.parameters():
            parameter.grad = None
        with LiveBytes(self._own()) as live:
            samples, pids = self.samples(batch)
            loss = self._loss(samples, pids)
            forward = len(live.moments)
            loss.backward()
        gradients = self.gradients()
        return [number + (gradients if place < forward else 0) for place, number in enumerate(live.moments)]

    def tested(self, batch: int) -> list[int]:
        self.model.eval()
        with LiveBytes(self._own()) as live, torch.no_grad(), self.options.autocast("cpu"):
            self.model(self.samples(batch)[0])
        return live.moments

    def samples(self, batch: int) -> tuple[ModalBatch, Tensor]:
        """Pairs of samples of an identity, of two bands where samples are single images."""
        slots, bands = self.data["images_per_sample"], len(self.data["modalities"])
        number = torch.arange(batch)
        modality = (number % 2 % bands)[:, None] if slots == 1 else torch.arange(slots).repeat(batch, 1)
        images = torch.randn(batch, slots, 3, self.cfg.data.height, self.cfg.data.width)
        return ModalBatch.of(images, modality, torch.zeros_like(number)), number // 2

    def _loss(self, samples: ModalBatch, pids: Tensor) -> Tensor:
        self.model.train()
        with self.options.autocast("cpu"):
            output = in_float32(self.model(samples))
        if self.criterion is None:  # torchreid's own, whose triplets keep little
            logits = output[0] if isinstance(output, tuple) else output
            return nn.functional.cross_entropy(logits[0] if isinstance(logits, list) else logits, pids)
        return criterion_loss(self.criterion, output, pids)[0]

    def _own(self) -> list[Tensor]:
        return [*self.model.parameters(), *self.model.buffers(), *(self.criterion.buffers() if self.criterion else ())]


def _facts(cfg: Any) -> dict[str, Any]:
    """What a run's record of its data would say, from the class of the first of ``data.sources``."""
    factory: Any = host.dataset_factory(cfg.data.sources[0])
    of_bands = isinstance(factory, partial) and "whole" in factory.keywords  # triples whose images are samples
    kind = factory.keywords["whole"] if of_bands else factory
    return {
        "cameras": max(1, int(getattr(kind, "num_cameras", 0))),
        "modalities": list(getattr(kind, "modalities", ("visible",))),
        "images_per_sample": 1 if of_bands else int(getattr(kind, "images_per_sample", 1)),
    }


def _without_memory(parameter: Tensor) -> Tensor:
    copy = torch.empty_like(parameter, device="meta").requires_grad_()
    copy.grad = torch.empty_like(copy)
    return copy


def _bytes(tensors: Any) -> int:
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())
