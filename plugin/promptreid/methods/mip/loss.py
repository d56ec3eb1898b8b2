"""The total loss of MIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.losses.global_local import GlobalLocalLoss
from promptreid.losses.iael import InstanceAwareEnhancementLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.msel import ModalitySharedEnhancementLoss
from promptreid.losses.triplet import BatchHardTripletLoss
from promptreid.models.present_images import labels_of_images


class MIPLoss(nn.Module):
    """Identity + triplet + MSEL + IAEL, weighted. The defaults are :meth:`paper`.

    - [0]: Wu et al., Enhancing Visible-Infrared Person Re-identification with Modality- and Instance-aware Visual
      Prompt Learning, ICMR 2024

    Attributes:
        weights: Weight of each part, by the names ``identity``, ``triplet``, ``msel``, ``iael``; parts of weight 0
            are not computed.
        msel_start_epoch: The first epoch with MSEL, counted from 1.
        epoch: The current epoch, counted from 1; set by :meth:`set_epoch`.

    Raises:
        ValueError: If a weight or the epoch is negative.

    Examples:
        >>> criterion = MIPLoss.release()
        >>> criterion.set_epoch(10)
        >>> total, parts = criterion(model(batch), pids)
    """

    def __init__(
        self,
        identity_weight: float = 1.0,
        triplet_weight: float = 1.0,
        msel_weight: float = 0.0,
        iael_weight: float = 0.5,
        msel_start_epoch: int = 10,
        global_weight: float = 0.5,
        margin: float | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.weights = {
            "identity": identity_weight,
            "triplet": triplet_weight,
            "msel": msel_weight,
            "iael": iael_weight,
        }
        negative = {name: weight for name, weight in self.weights.items() if weight < 0}
        if negative or msel_start_epoch < 0:
            raise ValueError(f"weights and epochs must be at least 0, got {negative or msel_start_epoch}")
        if identity_weight == triplet_weight == 0:
            raise ValueError("identity_weight and triplet_weight are both 0, so nothing tells identities apart")
        self.msel_start_epoch = msel_start_epoch
        self.epoch = 1
        self.identity = GlobalLocalLoss(IdentityLoss(label_smoothing), global_weight)
        self.triplet = GlobalLocalLoss(BatchHardTripletLoss(margin), global_weight)
        self.msel = GlobalLocalLoss(ModalitySharedEnhancementLoss(), global_weight)
        self.iael = InstanceAwareEnhancementLoss()

    @classmethod
    def paper(cls, **changes: Any) -> MIPLoss:
        """The paper's losses: identity, triplet and IAEL; the weight of IAEL is the released code's."""
        return cls(**changes)

    @classmethod
    def release(cls, **changes: Any) -> MIPLoss:
        """The released training's losses: identity, triplet and, from epoch 10, MSEL."""
        return cls(**{"msel_weight": 0.5, "iael_weight": 0.0, **changes})

    def set_epoch(self, epoch: int) -> None:
        """Tell the loss the current epoch, counted from 1."""
        self.epoch = epoch

    def forward(self, inputs: Mapping[str, Any], targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss.

        Args:
            inputs: A model's ``PromptOutput``, or any mapping with its keys ``logits``, ``features``, ``modality`` and
                ``prompt_logits``, and ``present`` where samples have several images.
            targets: Identities, shape (B,).

        Returns:
            The weighted total, and each active part, detached and before weighting, by name.
        """
        terms = {
            "identity": lambda: self.identity(inputs["logits"], targets),
            "triplet": lambda: self.triplet(inputs["features"], targets),
            "msel": lambda: self.msel(inputs["features"], targets, inputs["modality"]),
            "iael": lambda: self.iael(inputs["prompt_logits"], _of_images(targets, inputs)),
        }
        parts = {name: term() for name, term in terms.items() if self.active(name)}
        total = torch.stack([self.weights[name] * part for name, part in parts.items()]).sum()
        return total, {name: part.detach() for name, part in parts.items()}

    def active(self, name: str) -> bool:
        """Whether a part counts in the current epoch."""
        started = name != "msel" or self.epoch >= self.msel_start_epoch
        return started and self.weights[name] > 0


def _of_images(targets: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """The identity of every image: prompts belong to images, not to samples."""
    return labels_of_images(targets, inputs["present"], len(inputs["modality"])) if "present" in inputs else targets
