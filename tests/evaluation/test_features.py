"""Labels of every kind become int64 arrays, and wrong ones are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from promptreid.evaluation import FeatureSet
from promptreid.evaluation.features import as_tensor


def test_labels_become_int64_arrays() -> None:
    labels: Any = ([1, 2], torch.tensor([0, 1], dtype=torch.int32))
    images = FeatureSet(torch.zeros(2, 3), *labels)
    assert len(images) == 2
    assert images.pids.dtype == images.camids.dtype == np.int64 and images.scenes is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (([1], [0, 1]), "camids: 2 entries, but pids has 1"),
        (([1, 2], [0, 1]), "features: 3 entries, but pids has 2"),
        (([1, 2, 3], [0, 1, 1], [0]), "scenes: 1 entries"),
        (([1.5, 2, 3], [0, 1, 1]), "pids: expected integers"),
    ],
)
def test_refuses(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureSet(torch.zeros(3, 2), *labels)


def test_read_only_arrays_are_copied_and_gradients_dropped() -> None:
    array = np.zeros((2, 2), dtype=np.float32)
    array.flags.writeable = False
    as_tensor(array).fill_(1)
    assert array.sum() == 0
    assert not as_tensor(torch.ones(1, requires_grad=True)).requires_grad
