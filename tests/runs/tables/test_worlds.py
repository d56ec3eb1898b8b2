"""Which seeds the worlds have, and what a configuration is in one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_tables import CONFIGS, ROWS

from promptreid.pretraining.images import FIRST_SEED
from promptreid.runs.tables.rows import row_config, trainings_of
from promptreid.runs.tables.worlds import FIRST_SCREENED, NOT_RENDERED, WORLD_STEP, in_world, world_seeds


def config(*opts: str) -> Any:
    return row_config(ROWS[1], CONFIGS, Path("out"), opts)


def test_each_world_has_a_seed_of_its_own() -> None:
    cfg = config("data.synthetic.seed", "11")
    assert world_seeds(cfg, 3) == [11, 11 + WORLD_STEP, 11 + 2 * WORLD_STEP]
    assert world_seeds(cfg, 1) == [11]


def test_worlds_to_screen_in_are_apart_from_those_of_tables_and_of_pretraining() -> None:
    cfg = config("data.synthetic.seed", "11")
    screened = world_seeds(cfg, 39, screening=True)
    assert screened[0] == FIRST_SCREENED + 11 and screened[-1] < FIRST_SEED
    assert max(world_seeds(cfg, 50)) < FIRST_SCREENED


@pytest.mark.parametrize(
    ("opts", "worlds", "screening", "message"),
    [
        ((), 0, False, "--worlds 0"),
        ((), 51, False, "take fewer worlds or a smaller seed"),
        ((), 41, True, "stay from 0 to 39999"),
        (("data.synthetic.seed", "60000"), 1, False, "data.synthetic.seed 60000"),
        (("data.synthetic.like", ""), 2, False, "data.synthetic.like is empty"),
    ],
)
def test_worlds_that_cannot_be(opts: tuple[str, ...], worlds: int, screening: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        world_seeds(config(*opts), worlds, screening)


def test_a_world_has_folders_and_a_seed_and_nothing_else_of_its_own() -> None:
    cfg = config("data.root", "/images")
    own = in_world(cfg, 2011)
    assert (own.data.root, own.data.synthetic.seed) == ("/images/world-2011", 2011)
    assert own.data.save_dir == "out/runs/synth_rgbnt/bb/world-2011"
    own.defrost()
    own.data.root, own.data.synthetic.seed, own.data.save_dir = "/images", cfg.data.synthetic.seed, cfg.data.save_dir
    assert own == cfg


def test_images_that_are_there_are_one_world_in_the_folder_itself() -> None:
    cfg = config("data.synthetic.like", "")
    assert world_seeds(cfg, 1) == [NOT_RENDERED]
    assert in_world(cfg, NOT_RENDERED) is cfg


def test_the_runs_of_rows() -> None:
    untrained, trained = (trainings_of(row, config(), [11, 1011], 2) for row in ROWS[:2])
    assert [(one.world, one.seed) for one in untrained] == [(11, 0), (1011, 0)]
    assert [(one.world, one.seed) for one in trained] == [(11, 1), (11, 2), (1011, 1), (1011, 2)]
    assert [one.cfg.train.seed for one in trained] == [1, 2, 1, 2]
    assert str(trained[3].folder) == "out/runs/synth_rgbnt/bb/world-1011/seed-2"
