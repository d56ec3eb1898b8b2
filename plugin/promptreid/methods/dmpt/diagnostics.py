"""Whether DMPT's prompts do their work: measures on test images, with one value per prompted block.

An interaction has a value per interaction block. A list is empty where a model has none of these prompts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from promptreid.evaluation.statistics.nearest_mean import accuracy_across, accuracy_within
from promptreid.methods.dmpt.encoder import SEMANTIC, WORDS
from promptreid.methods.dmpt.inspection import watched_pass
from promptreid.models.inspection import IMAGE, Exchange, image_tokens
from promptreid.models.present_images import Slots, labels_of_images, size_of, slots_of

MEASURES = {
    "length": "length of the semantic prompts",
    "attention": "class token's attention on prompts",
    "distance": "distance between the modalities' words, relative",
    "entropy": "entropy of the bind's attention, of the largest",
    "within": "nearest mean, same modality, other images",
    "across": "nearest mean, other modality",
}
"""What each measure is called."""


@dataclass(frozen=True)
class PromptMeasures:
    """One value per prompted block, or per interaction.

    Attributes:
        length: mean Euclidean length of the semantic prompts that enter.
        attention: share of the class token's attention that goes to prompts, in [0, 1], mean over heads and images.
        distance: :func:`relative_distance` of the modality prompts as they come to each block.
        entropy: :func:`bind_entropy` of each interaction, 1 where all that is read counts the same.
        within: :func:`~promptreid.evaluation.statistics.nearest_mean.accuracy_within` of the semantic prompts as each
            block leaves them, S_l.
        across: :func:`~promptreid.evaluation.statistics.nearest_mean.accuracy_across` of these.
    """

    length: list[float]
    attention: list[float]
    distance: list[float]
    entropy: list[float]
    within: list[float]
    across: list[float]

    labels: ClassVar[Mapping[str, str]] = MEASURES


@torch.no_grad()
def relative_distance(prompts: Sequence[Tensor]) -> float:
    """How far apart the prompts of different modalities are, by their length.

    The Euclidean distance between prompt t of one modality and prompt t of another, mean over t and over all pairs of
    modalities, divided by the mean length of all.

    Args:
        prompts: of each modality, (M, D).

    Returns:
        A value in [0, 2]; 0: the modalities have the same prompts. nan for a single modality.
    """
    if len(prompts) < 2:
        return math.nan
    distances = [(one - other).norm(dim=-1).mean() for one, other in combinations(prompts, 2)]
    length = torch.cat(list(prompts)).norm(dim=-1).mean()
    return float(torch.stack(distances).mean() / length.clamp(min=torch.finfo(length.dtype).tiny))


@torch.no_grad()
def bind_entropy(weights: Tensor) -> float:
    """How evenly bind prompts read the other modalities: the entropy of their attention, mean over heads and prompts.

    Args:
        weights: of :class:`~promptreid.models.inspection.Exchange`, (B, M, heads, b, M, s).

    Returns:
        In [0, 1], of the largest entropy that is possible: that of all prompts of the images that are there. nan where
        every image is alone, or there is one prompt to read.
    """
    flat = weights.flatten(-2)
    read = (flat.sum(dim=(2, 3)) > 0).sum(dim=-1)  # (B, M), how many prompts could be read
    entropy = -torch.xlogy(flat, flat).sum(dim=-1).mean(dim=(2, 3))
    several = read > 1
    return float((entropy[several] / read[several].log()).mean()) if bool(several.any()) else math.nan


@torch.no_grad()
def diagnose(model: Any, batches: Sequence[Any]) -> tuple[PromptMeasures, int]:
    """Measures of a model's prompts on test images, and the number of identities among these.

    Args:
        model: a :class:`~promptreid.methods.dmpt.model.DMPT` in evaluation mode.
        batches: iterables of batches with ``img`` and ``pid``.

    Raises:
        ValueError: a model without prompts.
    """
    if not model.prompt_families:
        raise ValueError("it has no prompts; switch on dmpt.semantic, dmpt.words or dmpt.bind")
    device = next(model.parameters()).device
    found = _Collected(model)
    for loader in batches:
        for batch in loader:
            found.add(batch["img"].to(device), batch["pid"])
    pids, modality = torch.cat(found.pids), torch.cat(found.modality)
    semantic = [torch.cat(parts) for _, parts in sorted(found.semantic.items())]
    sets = [] if model.semantic_prompts is None else list(model.semantic_prompts.prompts.detach().float())
    measures = PromptMeasures(
        length=[float(vectors.norm(dim=-1).mean()) for vectors in sets],
        attention=[sum(parts) / len(pids) for _, parts in sorted(found.attention.items())],
        distance=[_distance(sums, modality) for _, sums in sorted(found.words.items())],
        entropy=[_mean(values) for _, values in sorted(found.entropy.items())],
        within=accuracy_within(semantic, pids, modality) if semantic else [],
        across=accuracy_across(semantic, pids, modality) if semantic else [],
    )
    return measures, len(pids.unique())


class _Collected:
    """What is kept of each batch, by the number of the block."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.pids: list[Tensor] = []
        self.modality: list[Tensor] = []
        self.semantic: dict[int, list[Tensor]] = {}
        self.words: dict[int, dict[int, Tensor]] = {}
        self.attention: dict[int, list[float]] = {}
        self.entropy: dict[int, list[float]] = {}

    def add(self, images: Any, pids: Tensor) -> None:
        """Run a batch and keep what it shows."""
        model = self.model
        slots = slots_of(images, model.modalities, model.images_per_sample)

        def keep(layer: int, tokens: Tensor, lengths: Mapping[str, int]) -> None:
            if set(lengths) - set(IMAGE):
                self._keep(layer, tokens, lengths, slots)

        exchanges, _ = watched_pass(model, slots, keep)
        for exchange in exchanges:
            self._read(exchange)
        self.pids.append(labels_of_images(pids, slots.present.cpu()))
        self.modality.append(slots.modality.cpu())

    def _keep(self, layer: int, tokens: Tensor, lengths: Mapping[str, int], slots: Slots) -> None:
        modality, tower, own = slots.modality, self.model.tower, image_tokens(lengths)
        starts = dict(zip(lengths, torch.tensor([0, *lengths.values()]).cumsum(0).tolist(), strict=False))
        turns = tower.turns(size_of(slots.images), tokens.device)
        form = self.model.block_form(layer, own, slots, turns)
        first_row = tower.attention(layer - 1, tokens, form)[:, :, 0].mean(dim=1)
        on_prompts = 1 - first_row[:, :own].sum(dim=1)
        self.attention.setdefault(layer, []).append(float(on_prompts.sum()))
        if WORDS in lengths:
            words = tokens[:, starts[WORDS] : starts[WORDS] + lengths[WORDS]].double().cpu()
            sums = self.words.setdefault(layer, {})
            for kind in modality.unique().tolist():
                sums[kind] = sums.get(kind, torch.zeros(())) + words[modality.cpu() == kind].sum(dim=0)
        if SEMANTIC in lengths:
            place = slice(starts[SEMANTIC], starts[SEMANTIC] + lengths[SEMANTIC])
            after = tower.run(layer - 1, tokens, form=form)[:, place]
            self.semantic.setdefault(layer, []).append(after.float().mean(dim=1, keepdim=True).cpu())

    def _read(self, exchange: Exchange) -> None:
        value = bind_entropy(exchange.weights)
        if not math.isnan(value):
            self.entropy.setdefault(exchange.layer, []).append(value)


def _distance(sums: Mapping[int, Tensor], modality: Tensor) -> float:
    return relative_distance([total / int((modality == kind).sum()) for kind, total in sorted(sums.items())])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
