"""What a MIP says of its prompts: in training, and on test images before and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from promptreid.evaluation.statistics.nearest_mean import accuracy_across, accuracy_within
from promptreid.methods.base import Finding, StepReport
from promptreid.methods.mip.diagnostics import (
    RelativeSpread,
    identity_variance_ratio,
    instance_prompt_spread,
    modality_prompt_cosine,
    modality_prompt_distance,
    modality_prompts_of,
    prompt_accuracy,
    relative_spread,
)
from promptreid.methods.mip.options import MIPOptions
from promptreid.models.present_images import labels_of_images

COLLAPSED_SPREAD = 1e-3  # of the prompts' own length; a newly initialised ViT-B has 0.25 to 0.7
COLLAPSED_RATIO = 0.5  # prompts that are independent of the identity have 1


MEASURES = {
    "cosine": "cosine between the modalities' prompts",
    "distance": "distance between the modalities' prompts",
    "spread": "spread of an image's prompts, of their length",
    "ratio": "variance between identities over that within",
    "within": "nearest mean, same modality, other images",
    "across": "nearest mean, other modality",
}
"""What each measure is called."""


@dataclass(frozen=True)
class PromptMeasures:
    """One value per prompted layer; empty where a model has none such prompts.

    Attributes:
        cosine: :func:`~promptreid.methods.mip.diagnostics.modality_prompt_cosine`.
        distance: :func:`~promptreid.methods.mip.diagnostics.modality_prompt_distance`.
        spread: :func:`~promptreid.methods.mip.diagnostics.relative_spread` of the instance prompts.
        ratio: :func:`~promptreid.methods.mip.diagnostics.identity_variance_ratio` of these.
        within: :func:`~promptreid.evaluation.statistics.nearest_mean.accuracy_within` of these: every second image of
            an identity in a modality against the means of the others.
        across: The same, for the images of a modality against the means of each other one.
    """

    cosine: list[float]
    distance: list[float]
    spread: list[float]
    ratio: list[float]
    within: list[float]
    across: list[float]

    labels: ClassVar[Mapping[str, str]] = MEASURES


def report_step(model: Any, output: Mapping[str, Any], pids: Tensor) -> StepReport:
    """Distance, spread, identity ratio and accuracy of the prompts of a training step, and whether they collapsed.

    Args:
        model: a :class:`~promptreid.methods.mip.model.MIP`.
        output: its ``PromptOutput``.
        pids: classes of the images, shape (n,).
    """
    prompts = output["prompts"]
    layers = {
        "distance": modality_prompt_distance(model),
        "spread": instance_prompt_spread(prompts),
        "identity_ratio": identity_variance_ratio(prompts, pids),
        "accuracy": prompt_accuracy(output["prompt_logits"], pids),
    }
    copies = [] if _copies_by_design(model.options) else [_copies(relative_spread(prompts))]
    return StepReport(layers, [*copies, _lost_identity(layers["identity_ratio"])])


def learned_prompts(model: Any) -> dict[str, dict[str, Tensor]]:
    """The modality prompts of each modality by layer, from 1, each (j, D).

    Args:
        model: a :class:`~promptreid.methods.mip.model.MIP`.
    """
    prompts = modality_prompts_of(model)
    if prompts is None:
        return {}
    names = model.modalities if prompts.shape[1] == len(model.modalities) else ["all modalities"]
    return {
        name: {str(number): layer[place] for number, layer in enumerate(prompts, start=1)}
        for place, name in enumerate(names)
    }


def _copies(spreads: list[float]) -> Finding:
    layers = [str(layer) for layer, spread in enumerate(spreads, start=1) if spread <= COLLAPSED_SPREAD]
    return Finding(
        "copies",
        bool(layers),
        f"COLLAPSED PROMPTS: the instance prompts of layer {', '.join(layers)} are copies of one another, which "
        "this model does not intend; see docs/mip.md, Diagnostics",
    )


def _lost_identity(ratios: list[float]) -> Finding:
    defined = [ratio for ratio in ratios if not math.isnan(ratio)]
    return Finding(
        "identity",
        bool(defined) and max(defined) < COLLAPSED_RATIO,
        f"COLLAPSED PROMPTS: the instance prompts of every layer vary less than {COLLAPSED_RATIO} times as much "
        "between identities as within them; see docs/mip.md, Diagnostics",
    )


def _copies_by_design(options: MIPOptions) -> bool:
    return options.generator == "ipg" and options.queries == "zero"


@torch.no_grad()
def diagnose(model: Any, batches: Sequence[Any]) -> tuple[PromptMeasures, int]:
    """Measures of the instance and modality prompts on test images, and the number of identities among these.

    Args:
        model: a :class:`~promptreid.methods.mip.model.MIP` in evaluation mode.
        batches: iterables of batches with ``img`` and ``pid``.

    Raises:
        ValueError: a model without prompts.
    """
    if not model.options.prompted:
        raise ValueError("it has no prompts; choose one of mip_*")
    device = next(model.parameters()).device
    # Of each image the mean of its prompts, which is all that the measures of identities look at.
    means: list[list[Tensor]] = []
    spread = RelativeSpread()
    labels: list[Tensor] = []
    modalities: list[Tensor] = []
    for loader in batches:
        for batch in loader:
            output = model.outputs(batch["img"].to(device))
            prompts = [layer.float() for layer in output["prompts"]]
            means.append([layer.mean(dim=1, keepdim=True).cpu() for layer in prompts])
            spread.add(prompts)
            labels.append(labels_of_images(batch["pid"], output["present"].cpu()))
            modalities.append(output["modality"].cpu())
    layers = [torch.cat(parts) for parts in zip(*means, strict=True)]
    pids, modality = torch.cat(labels), torch.cat(modalities)
    measures = PromptMeasures(
        cosine=modality_prompt_cosine(model),
        distance=modality_prompt_distance(model),
        spread=spread.of_layers(),
        ratio=identity_variance_ratio(layers, pids),
        within=accuracy_within(layers, pids, modality),
        across=accuracy_across(layers, pids, modality),
    )
    return measures, len(pids.unique())
