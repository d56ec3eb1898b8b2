"""Arguments that the renderer of RGB + NIR + TIR data sets refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from triple_twins import LIKES

from promptreid import synthetic
from promptreid.synthetic import recipe_of


@pytest.mark.parametrize("like", LIKES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": 2}, "ids: must be 3 to 9000"),
        ({"seed": -1}, "seed: must not be negative"),
        ({"frames": 0}, "frames: must be 1 to 999"),
        ({"size": (127, 64)}, "size: height and width must be even"),
        ({"train_fraction": 0.0}, "train_fraction: must lie between 0 and 1"),
        ({"test_ids": 5}, "test_ids: must be 1 to 4 for 6 ids"),
    ],
)
def test_bad_arguments_are_refused(tmp_path: Path, like: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        synthetic.write_tree(out=tmp_path / "tree", **{"like": like, "ids": 6, "seed": 0, **change})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("like", "options", "message"),
    [
        (
            "rgbnt100",
            {"ids": 6, "size": (64, 128)},
            "size: the parts of a strip of rgbnt100 are 128 x 256, not (64, 128)",
        ),
        (
            "rgbn300",
            {"ids": 6, "size": (128, 64)},
            "size: the parts of a strip of rgbn300 are 128 x 256, not (128, 64)",
        ),
        ("rgbnt100", {"ids": 601}, "ids: rgbnt100 numbers vehicles to 600"),
        ("rgbnt100", {"ids": 400, "test_ids": 301}, "there can't be 99 and 301"),
        ("msvr310", {"ids": 3}, "ids: msvr310 needs 2 test ids (a query and a distractor), and of 3 ids it has 1"),
        ("wmveid863", {"ids": 9, "test_ids": 1}, "ids: wmveid863 needs 2 test ids"),
        ("rgbnt201", {"ids": 6, "frames": 100}, "frames: names of rgbnt201 have room for 99, not 100"),
        ("wmveid863", {"ids": 6, "frames": 999}, "frames: names of wmveid863 have room for 998, not 999"),
    ],
)
def test_what_a_data_set_has_no_room_for_is_refused(
    tmp_path: Path, like: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        synthetic.write_tree(like, tmp_path / "tree", seed=0, **options)
    assert not list(tmp_path.iterdir())


def test_strips_may_be_given_the_size_that_they_have() -> None:
    assert recipe_of("rgbnt100", 6, 0, size=(128, 256)) == recipe_of("rgbnt100", 6, 0)
