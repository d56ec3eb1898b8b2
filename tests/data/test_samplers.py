"""P identities with K samples, or with K images of each modality, in every batch."""

from __future__ import annotations

import logging
import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid import host
from promptreid.data.samplers import CrossModalSampler, IdentitySampler, nominal_batches
from promptreid.data.seeding import SeededBatches

CELLS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9)


def records(cells: list[tuple[int, int]], gap: int = 3) -> tuple[list[int], list[int]]:
    """Shuffled identities, ``gap`` apart, and modalities of a set with (visible, infrared) images per identity."""
    images = [(gap * i + 1, m) for i, cell in enumerate(cells) for m in (0, 1) for _ in range(cell[m])]
    random.Random(len(images)).shuffle(images)
    return [pid for pid, _ in images], [m for _, m in images]


def complete(cells: list[tuple[int, int]]) -> int:
    return sum(min(cell) > 0 for cell in cells)


@settings(max_examples=150, deadline=None)
@given(cells=CELLS, p=st.integers(1, 4), k=st.integers(1, 4), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_every_batch_has_p_identities_with_k_images_of_each_modality(cells, p, k, seed, epoch) -> None:
    pids, modality = records(cells)
    if complete(cells) < p:
        with pytest.raises(ValueError, match=f"the train set has {complete(cells)} with images of all 2 modalities"):
            CrossModalSampler(pids, modality, p, k, seed)
        return
    sampler = CrossModalSampler(pids, modality, p, k, seed)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(sampler) == len(batches) > 0
    for batch in batches:
        table = Counter((pids[index], modality[index]) for index in batch)
        assert len({pid for pid, _ in table}) == p
        assert len(table) == 2 * p
        assert set(table.values()) == {k}
    assert sampler.skipped == sorted({3 * i + 1 for i, cell in enumerate(cells) if min(cell) == 0 < max(cell)})


@settings(max_examples=60, deadline=None)
@given(cells=CELLS, k=st.integers(1, 3), seed=st.integers(0, 9), epoch=st.integers(0, 5))
def test_processes_share_each_batch_without_overlap(cells, k, seed, epoch) -> None:
    pids, modality = records(cells)
    if complete(cells) < 4:
        return
    whole = CrossModalSampler(pids, modality, 4, k, seed)
    whole.set_epoch(epoch)
    for world_size in (2, 4):
        shares = [
            CrossModalSampler(pids, modality, 4, k, seed, rank=r, world_size=world_size) for r in range(world_size)
        ]
        for share in shares:
            share.set_epoch(epoch)
        assert {len(share) for share in shares} == {len(whole)}
        for batch, *parts in zip(whole, *shares, strict=True):
            assert [index for part in parts for index in part] == batch
            identities = [{pids[index] for index in part} for part in parts]
            assert [len(found) for found in identities] == [4 // world_size] * world_size
            assert len(set.union(*identities)) == 4


@settings(max_examples=60, deadline=None)
@given(cells=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=2, max_size=6), seed=st.integers(0, 9))
def test_an_epoch_draws_the_larger_modality_once_and_the_smaller_up_to_it(cells, seed) -> None:
    pids, modality = records(cells)
    sampler = CrossModalSampler(pids, modality, num_identities=1, num_instances=1, seed=seed)
    table = Counter(index for batch in sampler for index in batch)
    for i, cell in enumerate(cells):
        for m in (0, 1):
            counts = [table[x] for x in range(len(pids)) if (pids[x], modality[x]) == (3 * i + 1, m)]
            assert sum(counts) == max(cell)
            assert cell[m] < max(cell) or set(counts) == {1}
    assert len(sampler) == sum(max(cell) for cell in cells)


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5),
    k=st.integers(1, 4),
    whole=st.booleans(),
    seed=st.integers(0, 9),
)
def test_every_image_is_kept_before_any_is_drawn_again(cells, k, whole, seed) -> None:
    """Against the release's rule, counted by hand; with P = 1 every chunk of an epoch is used."""
    pids, modality = records(cells)
    table = Counter(i for batch in CrossModalSampler(pids, modality, 1, k, seed, whole_chunks=whole) for i in batch)
    for i, cell in enumerate(cells):
        draws = max(*cell, k)
        used = -(-draws // k) * k if whole else draws // k * k
        for m in (0, 1):
            counts = [table[x] for x in range(len(pids)) if (pids[x], modality[x]) == (3 * i + 1, m)]
            assert sum(counts) == used
            unused = (used if whole else draws) - used  # of the draws, which hold every image
            assert sum(count == 0 for count in counts) <= unused


def test_the_smaller_modality_has_as_many_distinct_images_as_in_the_release() -> None:
    pids, modality = [0] * 45, [1] * 20 + [0] * 25
    sampler = CrossModalSampler(pids, modality, num_identities=1, num_instances=4)
    infrared, visible = [], []
    for epoch in range(1500):
        sampler.set_epoch(epoch)
        seen = {index for batch in sampler for index in batch}
        infrared.append(sum(index < 20 for index in seen))
        visible.append(sum(index >= 20 for index in seen))
    # 20 + 5 draws of which one is left out: it is an image without copy with probability 0.8 * 0.95 ** 5.
    assert np.mean(infrared) == pytest.approx(20 - 0.8 * 0.95**5, abs=0.05)
    assert set(visible) == {24}


def test_the_images_drawn_again_are_drawn_uniformly() -> None:
    sampler = CrossModalSampler([0] * 45, [1] * 20 + [0] * 25, num_identities=1, num_instances=5)
    times: Counter[int] = Counter()
    for epoch in range(2000):
        sampler.set_epoch(epoch)
        times.update(index for batch in sampler for index in batch if index < 20)
    # 1 + Binomial(5, 1 / 20) each, of standard deviation 0.49.
    assert all(abs(times[index] / 2000 - 1.25) < 0.06 for index in range(20))


def test_regdb_epochs_are_as_long_as_the_releases() -> None:
    """206 identities of 10 + 10 images, K = 4: three chunks each, not two."""
    pids, modality = records([(10, 10)] * 206)
    for whole, chunks in ((True, 3), (False, 2)):
        sampler = CrossModalSampler(pids, modality, num_identities=8, num_instances=4, whole_chunks=whole)
        lengths = []
        for epoch in range(60):
            sampler.set_epoch(epoch)
            lengths.append(len(sampler))
            assert len(list(sampler)) == len(sampler)
        assert max(lengths) == 206 * chunks // 8
        assert min(lengths) >= max(lengths) - 2
    assert len(CrossModalSampler(pids, modality, 1, 5, whole_chunks=True)) == 206 * 2


def test_epochs_end_only_when_too_few_identities_have_images_left() -> None:
    cells = [(8, 2), (8, 8), (4, 5), (2, 2), (1, 9)]
    sampler = CrossModalSampler(*records(cells), num_identities=2, num_instances=2)
    for epoch in range(20):
        sampler.set_epoch(epoch)
        left = Counter({3 * i + 1: max(*cell, 2) // 2 for i, cell in enumerate(cells)})
        left.subtract(pid for identities in sampler._plan for pid in identities)
        assert min(left.values()) == 0
        assert sum(count > 0 for count in left.values()) < 2


def test_every_identity_meets_every_other() -> None:
    pids, modality = records([(4, 4)] * 8)
    sampler = CrossModalSampler(pids, modality, num_identities=2, num_instances=2)
    met: Counter[tuple[int, ...]] = Counter()
    for epoch in range(400):
        sampler.set_epoch(epoch)
        met.update(tuple(sorted({pids[index] for index in batch})) for batch in sampler)
    assert len(met) == 28
    assert max(met.values()) < 2 * min(met.values())


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    def epoch_of(seed: int, epoch: int) -> list[list[int]]:
        sampler = CrossModalSampler(*records([(9, 6)] * 8), num_identities=4, num_instances=2, seed=seed)
        random.seed(len(seen))
        np.random.seed(len(seen))
        torch.manual_seed(len(seen))
        sampler.set_epoch(epoch)
        return list(sampler)

    seen: list[list[list[int]]] = []
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1)):
        seen.append(epoch_of(seed, epoch))
        assert epoch_of(seed, epoch) == seen[-1]
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])


