"""Words of a command line, whatever their order."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreid.cli.command_line import parser_of
from promptreid.cli.parsing import is_key, positive

NAMES = st.lists(st.from_regex(r"[a-z][a-z_0-9]{0,9}", fullmatch=True), min_size=1, max_size=3)
PAIRS = st.tuples(st.sampled_from(["data.root", "train.lr", "mip.vit.depth", "no.such_key"]),
                  st.sampled_from(["x", "0.1", "-1", "[a, b]", "data.root", "./a b"]))  # fmt: skip


@given(NAMES, NAMES, st.lists(PAIRS, max_size=4), st.data())
def test_pairs_and_options_may_be_mixed(
    sources: list[str], transforms: list[str], pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    options = [["-s", *sources], ["--transforms", *transforms], ["--seeds", "2"], ["--resume"], ["--root", "r"]]
    places = [data.draw(st.integers(0, len(pairs))) for _ in options]
    blocks: list[list[str]] = []
    for number in range(len(pairs) + 1):
        blocks += [option for option, place in zip(options, places, strict=True) if place == number]
        blocks += [list(pair) for pair in pairs[number : number + 1]]
    args = parser_of("train").parse(list(chain.from_iterable(blocks)))
    words = [word for word in (args.target, *args.opts) if word is not None]
    assert words == list(chain.from_iterable(pairs))
    assert (args.sources, args.transforms, args.seeds, args.resume, args.root) == (sources, transforms, 2, True, "r")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("data.root", True), ("mip.vit.depth", True), ("data.rot", True), ("sysu_mm01", False), ("0.1", False),
     (".5", False), ("1e-4", False), ("mip/quickstart", False), ("own.yaml", False), ("log/run.1", False),
     ("../data.root", False), ("vit.pth", True), ("plugins", True), ("", False)],
)  # fmt: skip
def test_what_a_key_looks_like(word: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_key(word) is expected


def test_a_file_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vit.pth").touch()
    assert not is_key("vit.pth")


@pytest.mark.parametrize("flag", ["--screen", "--scr"])
def test_a_list_may_begin_with_a_key(flag: str) -> None:
    args = parser_of("table").parse(["dmpt_ladder", flag, "train.lr", "0.1", "1e-3", "data.root", "x", "--seeds", "2"])
    assert args.screen == ["train.lr", "0.1", "1e-3"]
    assert (args.table, args.opts, args.seeds) == ("dmpt_ladder", ["data.root", "x"], 2)


def test_abbreviated_lists_end_as_well() -> None:
    args = parser_of("train").parse(["--sour", "a", "b", "data.root", "x"])
    assert args.sources == ["a", "b"] and [args.target, *args.opts] == ["data.root", "x"]


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "x", ""])
def test_what_is_not_positive(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        positive(text)


def test_what_is_positive() -> None:
    assert (positive("1"), positive("+12")) == (1, 12)
