from __future__ import annotations

import pytest

from promptreid.engine.training_plan import evaluation_is_due, plan_of


def test_a_plan_is_taken_out_of_the_arguments() -> None:
    arguments = {"max_epoch": 3, "eval_freq": 2, "ranks": [1]}
    plan = plan_of(arguments)
    assert (plan["max_epoch"], plan["eval_freq"], plan["start_eval"], plan["test_only"]) == (3, 2, 0, False)
    assert arguments == {"ranks": [1]}


@pytest.mark.parametrize(
    ("every", "start", "selects", "due"),
    [
        (-1, 0, False, []),
        (0, 0, False, []),
        (-1, 0, True, [6]),
        (2, 0, False, [0, 2, 4]),
        (2, 3, False, [4]),
        (2, 0, True, [0, 2, 4, 6]),
        (1, 4, False, [4, 5]),
    ],
)
def test_when_weights_are_tested(every: int, start: int, selects: bool, due: list[int]) -> None:
    """After the last epoch only where weights are selected: a final test follows anyway."""
    plan = {"eval_freq": every, "start_eval": start}
    assert [done for done in range(7) if evaluation_is_due(plan, done, 6, selects)] == due
