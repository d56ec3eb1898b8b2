"""Lines in panels."""

from __future__ import annotations

import pytest

from promptreid.visual.curves import Curve, curves_figure


def test_a_run_looks_the_same_in_every_panel_and_is_named_once() -> None:
    panels = {
        "loss": [Curve("a", [1, 2], [3.0, 2.0]), Curve("b", [1, 2, 3], [3.0, 1.0, 0.5])],
        "mAP": [Curve("b", list(range(40)), [0.1] * 40)],
        **{f"{number}": [Curve("a", [1], [0.0])] for number in range(2)},
    }
    figure = curves_figure(panels, xlabel="rank")
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in drawn] == ["loss", "mAP", "0", "1"] and len(figure.axes) == 6
    lines = [line for axes in drawn for line in axes.get_lines()]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines if line.get_label() == "b"}) == 1
    assert lines[0].get_color() != lines[1].get_color() and lines[0].get_linestyle() != lines[1].get_linestyle()
    assert lines[1].get_ydata().tolist() == [3.0, 1.0, 0.5] and lines[1].get_marker() and not lines[2].get_marker()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert drawn[0].get_xlabel() == "rank"
    with pytest.raises(ValueError, match="nothing to draw"):
        curves_figure({"loss": []})
