"""K visible + K infrared images per identity under torchreid's own sampler."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid import host
from promptreid.data.sampling import ModalityBalancer

counts = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=4, max_size=8)


def records(cells: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """pids and modalities of a data set with (visible, infrared) images per identity."""
    pids, modality = [], []
    for pid, cell in enumerate(cells):
        for m, count in enumerate(cell):
            pids += [pid] * count
            modality += [m] * count
    return pids, modality


@settings(max_examples=60, deadline=None)
@given(cells=counts, share=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_batch_has_p_identities_with_k_images_of_each_modality(cells, share, seed) -> None:
    pids, modality = records(cells)
    random.seed(seed)
    np.random.seed(seed)
    k = 2 * share
    sampler = host.data.sampler.RandomIdentitySampler([(str(i), pid) for i, pid in enumerate(pids)], 4 * k, k)
    order = list(sampler)
    balancer = ModalityBalancer(pids, modality)
    for start in range(0, len(order) - 4 * k + 1, 4 * k):
        batch = balancer.balance(order[start : start + 4 * k])
        table = Counter((pids[i], modality[i]) for i in batch)
        assert len(table) == 8
        assert set(table.values()) == {share}
        for pid, m in table:
            chosen = [i for i in batch if (pids[i], modality[i]) == (pid, m)]
            assert len(set(chosen)) == min(share, cells[pid][m])  # repeats only where the identity has too few


def test_drawn_images_are_kept_where_they_fit() -> None:
    pids, modality = records([(4, 4), (4, 4)])
    assert ModalityBalancer(pids, modality).balance([0, 4, 1, 5, 8, 12, 9, 13]) == [0, 1, 4, 5, 8, 9, 12, 13]


def test_a_batch_without_identity_structure_is_unchanged() -> None:
    pids, modality = records([(4, 4), (4, 4), (4, 4)])
    for batch in ([0, 9, 1, 17, 10, 2], [0, 1, 2, 9, 10, 11], [0, 1, 8]):
        assert ModalityBalancer(pids, modality).balance(batch) == batch


def test_the_choice_depends_on_the_batch_alone() -> None:
    pids, modality = records([(9, 9), (9, 9)])
    batch = [0, 1, 2, 3, 18, 19, 20, 21]
    first = ModalityBalancer(pids, modality).balance(batch)
    random.seed(5)
    np.random.seed(5)
    assert ModalityBalancer(pids, modality).balance(batch) == first
    others = {tuple(ModalityBalancer(pids, modality).balance([*batch[:3], i, *batch[4:]])) for i in range(4, 9)}
    assert len(others) > 1


@pytest.mark.parametrize("modalities", [2, 3])
def test_any_number_of_modalities(modalities: int) -> None:
    pids = [0] * 12 + [1] * 12
    modality = [i % modalities for i in range(24)]
    batch = ModalityBalancer(pids, modality, modalities).balance([*range(6), *range(12, 18)])
    assert set(Counter((pids[i], modality[i]) for i in batch).values()) == {6 // modalities}
