"""JSON that others wrote: a value or a ``ValueError``, of a file with its path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreid.json_texts import parse_json, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(VALUES)
def test_as_json_itself(value: object) -> None:
    text = json.dumps(value)
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)


def test_names_can_be_looked_at() -> None:
    assert parse_json('{"a": 1, "a": 2}', lambda pairs: pairs) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{", b"\xff", "[" + "9" * 5000 + "]"])
def test_all_else_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"[1]", "list in place of an object"), (b"\xff", "codec"), (b"[" * 100_000, "too deeply")]
)
def test_a_file_is_an_object_or_an_error_with_its_path(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.json: not a plan \(.*{reason}.*\); start anew"):
        read_json(tmp_path / "a.json", "a plan", "start anew")
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json", "a plan", "start anew") == {"a": 1}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json", "a plan", "start anew")
