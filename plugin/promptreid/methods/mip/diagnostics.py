"""Whether prompts do their work: measures with one value per prompted layer, without gradients.

A value is NaN where the batch leaves it undefined, or where the prompts hold a NaN.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from promptreid.evaluation.statistics.nearest_mean import check_batch
from promptreid.methods.mip.model import MIP
from promptreid.models.backbones.partial_block import Context


@torch.no_grad()
def modality_prompt_distance(model: MIP) -> list[float]:
    """How far apart the modality prompts of different modalities are.

    The Euclidean distance between prompt t of one modality and prompt t of another, averaged over t = 1 .. j and over
    all pairs of modalities. Prompts are taken as the blocks see them, after the projection and the adapter, if there
    is one, but without dropout. Attention does not know the order of prompts, so 0 means that the modalities have the
    same prompts, while the same prompts in another order have a distance above 0.

    Returns:
        One value >= 0 per layer; 0 is bad: nothing in the prompts tells the modalities apart. Empty where there is no
        pair: without modality prompts, with naive ones, or with a single modality.
    """
    pairs = _modality_prompt_pairs(model)
    if pairs is None:
        return []
    return (pairs[0] - pairs[1]).norm(dim=-1).mean(dim=(1, 2)).tolist()


@torch.no_grad()
def modality_prompt_cosine(model: MIP) -> list[float]:
    """How alike the modality prompts of different modalities are, whatever their length.

    The cosine between the mean prompts, over t = 1 .. j, of two modalities, averaged over all pairs of modalities; the
    prompts are those of :func:`modality_prompt_distance`. Means do not depend on the order of the prompts, and neither
    does attention.

    Returns:
        One value in [-1, 1] per layer; 1 is bad: in their mean, prompts do not tell the modalities apart. Empty where
        there is no pair of modalities.
    """
    pairs = _modality_prompt_pairs(model)
    if pairs is None:
        return []
    first, second = (prompts.mean(dim=2) for prompts in pairs)
    return F.cosine_similarity(first, second, dim=-1).mean(dim=1).tolist()


@torch.no_grad()
def instance_prompt_spread(prompts: Sequence[Tensor]) -> list[float]:
    """How different the instance prompts of one image are: their mean pairwise Euclidean distance, over all images.

    Args:
        prompts: Of each layer, (B, j, D).

    Returns:
        One value >= 0 per layer; 0 is bad: the prompts have collapsed into j copies of one, as zero queries make them.
        NaN if j = 1.
    """
    return [_mean_pairwise_distance(layer.float()) for layer in prompts]


@torch.no_grad()
def relative_spread(prompts: Sequence[Tensor]) -> list[float]:
    """The spread of each layer, (B, j, D), divided by the mean Euclidean length of its prompts: free of their scale.

    Returns:
        One value in [0, 2] per layer, to be read like :func:`instance_prompt_spread`; NaN if j = 1.
    """
    spread = RelativeSpread()
    spread.add(prompts)
    return spread.of_layers()


class RelativeSpread:
    """:func:`relative_spread` of a test set, a batch at a time: prompts of all its images would take gigabytes."""

    def __init__(self) -> None:
        self._sums: list[list[float]] = []  # of each layer: spreads, lengths, images

    def add(self, prompts: Sequence[Tensor]) -> None:
        """Take in a batch: prompts of each layer, (B, j, D)."""
        self._sums = self._sums or [[0.0, 0.0, 0.0] for _ in prompts]
        for sums, spread, layer in zip(self._sums, instance_prompt_spread(prompts), prompts, strict=True):
            length = layer.float().norm(dim=-1).mean().item()
            for place, value in enumerate((spread, length, 1.0)):
                sums[place] += value * len(layer)

    def of_layers(self) -> list[float]:
        """One value per layer, over all images so far."""
        # Prompts that are all zero are copies too: 0, not 0 / 0.
        return [spread / count / max(length / count, sys.float_info.min) for spread, length, count in self._sums]


@torch.no_grad()
def identity_variance_ratio(prompts: Sequence[Tensor], pids: Tensor) -> list[float]:
    """How much of the instance prompts' variance belongs to the identity: the F statistic of their means.

    With r_n the mean of the j prompts of image n, m_p the mean of r over the N_p images of identity p, and m the mean
    over all N images of P identities::

        between = sum_p N_p |m_p - m|^2 / (P - 1)
        within  = sum_n |r_n - m_{p(n)}|^2 / (N - P)
        ratio   = between / within

    An identity with a single image counts in ``between`` and adds nothing to ``within``. Whatever differs between the
    images of one identity is in ``within``: the modality and the camera too.

    Args:
        prompts: Of each layer, (B, j, D).
        pids: Shape (B,).

    Returns:
        One value >= 0 per layer. Where prompts are independent of the identity it is 1 on average; below, images of
        one identity differ more than that, as where prompts show the modality and each identity has both. 0 if all
        means m_p are equal, infinite if only ``within`` is zero (up to the rounding of float64), and NaN if the batch
        has one identity, or no identity with two images.

    Raises:
        ValueError: Not as many pids as images.
    """
    check_batch(prompts, pids)
    return [_variance_ratio(layer.double().mean(dim=1), pids) for layer in prompts]


@torch.no_grad()
def prompt_accuracy(prompt_logits: Sequence[Tensor], pids: Tensor) -> list[float]:
    """How often the identity logits of IAEL are right.

    Args:
        prompt_logits: Of each layer, (B, C).
        pids: Classes, shape (B,).

    Returns:
        The share of images, in [0, 1], whose highest logit is that of their identity, per layer; 1 / C is chance.

    Raises:
        ValueError: Not as many pids as images.
    """
    check_batch(prompt_logits, pids)
    return [(logits.argmax(dim=1) == pids).double().mean().item() for logits in prompt_logits]


@torch.no_grad()
def modality_prompts_of(model: MIP) -> Tensor | None:
    """The modality prompts as the blocks see them but without dropout, (layers, sets, j, D); None without any.

    There is a set for each modality, or one for all of them (naive prompts).
    """
    if model.modality_prompts is None:
        return None
    prompts: Tensor = model.modality_prompts.projection(model.modality_prompts.library)
    if model.prompt_adapters is not None:
        adapted = zip(model.prompt_adapters, prompts, strict=True)
        prompts = torch.stack([adapter(Context(layer)).tokens for adapter, layer in adapted])
    return prompts


def _modality_prompt_pairs(model: MIP) -> tuple[Tensor, Tensor] | None:
    """The two modality prompts of each pair of modalities, (layers, pairs, j, D) each, as the blocks see them."""
    prompts = modality_prompts_of(model)
    if prompts is None:
        return None
    first, second = torch.triu_indices(prompts.shape[1], prompts.shape[1], offset=1)
    return (prompts[:, first], prompts[:, second]) if len(first) else None


def _mean_pairwise_distance(prompts: Tensor) -> float:
    images, length, _ = prompts.shape
    if length < 2:
        return math.nan
    # Without this mode distances of many rows are made of inner products, and equal rows get one above 0.
    distances = torch.cdist(prompts, prompts, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.sum().item() / (images * length * (length - 1))


def _variance_ratio(vectors: Tensor, pids: Tensor) -> float:
    people, labels = pids.unique(return_inverse=True)
    if not 1 < len(people) < len(pids):
        return math.nan
    vectors = vectors - vectors[0]  # images that are all the same become exactly zero
    members = (pids == people[:, None]).to(vectors)
    counts = members.sum(dim=1, keepdim=True)
    means = members @ vectors / counts
    between = (counts * (means - vectors.mean(dim=0)).square()).sum().item() / (len(people) - 1)
    within = (vectors - means[labels]).square().sum().item() / (len(pids) - len(people))
    if between == 0:
        return 0.0
    return math.inf if within <= sys.float_info.epsilon * between else between / within
