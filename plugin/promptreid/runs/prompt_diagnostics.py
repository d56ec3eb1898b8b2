"""What training made of the prompts of a MIP: the same measures on the model as built and as trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from promptreid.engine.checkpoints.random_state import seed_everything
from promptreid.methods.mip.diagnostics import (
    identity_variance_ratio,
    modality_prompt_cosine,
    modality_prompt_distance,
    nearest_mean_accuracy,
    relative_spread,
)
from promptreid.methods.mip.model import MIP
from promptreid.models.present_images import labels_of_images
from promptreid.runs.build import build_model
from promptreid.runs.load_trained import open_target, trained_engine

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
        within: :func:`~promptreid.methods.mip.diagnostics.nearest_mean_accuracy` of these: every second image of an
            identity in a modality against the means of the others.
        across: The same, for the images of a modality against the means of each other one.
    """

    cosine: list[float]
    distance: list[float]
    spread: list[float]
    ratio: list[float]
    within: list[float]
    across: list[float]


@dataclass(frozen=True)
class PromptReport:
    """The measures before and after training.

    Attributes:
        before: of the model as the run built it.
        after: of the trained one.
        identities: P, among the test images.
    """

    before: PromptMeasures
    after: PromptMeasures
    identities: int

    def text(self) -> str:
        """A table in plain text: the smallest and the largest value of the layers."""
        lines = [f"prompts on {self.identities} unseen identities (chance {1 / self.identities:.3f}), over the layers"]
        lines.append(f"{'':48}{'before':>20}{'after':>20}")
        for name, label in MEASURES.items():
            values = [_range(getattr(measures, name)) for measures in (self.before, self.after)]
            lines.append(f"{label:48}{values[0]:>20}{values[1]:>20}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, None for what is not defined."""
        stages = {"before": self.before, "after": self.after}
        return {
            "identities": self.identities,
            **{
                stage: {field.name: [_plain(v) for v in getattr(measures, field.name)] for field in fields(measures)}
                for stage, measures in stages.items()
            },
        }


def diagnose_prompts(cfg: Any) -> PromptReport:
    """Measure the prompts on the test images of a run's one target, before and after its training.

    Before: the model of ``train.seed`` that the run started from. After: ``model.load_weights``, or else the run's
    newest checkpoint. Nothing is written.

    Args:
        cfg: a tree from ``load_config``.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or checkpoint that cannot be used, or another model
            than MIP.
    """
    datamanager, name = open_target(cfg)
    loaders = datamanager.test_loader[name]
    seed_everything(cfg.train.seed)
    fresh: Any = build_model(cfg, datamanager, torch.cuda.is_available())
    _check(fresh, cfg)
    trained: Any = trained_engine(cfg, datamanager).model
    trained = getattr(trained, "module", trained)
    fresh = fresh.to(next(trained.parameters()).device)
    images = [loaders[split] for split in ("query", "gallery")]
    (before, count), (after, _) = (_measure(model.eval(), images) for model in (fresh, trained))
    return PromptReport(before, after, count)


def _check(model: Any, cfg: Any) -> None:
    if not isinstance(model, MIP) or not model.options.prompted:
        raise ValueError(f"model.name {cfg.model.name!r} has no prompts of MIP to measure; choose one of mip_*")


@torch.no_grad()
def _measure(model: MIP, loaders: Sequence[Any]) -> tuple[PromptMeasures, int]:
    device = next(model.parameters()).device
    prompts: list[list[Tensor]] = []
    labels: list[Tensor] = []
    modalities: list[Tensor] = []
    for loader in loaders:
        for batch in loader:
            output = model.outputs(batch["img"].to(device))
            prompts.append([layer.float().cpu() for layer in output["prompts"]])
            labels.append(labels_of_images(batch["pid"], output["present"].cpu()))
            modalities.append(output["modality"].cpu())
    layers = [torch.cat(parts) for parts in zip(*prompts, strict=True)]
    pids, modality = torch.cat(labels), torch.cat(modalities)
    measures = PromptMeasures(
        cosine=modality_prompt_cosine(model),
        distance=modality_prompt_distance(model),
        spread=relative_spread(layers),
        ratio=identity_variance_ratio(layers, pids),
        within=_within(layers, pids, modality),
        across=_across(layers, pids, modality),
    )
    return measures, len(pids.unique())


def _within(layers: Sequence[Tensor], pids: Tensor, modality: Tensor) -> list[float]:
    """Mean over modalities."""
    accuracies = []
    for kind in modality.unique():
        rows = (modality == kind).nonzero().squeeze(1)
        # Numbers of an identity's images from 0: the even ones are known, the odd ones are to be recognised.
        numbers = (pids[rows][:, None] == pids[rows]).tril(-1).sum(dim=1)
        known, held_out = rows[numbers % 2 == 0], rows[numbers % 2 == 1]
        accuracies.append(_accuracy(layers, pids, known, held_out))
    return _mean(accuracies)


def _across(layers: Sequence[Tensor], pids: Tensor, modality: Tensor) -> list[float]:
    """Mean over ordered pairs of modalities; identities that lack one are left out."""
    accuracies = []
    kinds = modality.unique().tolist()
    for one in kinds:
        for other in kinds:
            known = (modality == one).nonzero().squeeze(1)
            held_out = ((modality == other) & torch.isin(pids, pids[known])).nonzero().squeeze(1)
            if one != other:
                accuracies.append(_accuracy(layers, pids, known, held_out))
    return _mean(accuracies)


def _accuracy(layers: Sequence[Tensor], pids: Tensor, known: Tensor, held_out: Tensor) -> list[float]:
    if not len(held_out):
        return [math.nan] * len(layers)
    return nearest_mean_accuracy(
        [layer[known] for layer in layers], pids[known], [layer[held_out] for layer in layers], pids[held_out]
    )


def _mean(accuracies: Sequence[Sequence[float]]) -> list[float]:
    return [sum(values) / len(values) for values in zip(*accuracies, strict=True)]


def _range(values: Sequence[float]) -> str:
    defined = [value for value in values if not math.isnan(value)]
    return f"{min(defined):.3g} to {max(defined):.3g}" if defined else "-"


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