def test_iterating_changes_no_random_state_and_no_later_epoch() -> None:
    sampler = CrossModalSampler(*records([(9, 6)] * 8), num_identities=4, num_instances=2)
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = list(sampler)
    assert list(sampler) == first
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert random.getstate() == python_state


def test_identities_stand_together_visible_first() -> None:
    pids, modality = records([(5, 5)] * 4)
    for batch in CrossModalSampler(pids, modality, 4, 3):
        assert [modality[index] for index in batch] == [0, 0, 0, 1, 1, 1] * 4
        assert all(len({pids[index] for index in batch[start : start + 6]}) == 1 for start in range(0, 24, 6))


def test_skipped_identities_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        CrossModalSampler(*records([(3, 3), (0, 4), (2, 2), (5, 0)]), num_identities=2, num_instances=2)
    assert caplog.messages == ["2 identities lack a modality and are never drawn: 4, 10"]
    caplog.clear()
    CrossModalSampler(*records([(3, 3), (2, 2)]), num_identities=2, num_instances=2)
    assert not caplog.messages


def test_three_modalities() -> None:
    modality = [0, 1, 2] * 20
    pids = [i // 15 for i in range(60)]
    for batch in CrossModalSampler(pids, modality, 4, 2, num_modalities=3):
        table = Counter((pids[i], modality[i]) for i in batch)
        assert table == {(pid, m): 2 for pid in range(4) for m in range(3)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_identities": 0}, "num_identities 0"),
        ({"num_instances": 0}, "num_instances 0"),
        ({"seed": -1}, "seed -1"),
        ({"rank": 2, "world_size": 2}, "rank 2"),
        ({"world_size": 3}, "can't be shared equally among 3 processes"),
        ({"num_identities": 9}, "the train set has 8"),
    ],
)
def test_bad_numbers_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossModalSampler(*records([(4, 4)] * 8), **{"num_identities": 4, "num_instances": 2, **wrong})


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError):
        CrossModalSampler([0, 0, 1], [0, 1], 1, 1)


