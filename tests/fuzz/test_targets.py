"""A few inputs for each parser; ``python -m tests.fuzz.run`` feeds them for longer."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow", reason="tables and features in Parquet files")

from tests.fuzz.catalogue import SEEDS, TARGETS, kept
from tests.fuzz.mutations import mutated
from tests.fuzz.outcome import Finding, Target, outcome

KEPT = [(name, path.name) for name in TARGETS for path in kept(TARGETS[name])]


@lru_cache(maxsize=64)
def seeds_of(name: str) -> list[bytes]:
    return TARGETS[name].seeds()


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_reads_or_refuses(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What it refuses, it refuses with the file's path, in time and memory in keeping with the file."""
    target, folder = TARGETS[name], tmp_path_factory.mktemp(name)

    @given(number=st.integers(0, 2**64 - 1), content=st.binary(max_size=60))
    @settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
    def feed(number: int, content: bytes) -> None:
        outcome(target, folder, mutated(target, seeds_of(name), random.Random(number)))
        outcome(target, folder, content)

    feed()


@pytest.mark.parametrize("name", TARGETS)
def test_its_seeds_reach_it(name: str, tmp_path: Path) -> None:
    """Of the valid inputs that edits begin with, one at least is read."""
    found = [outcome(TARGETS[name], tmp_path, seed) for seed in seeds_of(name)]
    assert "read" in found or name in ("recorded", "permutations", "made_pickle")


@pytest.mark.parametrize(("name", "file"), KEPT)
def test_what_once_broke_a_parser(name: str, file: str, tmp_path: Path) -> None:
    outcome(TARGETS[name], tmp_path, (SEEDS / name / file).read_bytes())


def test_kept_inputs_are_small_and_of_a_target() -> None:
    assert {path.name for path in SEEDS.iterdir()} <= set(TARGETS)
    assert all(path.stat().st_size <= 8192 for path in SEEDS.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("parse", "said"),
    [
        (lambda folder, content: int(content), "an error without the path"),
        (lambda folder, content: {}[content], "KeyError"),
        (lambda folder, content: __import__("os").system("true"), "os.system"),
        (lambda folder, content: open("/tmp/elsewhere", "w").close(), "it writes /tmp/elsewhere"),
        (lambda folder, content: bytearray(b"x") * 400_000_000, "MB for an input of 1 bytes"),
    ],
)
def test_what_counts_as_broken(parse: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle itself."""
    monkeypatch.setattr("tests.fuzz.outcome.KILOBYTES", 20_000)
    with pytest.raises(Finding, match=said):
        outcome(Target("toy", parse, list), tmp_path, b"x")  # type: ignore[arg-type]
