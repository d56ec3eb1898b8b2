from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreid.config.defaults import default_config
from promptreid.config.keys import flatten
from promptreid.config.merge import coerce, merged
from promptreid.config.sections import all_keys

DEFAULTS = flatten(default_config())
NULLABLE = {name: key.value_type for name, key in all_keys().items() if key.nullable}
LISTS_OF_NUMBERS = [name for name, key in all_keys().items() if key.default == [] and key.entry_type is int]


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("train.lr", 1, 1.0),
        ("train.lr", "1e-4", 1e-4),
        ("train.lr", "1", 1.0),
        ("train.max_epoch", "12", 12),
        ("train.staged_lr", "true", True),
        ("train.staged_lr", "False", False),
        ("train.stepsize", "[60, 80]", [60, 80]),
        ("train.stepsize", (60, 80), [60, 80]),
        ("data.norm_mean", [0, 0, 1], [0.0, 0.0, 1.0]),
        ("data.norm_mean", ["1e-1", 0.5, 0.5], [0.1, 0.5, 0.5]),
        ("data.sources", "['sysu_mm01']", ["sysu_mm01"]),
        ("data.sources", [], []),
        ("test.protocols", ["all_single"], ["all_single"]),
        ("data.save_dir", "001", "001"),
        ("data.save_dir", "'log'", "log"),
        ("data.save_dir", "None", "None"),
        ("model.resume", "''", ""),
        ("mip.depth", 4, 4),
        ("mip.depth", "None", None),
        ("mip.iael", None, None),
        ("mip.iael", "True", True),
    ],
)
def test_coerce_converts(key: str, given: Any, expected: Any):
    result = coerce(key, given)
    assert result == expected
    assert type(result) is type(expected)
    if isinstance(expected, list):
        assert [type(item) for item in result] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("train.lr", True, r"train\.lr: expected float, got True \(bool\)"),
        ("train.lr", "fast", r"train\.lr: expected float, got 'fast' \(str\)"),
        ("train.lr", None, r"train\.lr: expected float, got None"),
        ("train.max_epoch", 1.5, r"train\.max_epoch: expected int, got 1\.5 \(float\)"),
        ("train.max_epoch", True, r"train\.max_epoch: expected int"),
        ("train.staged_lr", 1, r"train\.staged_lr: expected bool, got 1 \(int\)"),
        ("model.name", 50, r"model\.name: expected str, got 50 \(int\)"),
        ("model.name", None, r"model\.name: expected str, got None"),
        ("data.sources", "sysu_mm01", r"data\.sources: expected a list of str values, such as \['market1501'\]"),
        ("data.sources", [1], r"data\.sources: expected a list of str values"),
        ("train.stepsize", 60, r"train\.stepsize: expected a list of int values, such as \[20\], got 60"),
        ("train.stepsize", [60, 0.5], r"train\.stepsize: expected a list of int values.*got 0\.5"),
        ("mip.depth", 1.0, r"mip\.depth: expected int or None, got 1\.0 \(float\)"),
        ("mip.iael", 1, r"mip\.iael: expected bool or None, got 1 \(int\)"),
    ],
)
def test_coerce_refuses(key: str, given: Any, message: str):
    with pytest.raises(ValueError, match=message):
        coerce(key, given)


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_a_typo_in_any_key_names_the_whole_key_and_the_right_one(key: str):
    typo = f"{key[:-1]}_"
    with pytest.raises(ValueError, match=rf"unknown key '{typo}'; did you mean '") as caught:
        merged(default_config(), {typo: 1})
    suggested = str(caught.value).split("did you mean ")[1].strip("'?")
    assert suggested in DEFAULTS


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_no_key_takes_a_mapping(key: str):
    with pytest.raises(ValueError, match=key):
        merged(default_config(), {key: {"a": 1}})


@pytest.mark.parametrize("key", ["train", "loss.triplet", "backbone.vit"])
def test_a_node_takes_no_value(key: str):
    with pytest.raises(ValueError, match=rf"^{key} holds other keys and can't have a value itself: set '{key}\."):
        merged(default_config(), {key: None})


def test_a_failing_merge_changes_nothing():
    cfg = default_config()
    with pytest.raises(ValueError, match="nonsense"):
        merged(cfg, {"train.lr": 0.5, "train.nonsense": 1})
    assert cfg == default_config()


def test_merged_leaves_the_given_tree_alone_and_accepts_a_frozen_one():
    cfg = default_config()
    cfg.freeze()
    result = merged(cfg, {"train.lr": 0.5, "backbone.vit.depth": 2})
    assert (result.train.lr, result.backbone.vit.depth) == (0.5, 2)
    assert (cfg.train.lr, cfg.backbone.vit.depth) == (0.0003, None)


def test_merged_keeps_no_list_of_the_callers():
    sources = ["sysu_mm01"]
    result = merged(default_config(), {"data.sources": sources})
    sources.append("regdb")
    assert result.data.sources == ["sysu_mm01"]


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_every_default_merges_into_itself_as_value_and_as_text(key: str):
    value = DEFAULTS[key]
    assert coerce(key, value) == value
    assert coerce(key, repr(value)) == value


@given(st.sampled_from(sorted(DEFAULTS)), st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats()))
def test_coerce_returns_the_type_of_the_key_or_refuses(key: str, value: Any):
    try:
        result = coerce(key, value)
    except ValueError as error:
        assert str(error).startswith(key)
    else:
        kinds = (NULLABLE[key], type(None)) if key in NULLABLE else (type(DEFAULTS[key]),)
        assert type(result) in kinds


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_as_text(value: float):
    assert coerce("train.lr", repr(value)) == value


@pytest.mark.parametrize("key", sorted(LISTS_OF_NUMBERS))
def test_an_empty_list_of_numbers_takes_numbers_alone(key: str) -> None:
    assert flatten(merged(default_config(), {key: "[3, 7]"}))[key] == [3, 7]
    with pytest.raises(ValueError, match="list of int values"):
        merged(default_config(), {key: ["name"]})


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("data.transforms", "[random_flip]", ["random_flip"]),
        ("data.transforms", " [random_flip, 'random_crop'] ", ["random_flip", "random_crop"]),
        ("data.sources", '["sysu_mm01", regdb_v2i]', ["sysu_mm01", "regdb_v2i"]),
        ("test.protocols", "[sysu-python indoor 1-shot]", ["sysu-python indoor 1-shot"]),
        ("data.sources", "[]", []),
        ("train.stepsize", "[60, 80]", [60, 80]),
        ("data.norm_mean", "[0.5, .5, 5e-1]", [0.5, 0.5, 0.5]),
        ("data.save_dir", "[a, b]", "[a, b]"),
        ("data.save_dir", "[log]", "[log]"),
    ],
)
def test_a_list_may_be_written_as_in_yaml(key: str, given: str, expected: Any):
    assert coerce(key, given) == expected


@pytest.mark.parametrize("text", ["random_flip", "[random_flip", "{a: b}", "[a: b]", "[[a]]", "a, b", "[1, b]", "- a"])
def test_what_is_no_list_of_names_stays_an_error(text: str):
    with pytest.raises(ValueError, match=r"data\.transforms: expected a list of str values"):
        coerce("data.transforms", text)


@given(
    st.lists(
        st.from_regex(r"[a-z_]{3,12}", fullmatch=True).filter(
            lambda name: name not in ("null", "true", "false", "yes", "off")
        )
    )
)
def test_names_come_back_with_and_without_quotes(names: list[str]):
    assert coerce("data.transforms", f"[{', '.join(names)}]") == names
    assert coerce("data.transforms", str(names)) == names
