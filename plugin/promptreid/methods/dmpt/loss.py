"""The total loss of DMPT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.losses.alignment import ModalityTextLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.triplet import BatchHardTripletLoss
from promptreid.models.present_images import labels_of_images


class DMPTLoss(nn.Module):
    """L4, identity + triplet + visual-language alignment, weighted.

    Where a model has a head per modality, a part is the plain mean over the heads that have images: no head is more
    global than another, a weight means the same for one joint head and for several, and torchreid averages likewise.
    (The family's public codes add the heads up instead; multiply the weights by their number to have that.) Rows
    without an image in a head's slot do not count in it.

    Where the sentences are about identities, a weight of 0.1 and a temperature of 0.07 are those of ICPL-ReID (TMM
    2025) and of CLIP's training.

    The weights, the smoothing and the soft margin are those of public relatives of DMPT, whose own are not known.

    - [0]: Lin et al., DMPT: Decoupled Modality-aware Prompt Tuning for Multi-modal Object Re-identification, WACV 2025

    Args:
        identity_weight: See above, as the two that follow.
        triplet_weight: See above.
        alignment_weight: See above.
        label_smoothing: Of the identity loss.
        margin: Of the triplet loss; None for the soft margin.
        alignment_of: What the sentences are about: ``modality`` or ``identity``.
        alignment_symmetric: See :class:`~promptreid.losses.alignment.ModalityTextLoss`.

    Attributes:
        weights: Weight of each part, by the names ``identity``, ``triplet``, ``alignment``; parts of weight 0 are not
            computed.

    Raises:
        ValueError: If a weight is negative, nothing tells identities apart, or sentences are about something else.

    Examples:
        >>> total, parts = DMPTLoss()(model(batch), pids)
    """

    def __init__(
        self,
        identity_weight: float = 0.25,
        triplet_weight: float = 1.0,
        alignment_weight: float = 1.0,
        label_smoothing: float = 0.1,
        margin: float | None = None,
        alignment_of: str = "modality",
        alignment_symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.weights = {"identity": identity_weight, "triplet": triplet_weight, "alignment": alignment_weight}
        negative = {name: weight for name, weight in self.weights.items() if weight < 0}
        if negative:
            raise ValueError(f"weights must be at least 0, got {negative}")
        if identity_weight == triplet_weight == 0:
            raise ValueError("identity_weight and triplet_weight are both 0, so nothing tells identities apart")
        if alignment_of not in ("modality", "identity"):
            raise ValueError(f"alignment_of must be 'modality' or 'identity', got {alignment_of!r}")
        self.alignment_of = alignment_of
        self.identity = IdentityLoss(label_smoothing)
        self.triplet = BatchHardTripletLoss(margin)
        self.alignment = ModalityTextLoss(alignment_symmetric)

    def forward(self, inputs: Mapping[str, Any], targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss.

        Args:
            inputs: A model's ``PromptOutput``, or any mapping with its keys ``logits``, ``features`` and ``present``,
                and ``alignment_logits`` and ``modality`` unless their weight is 0.
            targets: Identities, shape (B,).

        Returns:
            The weighted total, and each active part, detached and before weighting, by name.

        Raises:
            ValueError: The model gives no alignment logits.
        """
        terms = {
            "identity": lambda: _mean_over_heads(self.identity, inputs["logits"], inputs["present"], targets),
            "triplet": lambda: _mean_over_heads(self.triplet, inputs["features"], inputs["present"], targets),
            "alignment": lambda: self._aligned(inputs, targets),
        }
        parts = {name: term() for name, term in terms.items() if self.weights[name] > 0}
        total = torch.stack([self.weights[name] * part for name, part in parts.items()]).sum()
        return total, {name: part.detach() for name, part in parts.items()}

    def _aligned(self, inputs: Mapping[str, Any], targets: Tensor) -> Tensor:
        if "alignment_logits" not in inputs:
            raise ValueError(
                "the model has no alignment, and its loss weighs "
                f"{self.weights['alignment']}: build the model with alignment True, or set alignment_weight to 0"
            )
        labels = inputs["modality"]
        if self.alignment_of == "identity":
            labels = labels_of_images(targets, inputs["present"], len(labels))
        loss: Tensor = self.alignment(inputs["alignment_logits"], labels)
        return loss


def _mean_over_heads(
    criterion: Callable[[Tensor, Tensor], Tensor], heads: list[Tensor], present: Tensor, targets: Tensor
) -> Tensor:
    """The mean of a criterion over the heads: a joint one on all rows, those of slots on the rows with an image."""
    if len(heads) == 1:
        return criterion(heads[0], targets)
    rows = [flags.nonzero().flatten() for flags in present.unbind(1)]
    chosen = [(head[row], targets[row]) for head, row in zip(heads, rows, strict=True) if len(row)]
    return torch.stack([criterion(head, labels) for head, labels in chosen]).mean()
