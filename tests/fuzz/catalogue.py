"""All targets by name."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.outcome import Target
from tests.fuzz.targets import programs, runs, tables, text, vectors, weights

TARGETS: dict[str, Target] = {
    target.name: target for room in (text, tables, weights, vectors, runs, programs) for target in room.TARGETS
}
SEEDS = Path(__file__).with_name("seeds")
"""A folder for each target with what once broke it."""


def kept(target: Target) -> list[Path]:
    """The files of inputs that once broke a target."""
    return sorted((SEEDS / target.name).glob("*"))