def test_the_epoch_reaches_the_batches() -> None:
    sampler = CrossModalSampler(*records([(4, 4)] * 4), num_identities=2, num_instances=2)
    SeededBatches(sampler).set_epoch(5)
    assert sampler.epoch == 5


COUNTS = st.lists(st.integers(1, 12), min_size=1, max_size=9)


def pids_of(counts: list[int]) -> list[int]:
    """Shuffled identities, with gaps, of a set with so many samples per identity."""
    pids = [3 * i + 1 for i, count in enumerate(counts) for _ in range(count)]
    random.Random(len(pids)).shuffle(pids)
    return pids


@settings(max_examples=150, deadline=None)
@given(counts=COUNTS, p=st.integers(1, 4), k=st.integers(1, 5), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_every_batch_has_p_identities_with_k_samples(counts, p, k, seed, epoch) -> None:
    pids = pids_of(counts)
    if len(counts) < p:
        with pytest.raises(ValueError, match=f"can't be drawn: the train set has {len(counts)}; lower"):
            IdentitySampler(pids, p, k, seed)
        return
    sampler = IdentitySampler(pids, p, k, seed)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(sampler) == len(batches) > 0
    assert len(batches) <= nominal_batches(counts, p * k, k)
    left = Counter({3 * i + 1: max(count, k) // k for i, count in enumerate(counts)})
    for batch in batches:
        table = Counter(pids[index] for index in batch)
        assert (len(table), set(table.values())) == (p, {k})
        assert all(len({pids[index] for index in batch[start : start + k]}) == 1 for start in range(0, p * k, k))
        left.subtract(table.keys())
    assert min(left.values()) >= 0
    assert sum(count > 0 for count in left.values()) < p  # an epoch ends no sooner
    used = Counter(index for batch in batches for index in batch)
    for index, times in used.items():
        assert times == 1 or counts[(pids[index] - 1) // 3] < k  # repeats only where there are too few


def test_an_identity_sampler_draws_as_the_cross_modal_one_with_one_modality() -> None:
    pids = pids_of([5, 9, 2, 7, 7, 3])
    one = CrossModalSampler(pids, [0] * len(pids), 3, 2, seed=4, num_modalities=1)
    two = IdentitySampler(pids, 3, 2, seed=4)
    for epoch in (0, 3):
        one.set_epoch(epoch), two.set_epoch(epoch)
        assert list(one) == list(two)


def test_every_sample_is_drawn_in_some_epoch() -> None:
    sampler = IdentitySampler(pids_of([7] * 6), 2, 3)
    seen: set[int] = set()
    for epoch in range(12):
        sampler.set_epoch(epoch)
        seen.update(index for batch in sampler for index in batch)
    assert len(seen) == 42


def test_processes_share_the_identities_of_a_batch() -> None:
    pids = pids_of([6] * 9)
    whole = IdentitySampler(pids, 4, 2, seed=1)
    shares = [IdentitySampler(pids, 4, 2, seed=1, rank=rank, world_size=2) for rank in (0, 1)]
    for sampler in (whole, *shares):
        sampler.set_epoch(2)
    assert len(whole) == len(shares[0]) == len(shares[1])
    for batch, *parts in zip(whole, *shares, strict=True):
        assert [index for part in parts for index in part] == batch
        assert [len({pids[index] for index in part}) for part in parts] == [2, 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_identities": 0}, "num_identities 0"),
        ({"num_instances": 0}, "num_instances 0"),
        ({"seed": -1}, "seed -1"),
        ({"rank": 1}, "rank 1 from 0"),
        ({"world_size": 3}, "can't be shared equally among 3 processes"),
        ({"num_identities": 9}, "the train set has 8; lower train.batch_size"),
    ],
)
def test_bad_numbers_of_identities_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IdentitySampler(pids_of([4] * 8), **{"num_identities": 4, "num_instances": 2, **wrong})


# How many identities have so many samples: real sets of these sizes, whose lists aren't public, have other counts, but
# none that the published lengths don't allow.
RGBNT201 = {8: 11, 13: 15, 16: 13, 17: 9, 21: 20, 24: 24, 25: 23, 27: 13, 31: 30, 35: 13}
RGBNT100 = {75: 3, 100: 3, 130: 2, 160: 2, 170: 4, 173: 5, 180: 3, 185: 4, 190: 2, 195: 7, 200: 15}
MSVR310 = {2: 19, 3: 24, 4: 18, 5: 12, 6: 20, 7: 15, 8: 19, 9: 8, 12: 10, 16: 3, 20: 4, 31: 3}


def spread(histogram: dict[int, int]) -> list[int]:
    return [count for count, identities in histogram.items() for _ in range(identities)]


@pytest.mark.parametrize(
    ("histogram", "identities", "samples", "published"),
    [
        (RGBNT201, 171, 3951, {(32, 4): 117, (64, 4): 59, (64, 8): 54, (128, 8): 27, (128, 16): 23}),
        (RGBNT100, 50, 8675, {(64, 4): 135, (64, 8): 134, (128, 8): 67, (128, 16): 65}),
        (MSVR310, 155, 1032, {(32, 4): 31, (64, 4): 16, (64, 8): 21, (128, 16): 20}),
    ],
    ids=["RGBNT201", "RGBNT100", "MSVR310"],
)
def test_nominal_lengths_are_the_published_ones(
    histogram: dict[int, int], identities: int, samples: int, published: dict[tuple[int, int], int]
) -> None:
    counts = spread(histogram)
    assert (len(counts), sum(counts)) == (identities, samples)
    pids = [pid for pid, count in enumerate(counts) for _ in range(count)]
    source = [(str(index), pid, 0, 0) for index, pid in enumerate(pids)]
    for (batch, instances), length in published.items():
        assert nominal_batches(counts, batch, instances) == length
        torchreids = host.data.sampler.RandomIdentitySampler(source, batch, instances)
        assert -(-len(torchreids) // batch) == length
        exact = len(IdentitySampler(pids, batch // instances, instances))
        assert 0.85 * length < exact <= length


def test_nominal_lengths_need_counts() -> None:
    for wrong in (([0, 4], 8, 4), ([4], 0, 4), ([4], 8, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            nominal_batches(*wrong)
    assert nominal_batches([3, 9], 8, 4) == 2
