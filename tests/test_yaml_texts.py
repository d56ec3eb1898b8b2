"""YAML that others wrote is read as PyYAML's safe loader reads it, or refused by a ``ValueError``."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promptreid.yaml_texts import LONGEST, MOST, parse_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_was_dumped_is_read(value: object) -> None:
    text = yaml.safe_dump(value)
    assert parse_yaml(text) == yaml.safe_load(text) == value


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_nothing_is_nothing(text: str) -> None:
    assert parse_yaml(text) is None


def test_aliases_and_merged_keys_are_read() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def bomb(levels: int) -> str:
    """A text of a few hundred characters that stands for 2 ** levels values."""
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, levels))]
    return "\n".join(lines)


def test_aliases_of_aliases_cost_no_more_than_their_text() -> None:
    assert parse_yaml(bomb(6))["a5"]["x"]["y"]["x"]["y"]["x"] == {"x": 1}
    started = time.process_time()
    with pytest.raises(ValueError, match=f"more than {MOST} values, counting each as often as it is named"):
        parse_yaml(bomb(60))
    with pytest.raises(ValueError, match="more than"):
        parse_yaml(bomb(60).replace("{x: *", "{<<: *"))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("opening", ["[", "{", "[{", "a: [", "- "])
def test_depth_costs_no_more_than_its_text(opening: str) -> None:
    """PyYAML takes half a second for two thousand open brackets, and minutes for thirty thousand."""
    started = time.process_time()
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_yaml((opening * LONGEST)[:LONGEST])
    assert time.process_time() - started < 2
    assert parse_yaml("[" * 40 + "1" + "]" * 40) != parse_yaml("[] " * 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]", "holds itself"),
        ("a: !!int ''", "string index out of range"),
        ("a: !!timestamp x", "NoneType"),
        ("a: !!bool x", "x"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: b: c", "mapping values are not allowed"),
        ("{[a]: 1}: 2", "unhashable"),
        ("[" * 5000, "nested too deeply"),
        ("--- a\n--- b\n", "expected a single document"),
        ("a" * (LONGEST + 1), f"{LONGEST + 1} characters, more than {LONGEST}"),
    ],
)
def test_all_else_is_a_value_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_yaml(text)
