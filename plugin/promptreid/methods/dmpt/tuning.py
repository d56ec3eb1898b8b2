"""What DMPT can train beside its prompts: options that the paper does not have, each off by default."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.methods.dmpt.adapter import Adapter
from promptreid.methods.dmpt.exchange import ExchangeAdapter
from promptreid.methods.dmpt.fusion import Fusion
from promptreid.methods.dmpt.lora import LoRA
from promptreid.methods.dmpt.options import DMPTOptions
from promptreid.methods.dmpt.plan import Plan
from promptreid.models.backbones.beside import NOTHING, Beside
from promptreid.models.present_images import Slots

logger = logging.getLogger(__name__)


class TunedBlocks(nn.Module):
    """Adapters, exchange and low-rank changes of the prompted blocks, and weights of the features; a base of the model.

    Attributes:
        options: Which DMPT.
        plan: Which blocks are prompted; the same ones are changed.
        adapter: An :class:`Adapter` for each of them, if the options have it.
        exchange: An :class:`ExchangeAdapter` for each, likewise.
        lora: A :class:`LoRA` for each, likewise.
        fusion: See there.
    """

    options: DMPTOptions
    plan: Plan
    adapter: nn.ModuleList | None
    exchange: nn.ModuleList | None
    lora: nn.ModuleList | None
    fusion: Fusion | None

    def add_tuning(self, tower: Any, modalities: int, images_per_sample: int) -> None:
        """Make what the options ask for; after all other parts, so that these start as they do without.

        Args:
            tower: Of the model.
            modalities: How many it knows.
            images_per_sample: M.

        Raises:
            ValueError: An exchange or a fusion without a second image in a sample.
        """
        options = self.options
        for name in ("exchange", "fusion"):
            value = getattr(options, name)
            if value and images_per_sample < 2:
                raise ValueError(
                    f"dmpt.{name}={value} is between the images of a sample, and a sample has one "
                    f"(images_per_sample={images_per_sample}); set dmpt.{name} {type(value)()}"
                )
        if not options.frozen and (options.adapter or options.lora):
            logger.warning(
                "dmpt.adapter and dmpt.lora change frozen blocks, and dmpt.frozen False trains the blocks themselves; "
                "set both 0, or dmpt.frozen True"
            )
        dim, sets = tower.dim, 1 if options.adapter_shared else modalities
        self.adapter = self._each(options.adapter, lambda: Adapter(dim, options.adapter, sets, options.adapter_scale))
        self.exchange = self._each(options.exchange, lambda: ExchangeAdapter(dim, options.exchange))
        self.lora = self._each(options.lora, lambda: LoRA(dim, options.lora, options.lora_alpha))
        self.fusion = Fusion(modalities, tower.out_dim) if options.fusion else None

    def _each(self, wanted: int, make: Callable[[], nn.Module]) -> nn.ModuleList | None:
        """One for each prompted block."""
        return nn.ModuleList(make() for _ in range(self.plan.first, self.plan.last + 1)) if wanted else None

    def beside(self, layer: int, own: int, slots: Slots) -> Beside:
        """What is added in a block.

        Args:
            layer: Its number, from 1.
            own: How many tokens of each image are its own, prefix and patches; they stand first.
            slots: Of the images.
        """
        if not self.plan.first <= layer <= self.plan.last:
            return NOTHING
        number = layer - self.plan.first
        parts: list[Any] = [self.adapter, self.exchange, self.lora]
        adapter, exchange, lora = (None if part is None else part[number] for part in parts)
        mlp = None if adapter is exchange is None else partial(_beside_mlp, adapter, exchange, own, slots)
        return Beside(mlp) if lora is None else Beside(mlp, lora.query, lora.value)

    def fused(self, features: Tensor, slots: Slots) -> Tensor:
        """Features (n, D_out) times their weights, or as they are."""
        return features if self.fusion is None else features * self.fusion(features, slots)


def _beside_mlp(adapter: Any, exchange: Any, own: int, slots: Slots, tokens: Tensor) -> Tensor:
    """What adapter and exchange add for normed tokens (n, k, D)."""
    changes: Tensor | None = None if adapter is None else adapter(tokens, slots.modality)
    if exchange is None:
        assert changes is not None
        return changes
    told: Tensor = exchange(tokens[:, :own], slots)
    told = F.pad(told, (0, 0, 0, tokens.shape[1] - told.shape[1]))
    return told if changes is None else changes + told
