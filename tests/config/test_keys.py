from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreid.config.keys import did_you_mean, flatten

NAMES = st.text("abcdef_", min_size=1, max_size=4)
TREES = st.dictionaries(
    NAMES,
    st.recursive(st.integers(), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=8),
)


def test_flatten_keeps_the_order_and_lists_whole():
    assert list(flatten({"b": {"x": 1, "w": {"z": [2]}}, "a": 3}).items()) == [("b.x", 1), ("b.w.z", [2]), ("a", 3)]


@given(TREES)
def test_flatten_finds_each_value_at_the_end_of_its_path(tree: dict):
    for key, value in flatten(tree).items():
        node = tree
        for name in key.split("."):
            node = node[name]
        assert node == value


@given(TREES)
def test_flatten_counts_every_leaf(tree: dict):
    def leaves(node: object) -> int:
        return sum(map(leaves, node.values())) if isinstance(node, dict) else 1

    assert len(flatten(tree)) == leaves(tree)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("train.learning_rat", ""),
        ("train.max_epochs", "; did you mean 'train.max_epoch'?"),
        ("max_epoch", "; did you mean 'train.max_epoch'?"),
        ("test.max_epoch", "; did you mean 'train.max_epoch'?"),
        ("model.batchsize", "; did you mean 'train.batch_size'?"),
    ],
)
def test_did_you_mean(typed: str, expected: str):
    assert did_you_mean(typed, ["train.max_epoch", "train.batch_size", "data.root"]) == expected


def test_did_you_mean_of_nothing():
    assert did_you_mean("osnet", []) == ""
