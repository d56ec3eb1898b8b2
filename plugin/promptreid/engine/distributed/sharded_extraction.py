"""The features of a test set, extracted by all processes together."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from promptreid.engine.distributed.process_group import (
    gather_objects,
    gather_to_first,
    is_writer,
    rank,
    together,
    world_size,
)
from promptreid.engine.feature_extraction import features_of, part_of, scenes_of
from promptreid.evaluation.features import FeatureSet


def shared_features_of(
    loader: Any,
    extract: Callable[[Any], Tensor],
    what: str,
    *,
    normalize: bool = False,
    use_gpu: bool = False,
    kept: Collection[int] | None = None,
    between: Callable[[], None] = lambda: None,
) -> FeatureSet:
    """Features of a test set; each of W processes extracts the samples rank, rank + W, ..

    What it returns is that of :func:`~promptreid.engine.feature_extraction.features_of`.

    Args:
        loader, extract, what, normalize, use_gpu, kept: as there.
        between: called after each batch, in all processes equally often.

    Returns:
        in the first process the features of the whole set, in its order; elsewhere those of the process's own share.

    Raises:
        ValueError: more processes than samples.
        RuntimeError: a sample is missing, or is there twice.
    """
    processes, total = world_size(), len(loader.dataset)
    if processes == 1:
        return features_of(loader, extract, what, normalize=normalize, use_gpu=use_gpu, kept=kept, between=between)
    if total < processes:
        raise ValueError(f"the {what} set has {total} images, fewer than the {processes} processes: start fewer")
    numbers = np.arange(rank(), total, processes)
    part = part_of(loader, numbers)
    own = features_of(part, extract, what, normalize=normalize, use_gpu=use_gpu, kept=kept, between=between)
    most = math.ceil(math.ceil(total / processes) / part.batch_size)
    for _ in range(most - len(part)):
        between()
    return together(lambda: _whole(own, numbers, total, loader.dataset))


def _whole(own: FeatureSet, numbers: np.ndarray, total: int, dataset: Any) -> FeatureSet:
    labels = torch.from_numpy(np.stack([numbers, own.pids, own.camids], axis=1))
    every_labels, every_features = gather_to_first(labels), gather_to_first(torch.as_tensor(own.features))
    reasons = gather_objects([] if own.left_out is None else list(zip(numbers.tolist(), own.left_out, strict=True)))
    if not is_writer():
        return own
    ids, pids, camids = torch.cat(every_labels).unbind(1)
    order = ids.argsort()
    if not torch.equal(ids[order], torch.arange(total)):
        raise RuntimeError(f"the processes' shares are not the {total} samples, each once: {len(ids)} came")
    features = every_features[0].new_empty(total, *every_features[0].shape[1:])
    for share in every_labels:
        features[share[:, 0]] = every_features.pop(0)
    return FeatureSet(
        features=features,
        pids=pids[order].numpy(),
        camids=camids[order].numpy(),
        scenes=scenes_of(dataset),
        left_out=_in_order([pair for share in reasons for pair in share], total),
    )


def _in_order(reasons: list[tuple[int, str]], total: int) -> np.ndarray | None:
    """Why samples are left out, by their numbers, as a :class:`FeatureSet` has it."""
    if not reasons:
        return None
    found = np.full(total, "", dtype=object)
    for number, reason in reasons:
        found[number] = reason
    return found
