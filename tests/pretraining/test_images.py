from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from promptreid.pretraining.images import (
    FIRST_RENDERER,
    Colours,
    check_seed,
    draw_people,
    draw_strangers,
    generator,
    identity,
    normalise,
    recolour,
    render,
)
from promptreid.synthetic import BANDS, Identity, keyed, render_shot

SEED = 90_001
SHARES = {"visible": 0.5, "near_infrared": 0.25, "thermal_infrared": 0.25}


@pytest.mark.parametrize("seed", [0, 89_999, -1])
def test_seeds_of_data_sets_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed: must be at least 90000, not {seed}"):
        check_seed(seed)
    check_seed(90_000)


def test_nobody_is_seen_twice() -> None:
    shots = [shot for step in range(5) for shot in draw_strangers(SEED, step, 16, SHARES)]
    assert len({shot.pid for shot in shots}) == 80
    assert draw_strangers(SEED, 3, 16, SHARES) == shots[48:64]
    assert draw_strangers(SEED + 1, 3, 16, SHARES) != shots[48:64]


def test_bands_come_in_their_shares() -> None:
    counts = Counter(shot.band for step in range(20) for shot in draw_strangers(SEED, step, 64, SHARES))
    assert counts["visible"] / 1280 == pytest.approx(0.5, abs=0.05)
    assert counts["near_infrared"] / 1280 == pytest.approx(0.25, abs=0.05)
    only = {"visible": 0.0, "near_infrared": 0.0, "thermal_infrared": 1.0}
    assert {shot.band for shot in draw_strangers(SEED, 0, 64, only)} == {"thermal_infrared"}


def test_people_come_back_in_other_pictures() -> None:
    steps = [draw_people(SEED, step, 4, 3, 6) for step in range(30)]
    assert all([shot.pid for shot in shots[::3]] == [shot.pid for shot in shots[2::3]] for shots in steps)
    assert all(len({shot.pid for shot in shots}) == 4 and len(shots) == 12 for shots in steps)
    everything = [shot for shots in steps for shot in shots]
    assert {shot.pid for shot in everything} == set(range(6))
    assert len({(shot.pid, shot.frame) for shot in everything}) == len(everything)
    assert {shot.band for shot in everything} == {"visible"}


def test_cameras_stay_for_a_while() -> None:
    cameras = [{shot.camera for shot in draw_strangers(SEED, step, 64, SHARES)} for step in (0, 7, 8)]
    assert cameras[0] == cameras[1] == set(range(8))
    assert cameras[2] == set(range(8, 16))


def test_pictures_are_the_renderer_s_own() -> None:
    shots = draw_strangers(SEED, 0, 3, SHARES)
    pictures = render(shots, SEED)
    assert pictures.shape == (3, 3, 128, 64)
    assert pictures.dtype == torch.uint8
    expected = render_shot(shots[1], SEED, shots[1].camera, (128, 64))
    assert np.array_equal(pictures[1].permute(1, 2, 0).numpy(), expected)


def test_captions_are_about_the_person_in_the_picture() -> None:
    expected, person = Identity.draw(keyed(SEED, "identity", 5), FIRST_RENDERER), identity(SEED, 5)
    assert (person.hair, person.bag, person.body) == (expected.hair, expected.bag, expected.body)
    assert all(np.array_equal(person.palette[band], expected.palette[band]) for band in BANDS)


def test_normalisation_is_that_of_mean_and_deviation_one_half() -> None:
    pictures = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    expected = (pictures.float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(normalise(pictures), expected)


def test_streams_are_apart() -> None:
    draws = {generator(SEED, stream, 3).random() for stream in ("photos", "captions", "people", "colours")}
    draws |= {keyed(SEED, stream, 3).random() for stream in ("tree", "identity", "camera", "scene", "frame", "noise")}
    assert len(draws) == 10


def coloured(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 4, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_colours_stay_where_nothing_is_asked() -> None:
    pictures = coloured(4)
    assert torch.equal(recolour(pictures, Colours(), generator(SEED, "colours", 0)), pictures)


def test_a_share_of_pictures_keeps_one_channel_and_a_share_of_these_is_inverted() -> None:
    pictures = coloured(1000)
    grey = recolour(pictures, Colours(grey=0.5, negative=0.25), generator(SEED, "colours", 0))
    luma = (pictures.double() * torch.tensor([0.2989, 0.587, 0.114]).double()[:, None, None]).sum(dim=1).floor()
    levels = dict(zip("rgb", pictures.unbind(1), strict=True)) | {"luma": luma.byte()}
    kinds = Counter()
    for number, picture in enumerate(grey):
        if torch.equal(picture, pictures[number]):
            kinds["colours"] += 1
            continue
        assert torch.equal(picture, picture[:1].expand(3, -1, -1))
        value = picture[0].int()
        for name, level in levels.items():
            for sign, shown in (("", level[number].int()), ("-", 255 - level[number].int())):
                kinds[sign + name] += int((value - shown).abs().max() <= 1)
    assert sum(kinds.values()) == 1000
    assert kinds["colours"] == pytest.approx(500, abs=60)
    assert all(kinds[name] == pytest.approx(94, abs=30) for name in levels)
    assert all(kinds["-" + name] == pytest.approx(31, abs=18) for name in levels)


def test_the_same_generator_gives_the_same_colours() -> None:
    pictures, colours = coloured(32), Colours(grey=0.5, negative=0.5)
    first, again, other = (recolour(pictures, colours, generator(SEED, "colours", step)) for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("changes", [{"grey": 1.5}, {"negative": -0.1}])
def test_shares_of_colours_are_checked(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(changes))}: must be from 0 to 1"):
        Colours(**changes)
