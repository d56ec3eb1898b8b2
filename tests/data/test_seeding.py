"""Batches and augmentation that depend on (seed, epoch, rank, number of the batch) alone."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from promptreid import host
from promptreid.data.seeding import DrawnBatches, SeededBatch, SeededBatches, SeededDataset

RECORDS = [(str(i), i // 7, i % 3, i % 2) for i in range(70)]
SAMPLERS = (
    "RandomIdentitySampler",
    "SequentialSampler",
    "RandomSampler",
    "RandomDomainSampler",
    "RandomDatasetSampler",
)


def seed_all(seed: int) -> None:
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)


def drawn(name: str = "RandomSampler", seed: int = 0) -> DrawnBatches:
    sampler = host.data.sampler.build_train_sampler(
        RECORDS, name, batch_size=6, num_instances=3, num_cams=3, num_datasets=2
    )
    return DrawnBatches(BatchSampler(sampler, 6, drop_last=True), seed)


def epoch_of(batches: Any, epoch: int, **start: int) -> list[list[int]]:
    batches.set_epoch(epoch, **start)
    return list(map(list, batches))


@pytest.mark.parametrize("name", SAMPLERS)
def test_torchreids_samplers_draw_from_seed_and_epoch(name: str) -> None:
    seed_all(1)
    first = [epoch_of(drawn(name, seed), epoch) for seed in (0, 1) for epoch in (0, 1)]
    seed_all(2)
    assert [epoch_of(drawn(name, seed), epoch) for seed in (0, 1) for epoch in (0, 1)] == first
    if name != "SequentialSampler":
        assert all(a != b for i, a in enumerate(first) for b in first[:i])
    for batches in first:
        assert {len(batch) for batch in batches} == {6}
        assert all(type(index) is int for batch in batches for index in batch)


def test_the_length_is_exact() -> None:
    batches = drawn("RandomIdentitySampler")
    estimate = len(batches.batches)
    lengths = set()
    for epoch in range(30):
        batches.set_epoch(epoch)
        assert len(batches) == len(list(batches)) <= estimate
        lengths.add(len(batches))
    assert lengths - {estimate}


def test_no_other_random_state_is_read_or_changed() -> None:
    batches = drawn("RandomIdentitySampler")
    seed_all(3)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    epoch_of(SeededBatches(batches), 2)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states


def test_seeds_differ_by_batch_epoch_rank_and_seed() -> None:
    def seeds(seed: int, rank: int, epoch: int) -> list[int]:
        batches = SeededBatches(drawn(), seed, rank)
        batches.set_epoch(epoch)
        found = list(batches)
        assert [list(batch) for batch in found] == epoch_of(drawn(), epoch)
        return [batch.seed for batch in found]

    found = [seeds(seed, rank, epoch) for seed in (0, 1) for rank in (0, 1) for epoch in (0, 1)]
    assert found == [seeds(seed, rank, epoch) for seed in (0, 1) for rank in (0, 1) for epoch in (0, 1)]
    assert len({seed for each in found for seed in each}) == 8 * len(drawn())


@pytest.mark.parametrize("start", [0, 1, 5, 11])
def test_an_epoch_goes_on_where_it_is_told(start: int) -> None:
    batches = SeededBatches(drawn())
    batches.set_epoch(4)
    whole = list(batches)
    assert len(whole) == len(batches) == 11
    batches.set_epoch(4, start)
    assert len(batches) == 11
    tail = list(batches)
    assert [(list(batch), batch.seed) for batch in tail] == [(list(batch), batch.seed) for batch in whole[start:]]
    assert len(list(batches)) == 11  # the next one is whole again


@pytest.mark.parametrize("start", [-1, 12])
def test_an_epoch_has_no_such_batch(start: int) -> None:
    with pytest.raises(ValueError, match=f"epoch 3 has 11 batches, so it can't go on with number {start}"):
        SeededBatches(drawn()).set_epoch(3, start)


def test_an_epoch_that_was_not_announced_is_the_next_one() -> None:
    batches = SeededBatches(drawn())
    unannounced = [list(map(list, batches)) for _ in range(3)]
    assert unannounced == [epoch_of(drawn(), epoch) for epoch in range(3)]
    batches.set_epoch(1)
    iter(batches)  # which torch's loader makes and drops
    assert [list(map(list, batches)) for _ in range(2)] == unannounced[1:]


def test_a_seeded_batch_survives_the_way_to_a_worker() -> None:
    batch = pickle.loads(pickle.dumps(SeededBatch([3, 1], seed=7)))
    assert (list(batch), batch.seed) == ([3, 1], 7)


class Noisy:
    """Draws from all three generators, as torchreid's data sets may."""

    name = "noisy"

    def __init__(self) -> None:
        self.transform = None

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index, random.random(), np.random.rand(), float(torch.rand(()))])

    def __iter__(self) -> Iterator[None]:
        raise AssertionError("read by index")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_foreign_data_set_draws_from_the_seed_of_its_batch(workers: int) -> None:
    def epoch(seed: int) -> torch.Tensor:
        seed_all(seed)
        batches = SeededBatches(DrawnBatches(BatchSampler(RandomSampler(range(12)), 4, True)))
        return torch.cat(list(DataLoader(SeededDataset(Noisy()), batch_sampler=batches, num_workers=workers)))

    first = epoch(1)
    assert torch.equal(first, epoch(2))
    assert len(set(first[:, 3].tolist())) == 12
    assert sorted(first[:, 0].tolist()) == list(range(12))
    batches = SeededBatches(DrawnBatches(BatchSampler(RandomSampler(range(12)), 4, True)))
    by_hand = [torch.stack(SeededDataset(Noisy()).__getitems__(batch)) for batch in batches]
    assert torch.equal(first, torch.cat(by_hand))


def test_the_wrapper_is_the_data_set_otherwise() -> None:
    dataset = Noisy()
    wrapped = SeededDataset(dataset)
    assert (len(wrapped), wrapped.name, wrapped.transform) == (12, "noisy", None)
    wrapped.transform = "flip"
    assert dataset.transform == "flip"
    assert not hasattr(wrapped, "num_cameras")
    copy = pickle.loads(pickle.dumps(wrapped))
    assert (type(copy), copy.transform, len(copy)) == (SeededDataset, "flip", 12)
    seed_all(5)
    expected = dataset[3]
    seed_all(5)
    assert torch.equal(wrapped[3], expected)
    seed_all(5)
    assert torch.equal(wrapped.__getitems__([3])[0], expected)  # a batch without a seed draws as usual
