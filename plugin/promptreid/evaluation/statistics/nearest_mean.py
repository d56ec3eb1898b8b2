"""Whether identities are separable in some features: how often the nearest mean is that of the right identity."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

_ROWS = 4096  # images whose distances to all means are in memory at a time


@torch.no_grad()
def nearest_mean_accuracy(
    known: Sequence[Tensor], known_pids: Tensor, prompts: Sequence[Tensor], pids: Tensor
) -> list[float]:
    """How often an image's instance prompts are nearest to the mean prompts of its identity: are identities separable?

    An image is the mean r of its j prompts, with each dimension standardised by the mean and standard deviation of the
    known images; distances are Euclidean. It needs no classifier, and identities may be such
    as nobody was trained on.

    Args:
        known: Of each layer, prompts (N, j, D) of images whose means by identity are compared with.
        known_pids: Shape (N,).
        prompts: Of each layer, prompts (B, j, D) of other images.
        pids: Shape (B,).

    Returns:
        A share in [0, 1] per layer; 1 / P is chance for P known identities. NaN where the prompts hold one.

    Raises:
        ValueError: Not as many pids as images, or an identity that is not known.
    """
    check_batch(known, known_pids)
    check_batch(prompts, pids)
    unknown = sorted(set(pids.tolist()) - set(known_pids.tolist()))
    if unknown:
        raise ValueError(f"identities {unknown[:3]} have no known image to be compared with")
    return [_nearest_mean(a, known_pids, b, pids) for a, b in zip(known, prompts, strict=True)]


@torch.no_grad()
def accuracy_within(layers: Sequence[Tensor], pids: Tensor, modality: Tensor) -> list[float]:
    """:func:`nearest_mean_accuracy` within each modality, mean over these.

    Every second image of an identity in a modality is compared with the means of the others.

    Args:
        layers: Prompts of each layer, (n, j, D) of n images.
        pids: Of the images, (n,).
        modality: Likewise.
    """
    accuracies = []
    for kind in modality.unique():
        rows = (modality == kind).nonzero().squeeze(1)
        # The even ones of an identity's images are known, the odd ones are to be recognised.
        numbers = _numbers(pids[rows])
        known, held_out = rows[numbers % 2 == 0], rows[numbers % 2 == 1]
        accuracies.append(_accuracy(layers, pids, known, held_out))
    return _mean(accuracies, len(layers))


@torch.no_grad()
def accuracy_across(layers: Sequence[Tensor], pids: Tensor, modality: Tensor) -> list[float]:
    """The same of a modality's images against the means of another one, mean over ordered pairs of modalities.

    Identities that lack one are left out. nan where there is a single modality.
    """
    accuracies = []
    kinds = modality.unique().tolist()
    for one in kinds:
        for other in kinds:
            known = (modality == one).nonzero().squeeze(1)
            held_out = ((modality == other) & torch.isin(pids, pids[known])).nonzero().squeeze(1)
            if one != other:
                accuracies.append(_accuracy(layers, pids, known, held_out))
    return _mean(accuracies, len(layers))


def _numbers(pids: Tensor) -> Tensor:
    """For each image how many of its identity come before it, (n,)."""
    order = pids.argsort(stable=True)
    _, counts = pids.unique(return_counts=True)
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    numbers = torch.empty_like(order)
    numbers[order] = torch.arange(len(pids), device=pids.device) - starts
    return numbers


def _accuracy(layers: Sequence[Tensor], pids: Tensor, known: Tensor, held_out: Tensor) -> list[float]:
    if not len(held_out):
        return [math.nan] * len(layers)
    return nearest_mean_accuracy(
        [layer[known] for layer in layers], pids[known], [layer[held_out] for layer in layers], pids[held_out]
    )


def _mean(accuracies: Sequence[Sequence[float]], layers: int) -> list[float]:
    if not accuracies:
        return [math.nan] * layers
    return [sum(values) / len(values) for values in zip(*accuracies, strict=True)]


def _nearest_mean(known: Tensor, known_pids: Tensor, prompts: Tensor, pids: Tensor) -> float:
    known, prompts = (one.double().mean(dim=1) for one in (known, prompts))
    if not (known.isfinite().all() and prompts.isfinite().all()):
        return math.nan
    offset, scale = known.mean(dim=0), known.std(dim=0, correction=0).clamp(min=sys.float_info.min)
    known, prompts = (known - offset) / scale, (prompts - offset) / scale
    people, labels = known_pids.unique(return_inverse=True)
    means = known.new_zeros(len(people), known.shape[1]).index_add_(0, labels, known)
    means /= labels.bincount()[:, None]
    nearest = torch.cat([torch.cdist(part, means).argmin(dim=1) for part in prompts.split(_ROWS)])
    return (people[nearest] == pids).double().mean().item()


def check_batch(layers: Sequence[Tensor], pids: Tensor) -> None:
    for number, layer in enumerate(layers, start=1):
        if len(layer) != len(pids):
            raise ValueError(f"layer {number} has {len(layer)} images, but there are {len(pids)} pids")
