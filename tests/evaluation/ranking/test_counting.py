"""The counting kernels on their own."""

from __future__ import annotations

import pytest
import torch

from promptreid.evaluation.ranking.counting import identities_before, stable_ranks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ranks_equal_a_stable_sort(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    distances = torch.randint(-20, 20, (13, 300), generator=generator).to(dtype)
    matches = torch.stack([torch.randperm(300, generator=generator)[:7] for _ in range(13)])
    matches[4, 3:] = -1
    matches[5] = -1
    places = distances.sort(dim=1, stable=True).indices.argsort(1) + 1
    expected = places.gather(1, matches.clamp(min=0)).masked_fill(matches < 0, 0)
    assert torch.equal(stable_ranks(distances, matches), expected)


def test_one_ulp_apart_is_not_a_tie() -> None:
    near = torch.tensor(1.0)
    far = torch.nextafter(near, torch.tensor(2.0))
    assert stable_ranks(torch.stack([far, near])[None], torch.tensor([[1]])).tolist() == [[1]]


def test_zero_has_no_sign() -> None:
    assert stable_ranks(torch.tensor([[0.0, -0.0]]), torch.tensor([[1]])).tolist() == [[2]]


def test_hidden_items_never_precede() -> None:
    distances = torch.tensor([[torch.inf, 3.0, torch.inf, 1.0]])
    assert stable_ranks(distances, torch.tensor([[1]])).tolist() == [[2]]
    assert identities_before(distances, torch.tensor([0, 1, 2, 0]), 3, torch.tensor([1])).tolist() == [1]


def test_an_identity_precedes_once() -> None:
    distances = torch.tensor([[1.0, 1.0, 2.0, 2.0, 2.0, 0.0]])
    # Before column 3: columns 0, 1, 5, and column 2 by its index.
    before = identities_before(distances, torch.tensor([0, 0, 1, 2, 3, 0]), 4, torch.tensor([3]))
    assert before.tolist() == [2]
