"""What a table prints of its rows: means, gains, verdicts, costs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_tables import ROWS, TOY, run_toy, use_toy_trainings
from toy_trainings import TESTS, outcomes

from promptreid.runs.tables.lines import Line
from promptreid.runs.tables.places import Size
from promptreid.runs.tables.render import ResultTable
from promptreid.runs.tables.scatter import Point, draw_scatter, save_picture

WORLDS, SEEDS = (11, 1011, 2011), (1, 2)


@pytest.fixture
def table(toy_made: Path) -> ResultTable:
    return ResultTable.read(toy_made / "results" / "toy")


def line(table: ResultTable, key: str, test: str = TESTS[0]) -> Line:
    return next(one for one in table.lines if (one.row.key, one.protocol) == (key, test))


def maps(key: str, test: str = TESTS[0]) -> np.ndarray:
    """(W, S) of a trained row, from the outcomes that its runs were given."""
    return np.array([[outcomes(key, world, seed, test).mean() for seed in SEEDS] for world in WORLDS])


def test_means_and_deviations_are_over_worlds_and_seeds(table: ResultTable) -> None:
    for test in TESTS:
        found = line(table, "bb", test).scores["mAP"]
        assert found["mean"] == pytest.approx(maps("bb", test).mean(), abs=1e-7)
        assert found["sd"] == pytest.approx(maps("bb", test).std(ddof=1), abs=1e-7)
        assert line(table, "bb", test).runs == 6


def test_a_gain_is_over_the_row_that_it_names_or_the_reference(table: ResultTable) -> None:
    for key, other, factor in (("cccc", "bb", 1), ("a", "bb", None)):
        effect = line(table, key).effect
        assert effect is not None and line(table, key).against is line(table, other).row
        if factor:
            assert effect.difference == pytest.approx((maps("cccc") - maps("bb")).mean(), abs=1e-6)
            # Four letters instead of two are 0.06, with noise of 0.01 in each outcome of 20 queries.
            assert 0.05 < effect.interval.low < effect.difference < effect.interval.high < 0.07
            assert effect.interval.high - effect.interval.low < 0.012
    assert line(table, "bb").effect is None and line(table, "bb").against is None


def test_an_untrained_row_is_compared_with_every_seed(table: ResultTable) -> None:
    untrained = np.array([[outcomes("a", world, 0, TESTS[0]).mean()] for world in WORLDS])
    effect = line(table, "a").effect
    assert effect is not None and effect.pairs == 6
    assert effect.difference == pytest.approx((untrained - maps("bb")).mean(), abs=1e-6)
    assert effect.verdict == "hurts"
    assert line(table, "a").runs == 3


def test_the_text_has_all_of_it(table: ResultTable) -> None:
    text = table.markdown()
    effect, scores = line(table, "cccc").effect, line(table, "cccc").scores["mAP"]
    assert effect is not None
    cells = [
        "Row C",
        f"{100 * scores['mean']:.1f} ± {100 * scores['sd']:.1f}",
        "50.0 ± 0.0",
        "Row B",
        f"{100 * effect.difference:+.1f} [{100 * effect.interval.low:+.1f}, {100 * effect.interval.high:+.1f}]",
        "helps",
        str(effect.needed),
        "0.00", "1.00", "2.00",
    ]  # fmt: skip
    assert f"\n| {' | '.join(cells)} |\n" in text
    assert text.startswith("**A toy** (`toy`)\n\nPer cent; mean ± standard deviation over 3 worlds and 2 seeds in each")
    assert "Gain: in mAP over the row that is named" in text and "A note." in text
    assert not table.markdown(titled=False).startswith("**")
    for test in TESTS:
        block = text.partition(f"| {test} |")[2].partition("\n\n")[0]
        assert len({row.count("|") for row in f"| x |{block}".strip().splitlines()}) == 1


def test_where_all_are_compared_with_one_row_it_is_named_once(toy: Path) -> None:
    alike = replace(TOY, name="alike", rows=(*ROWS[:2], replace(ROWS[2], against="")))
    text = run_toy(toy, table=alike).markdown()
    assert "Gain: in mAP over 'Row B', same worlds" in text and "| over |" not in text


def test_the_ratio_of_probe_and_tuning_stands_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainings(monkeypatch)
    rows = tuple(
        replace(row, key=key, against="") for row, key in zip(ROWS[1:], ("linear_probe", "fine_tuning"), strict=True)
    )
    table = run_toy(tmp_path, table=replace(TOY, rows=rows, reference=""), size=Size(1, 1))
    means = [line(table, key).scores["mAP"]["mean"] for key in ("linear_probe", "fine_tuning")]
    assert f"\n\nLinear probe / full fine-tuning, mAP: {means[0] / means[1]:.2f}.\n\n| toy all |" in table.markdown()


def test_columns_and_plain_numbers(table: ResultTable, toy_made: Path) -> None:
    with (toy_made / "out" / "toy" / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["protocol"]) for row in rows] == [(one.row.name, one.protocol) for one in table.lines]
    effect = line(table, "cccc").effect
    assert effect is not None
    assert float(rows[4]["effect_low"]) == pytest.approx(effect.interval.low) and rows[4]["verdict"] == "helps"
    assert (rows[2]["effect"], rows[2]["against"]) == ("nan", "")
    record = json.loads((toy_made / "out" / "toy" / "table.json").read_text())
    assert record == json.loads(json.dumps(table.as_dict()))
    assert (record["worlds"], record["seeds"]) == (list(WORLDS), list(SEEDS))
    assert record["lines"][4]["effect"]["interval"]["high"] == pytest.approx(effect.interval.high)


def test_a_picture_of_scores_and_costs(table: ResultTable, tmp_path: Path) -> None:
    from PIL import Image

    save_picture(table, tmp_path / "a.png")
    save_picture(table, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").width == 1000
    with pytest.raises(ValueError, match=r"a\.jpg: pictures of tables end in \.png"):
        save_picture(table, tmp_path / "a.jpg")


def places_of(panels: dict[str, list[Point]]) -> list[tuple[float, float]]:
    """The middle of each row's colour in the panel, above the legend."""
    from promptreid.runs.tables.bars import COLOURS

    pixels = np.asarray(draw_scatter(panels, "title")).astype(int)[:400]
    found = []
    for colour in COLOURS[: len(next(iter(panels.values())))]:
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        y, x = np.nonzero((np.abs(pixels - wanted) < 8).all(axis=2))
        found.append((float(np.median(x)), float(np.median(y))))
    return found


def test_points_lie_where_their_numbers_say() -> None:
    (ax, ay), (bx, by), (cx, cy) = places_of({"cost": [Point("a", 1, 0.2), Point("b", 2, 0.4), Point("c", 4, 0.3)]})
    assert cx - bx == pytest.approx(2 * (bx - ax), abs=3)
    assert ay - cy == pytest.approx(cy - by, abs=3) and ay > cy > by


def test_more_rows_than_colours_can_be_drawn() -> None:
    points = [Point(str(number), number, number / 20) for number in range(20)]
    assert draw_scatter({"cost": points}, "title").height > draw_scatter({"cost": points[:2]}, "title").height


@pytest.mark.parametrize(("panels", "width"), [({}, 1000), ({"x": []}, 1000), ({"x": [Point("a", 1, 0.5)]}, 300)])
def test_nothing_or_too_narrow_a_picture(panels: dict[str, list[Point]], width: int) -> None:
    with pytest.raises(ValueError, match="draw at least one, of 400 pixels or more"):
        draw_scatter(panels, "title", width)


def test_one_point_at_nothing_can_be_drawn() -> None:
    assert draw_scatter({"cost": [Point("a", 0, 0)]}, "title").width == 1000
