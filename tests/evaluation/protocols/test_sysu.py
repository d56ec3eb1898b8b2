"""SYSU-MM01: counts, draws and scores that six public evaluators agree on to every printed digit."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from promptreid.evaluation import FeatureSet, SYSUProtocol, SYSUReleaseProtocol
from promptreid.evaluation.protocols import Permutations
from promptreid.evaluation.ranking.exact import rank_distances
from promptreid.evaluation.results import Trial

Sets = tuple[FeatureSet, FeatureSet]
SIZES = {("all", 1): 301, ("all", 10): 3010, ("indoor", 1): 112, ("indoor", 10): 1120}
DIGESTS = {
    ("python", "all", 1): "ecf21b52be9d 0300b0e534d0 bef3cefa6f23",
    ("python", "indoor", 1): "7633a147be84 4ff938c5d5b3 0cc257360eba",
    ("official", "all", 1): "5d57758076c8 6edf70a94a35 ea8bb7e223b2",
    ("official", "all", 10): "287a26283d48 8e017426750d 3a49724630f2",
    ("official", "indoor", 1): "1ed2f99ff28c 2db60dd10cf8 c12e97ac2871",
    ("official", "indoor", 10): "ed8c6ce8c385 e694863f5d8b 05e2ec6be835",
}
# R1 R5 R10 R20 mAP mINP of the first trial, in per cent; then R1 R5 R10 mAP under the Market rule.
SCORES = {
    ("python", "all", 1): "36.6816 93.4525 99.7633 100 52.0332 46.6142 36.1820 91.4015 99.5530 49.8969",
    ("official", "all", 1): "37.0497 93.9258 99.9737 100 52.4200 47.0164 35.6035 92.1378 99.7108 50.1629",
    ("official", "all", 10): "34.2887 87.3521 98.2119 100 37.3283 34.8661 33.1580 84.4333 96.6342 36.1504",
    ("python", "indoor", 1): "57.0652 99.8641 100 100 73.5511 71.7070 54.8460 99.5924 100 69.0355",
    ("official", "indoor", 1): "57.7446 99.7736 100 100 73.6405 71.4539 56.4764 99.3659 100 69.3752",
    ("official", "indoor", 10): "49.1848 97.1014 99.9547 100 53.8417 50.3442 47.5543 96.3315 100 51.5016",
}
FIRST_PICKS = {
    ("python", "all"): "(6,1,25) (6,2,25) (6,4,14) (6,5,2) (10,1,17) (10,2,17) (10,4,16) (10,5,13)",
    ("python", "indoor"): "(6,1,25) (6,2,25) (10,1,27) (10,2,2) (27,1,5)",
    ("official", "all"): "(6,1,5) (10,1,18) (27,1,5) (28,1,1) (54,1,31)",
}


def protocol_of(draw: str, mode: str, shots: int, request: pytest.FixtureRequest, trials: int = 10) -> SYSUProtocol:
    permutations = request.getfixturevalue("permutations") if draw == "official" else None
    return SYSUProtocol(mode, shots, draw, trials, permutations)


def items(pool: FeatureSet, drawn: np.ndarray) -> list[tuple[int, int, int]]:
    """(id, 1-based camera, 1-based frame) of the drawn images."""
    assert pool.scenes is not None
    return list(
        zip(pool.pids[drawn].tolist(), (pool.camids[drawn] + 1).tolist(), pool.scenes[drawn].tolist(), strict=True)
    )


def test_counts_of_the_data_set(sysu_sets: Sets) -> None:
    query, pool = sysu_sets
    assert (len(query), len(pool), len(np.unique(query.pids))) == (3803, 6775, 96)
    assert [int((query.camids == c).sum()) for c in (2, 5)] == [1883, 1920]
    assert int(np.isin(pool.camids, (0, 1)).sum()) == 2939


@pytest.mark.parametrize(("mode", "shots"), SIZES)
def test_gallery_sizes_and_valid_queries(mode: str, shots: int, sysu_sets: Sets) -> None:
    query, pool = sysu_sets
    protocol = SYSUProtocol(mode, shots)
    assert protocol.name == f"sysu-python {mode} {shots}-shot"
    drawn = protocol.trials(pool)
    assert [len(np.unique(d)) for d in drawn] == [SIZES[mode, shots]] * 10
    result = SYSUProtocol(mode, shots, trials=1).evaluate_distances(np.ones((3803, 6775), np.float32), query, pool)
    assert (result.num_valid, result.num_invalid) == ((2208, 1595) if mode == "indoor" else (3803, 0))
    assert result.note == ""


@pytest.mark.parametrize(("draw", "mode", "shots"), DIGESTS)
def test_draws_have_the_golden_digests(
    draw: str, mode: str, shots: int, sysu_sets: Sets, request: pytest.FixtureRequest
) -> None:
    pool = sysu_sets[1]
    galleries = protocol_of(draw, mode, shots, request).trials(pool)[:3]
    texts = [",".join("-".join(map(str, item)) for item in items(pool, drawn)) for drawn in galleries]
    assert " ".join(hashlib.sha1(text.encode()).hexdigest()[:12] for text in texts) == DIGESTS[draw, mode, shots]


@pytest.mark.parametrize(("draw", "mode"), FIRST_PICKS)
def test_first_picks(draw: str, mode: str, sysu_sets: Sets, request: pytest.FixtureRequest) -> None:
    pool = sysu_sets[1]
    picks = " ".join(f"({p},{c},{f})" for p, c, f in items(pool, protocol_of(draw, mode, 1, request).trials(pool)[0]))
    assert picks.startswith(FIRST_PICKS[draw, mode])


@pytest.mark.parametrize(("draw", "mode", "shots"), SCORES)
def test_golden_scores(
    draw: str, mode: str, shots: int, sysu_sets: Sets, sysu_distances: np.ndarray, request: pytest.FixtureRequest
) -> None:
    query, pool = sysu_sets
    protocol = protocol_of(draw, mode, shots, request, trials=1)
    result = protocol.evaluate_distances(sysu_distances, query, pool)
    drawn = protocol.trials(pool)[0]
    market = Trial.of(rank_distances(sysu_distances[:, drawn], query.pids, pool.pids[drawn], query.camids,
                                     pool.camids[drawn], rule="camera", level="image"))  # fmt: skip
    values = [*(result.rank(k) for k in (1, 5, 10, 20)), result.mAP, result.mINP, *market.cmc[[0, 4, 9]], market.mAP]
    expected = SCORES[draw, mode, shots].split()
    found = [f"{100 * value:.4f}" for value in values]
    assert found == [f"{float(text):.4f}" for text in expected]


def test_golden_distance_spot_values(sysu_sets: Sets, sysu_distances: np.ndarray) -> None:
    query, pool = sysu_sets
    row = items(query, np.arange(len(query))).index((6, 3, 1))
    places = items(pool, np.arange(len(pool)))
    columns = [places.index(item) for item in ((6, 2, 25), (6, 1, 25), (10, 2, 17))]
    assert sysu_distances[row, columns].tolist() == [0.004910242305685825, 0.010892314849064022, 0.22685497978220753]


def test_one_shot_is_random_choice_and_ten_shots_random_sample(sysu_sets: Sets) -> None:
    pool = sysu_sets[1]
    cells = [np.flatnonzero((pool.pids == p) & (pool.camids == c)) for p in np.unique(pool.pids) for c in (0, 1, 3, 4)]
    for trial in range(10):
        random.seed(trial)
        choices = [random.choice(cell.tolist()) for cell in cells if len(cell)]
        assert SYSUProtocol().trials(pool)[trial].tolist() == choices
        random.seed(trial)
        samples = [i for cell in cells if len(cell) for i in random.sample(cell.tolist(), 10)]
        assert SYSUProtocol(shots=10).trials(pool)[trial].tolist() == samples


def test_draws_leave_the_global_generator_alone(sysu_sets: Sets) -> None:
    random.seed(5)
    state = random.getstate()
    SYSUProtocol().trials(sysu_sets[1])
    assert random.getstate() == state


def test_pool_order_across_cells_does_not_matter(sysu_sets: Sets) -> None:
    pool = sysu_sets[1]
    order = np.argsort(-pool.camids, kind="stable")
    assert pool.scenes is not None
    other = FeatureSet(None, pool.pids[order], pool.camids[order], pool.scenes[order])
    protocol = SYSUProtocol("indoor")
    for ours, theirs in zip(protocol.trials(pool), protocol.trials(other), strict=True):
        assert items(pool, ours) == items(other, theirs)


def test_features_and_their_distances_score_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    pids, camids = np.repeat(np.arange(8), 12), np.tile(np.repeat(np.arange(6), 2), 8)
    features = torch.randint(-9, 9, (96, 6), generator=generator).float()
    infrared = torch.from_numpy(np.isin(camids, (2, 5)))
    query, pool = (FeatureSet(features[m], pids[m.numpy()], camids[m.numpy()]) for m in (infrared, ~infrared))
    distances = (features[infrared, None] - features[None, ~infrared]).square().sum(2)
    for protocol in (SYSUProtocol(), SYSUProtocol("indoor", 10), SYSUReleaseProtocol()):
        expected = protocol.evaluate_distances(distances, query, pool)
        assert protocol.evaluate(query, pool).as_dict() == expected.as_dict()


def test_small_cells_are_taken_whole_and_counted() -> None:
    query = FeatureSet(None, np.array([1]), np.array([5]))
    pool = FeatureSet(None, np.repeat([1, 2], 13), np.tile([0] * 11 + [3] * 2, 2))
    result = SYSUProtocol("all", 10, trials=2).evaluate_distances(np.arange(26.0)[None], query, pool)
    assert result.note == "2 of 4 cells hold fewer than 10 images"
    assert [len(drawn) for drawn in SYSUProtocol("all", 10).trials(pool)] == [24] * 10


def test_an_identity_only_in_the_hidden_camera_is_an_invalid_query() -> None:
    query = FeatureSet(None, np.array([1, 1, 2]), np.array([2, 5, 2]))
    pool = FeatureSet(None, np.array([1, 2]), np.array([1, 0]))
    result = SYSUProtocol(trials=1).evaluate_distances(np.array([[1.0, 2], [1, 2], [1, 2]]), query, pool)
    assert (result.num_valid, result.num_invalid, result.rank(1)) == (2, 1, 1.0)


def test_release_sees_camera_2_and_counts_images() -> None:
    query = FeatureSet(None, np.array([1]), np.array([2]))
    pool = FeatureSet(None, np.array([2, 2, 1]), np.array([0, 1, 4]))
    distances = np.array([[1.0, 2, 3]])
    assert SYSUProtocol(trials=1).evaluate_distances(distances, query, pool).rank(2) == 1
    release = SYSUReleaseProtocol().evaluate_distances(distances, query, pool)
    assert (release.protocol, release.rank(2), release.rank(3)) == ("sysu-mip-release all 1-shot", 0, 1)


@pytest.mark.parametrize(
    ("mode", "shots", "seed"), [("all", 1, 254), ("all", 10, 1221), ("indoor", 1, 2936), ("indoor", 10, 2936)]
)
def test_release_draws_with_the_seeds_of_the_released_commit(mode: str, shots: int, seed: int, sysu_sets: Sets) -> None:
    _, pool = sysu_sets
    stream, expected = random.Random(seed), []
    for pid in np.unique(pool.pids):
        for camid in (0, 1, 3, 4) if mode == "all" else (0, 1):
            cell = np.flatnonzero((pool.pids == pid) & (pool.camids == camid)).tolist()
            expected += stream.sample(cell, min(shots, len(cell)))
    (drawn,) = SYSUReleaseProtocol(mode, shots).trials(pool)
    assert drawn.tolist() == expected


def test_inputs_are_not_changed(sysu_sets: Sets) -> None:
    query, pool = sysu_sets
    before = query.camids.copy()
    SYSUProtocol("indoor", trials=1).evaluate_distances(np.ones((3803, 6775), np.float32), query, pool)
    np.testing.assert_array_equal(query.camids, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "outdoor"}, "mode: 'outdoor'"),
        ({"shots": 5}, "shots: 5"),
        ({"draw": "numpy"}, "draw: 'numpy'"),
        ({"trials": 0}, "trials: 0"),
        ({"draw": "official"}, "permutations: the official draw"),
        ({"permutations": Permutations({})}, "permutations: the official draw"),
        ({"draw": "official", "permutations": Permutations({}), "trials": 11}, "trials: 11"),
    ],
)
def test_refuses_unknown_settings(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SYSUProtocol(**arguments)


@pytest.mark.parametrize(
    ("camera", "side", "message"),
    [(3, "query", "query: camid 3 is not an infrared camera"), (6, "gallery", "gallery: camid 6 is not a camera")],
)
def test_refuses_foreign_cameras(camera: int, side: str, message: str) -> None:
    sets = {
        "query": FeatureSet(None, np.array([1]), np.array([2])),
        "gallery": FeatureSet(None, np.array([1]), np.array([0])),
    }
    sets[side] = replace(sets[side], camids=np.array([camera]))
    with pytest.raises(ValueError, match=message):
        SYSUProtocol().evaluate_distances(np.ones((1, 1)), sets["query"], sets["gallery"])


def test_features_are_needed_unless_distances_are_given() -> None:
    with pytest.raises(ValueError, match="features are missing"):
        SYSUProtocol().evaluate(
            FeatureSet(None, np.array([1]), np.array([2])), FeatureSet(None, np.array([1]), np.array([0]))
        )
