"""How often the nearest mean is that of the right identity: by hand, against a slow twin, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from promptreid.evaluation.statistics.nearest_mean import accuracy_across, accuracy_within, nearest_mean_accuracy

PIDS = torch.tensor([4, 0, 4, 7, 0, 4, 7, 2])  # one identity, 2, has a single image
seeds = settings(max_examples=20, deadline=None)(given(seed=st.integers(0, 10**6)))


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def one_dimensional(values: list[float]) -> list[Tensor]:
    return [torch.tensor(values)[:, None, None]]


def test_nearest_mean_by_hand() -> None:
    """Known means: identity 3 at 1, identity 8 at 11; 7 is nearer to 11."""
    known, pids = one_dimensional([0, 10, 2, 12]), torch.tensor([3, 8, 3, 8])
    assert nearest_mean_accuracy(known, pids, one_dimensional([5, 7, 7]), torch.tensor([3, 3, 8])) == [2 / 3]


@seeds
def test_nearest_mean_against_a_slow_twin(seed: int) -> None:
    known, prompts = draw(seed, 8, 3, 5), draw(seed + 1, 6, 3, 5)
    pids = torch.tensor([0, 2, 4, 7, 4, 0])
    vectors, others = known.mean(1), prompts.mean(1)
    spread = ((vectors - vectors.mean(0)) ** 2).mean(0).sqrt()
    right = 0
    for vector, pid in zip(others, pids.tolist(), strict=True):
        distances = {
            int(one): (((vector - vectors[one == PIDS].mean(0)) / spread) ** 2).sum().item() for one in PIDS.unique()
        }
        right += min(distances, key=distances.__getitem__) == pid
    assert nearest_mean_accuracy([known], PIDS, [prompts], pids) == [right / 6]


def test_what_nearest_mean_tells_apart() -> None:
    people = draw(0, 4, 1, 6).repeat_interleave(2, dim=0)
    noise = 0.01 * draw(1, 8, 2, 6)
    pids = torch.arange(8) // 2
    layers = [people + noise, noise, torch.zeros(8, 2, 6), noise * math.nan]
    apart, alike, same, broken = nearest_mean_accuracy(layers, pids, [one.flip(0) for one in layers], pids.flip(0))
    assert (apart, same) == (1.0, 0.25)
    assert math.isnan(broken) and alike <= 1


def test_images_of_unknown_identities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"identities \[9\] have no known image"):
        nearest_mean_accuracy(one_dimensional([0, 1]), torch.tensor([1, 2]), one_dimensional([0]), torch.tensor([9]))


@seeds
def test_within_and_across_modalities_against_slow_twins(seed: int) -> None:
    """Every second image of an identity is held out; of a single modality there is nothing across."""
    generator = torch.Generator().manual_seed(seed)
    pids = torch.cat([torch.arange(5).repeat(4), torch.randint(5, (10,), generator=generator)])
    pids = pids[torch.randperm(30, generator=generator)]
    modality = torch.randint(2, (30,), generator=generator)
    layer = draw(seed, 30, 2, 3)
    within, across = [], []
    for kind in (0, 1):
        rows = [row for row in range(30) if modality[row] == kind]
        seen: dict[int, int] = {}
        known, held_out = [], []
        for row in rows:
            number = seen.get(int(pids[row]), 0)
            seen[int(pids[row])] = number + 1
            (held_out if number % 2 else known).append(row)
        if held_out:
            within += nearest_mean_accuracy([layer[known]], pids[known], [layer[held_out]], pids[held_out])
        others = [row for row in range(30) if modality[row] != kind and int(pids[row]) in seen]
        if others:
            across += nearest_mean_accuracy([layer[rows]], pids[rows], [layer[others]], pids[others])
    assert accuracy_within([layer], pids, modality) == pytest.approx([sum(within) / len(within)])
    assert accuracy_across([layer], pids, modality) == pytest.approx([sum(across) / len(across)])
    assert math.isnan(accuracy_across([layer], pids, torch.zeros(30))[0])
