"""requirements/min.txt is what pyproject.toml's lower bounds are."""

from __future__ import annotations

import pytest
from lower_bounds import (
    MINIMUM,
    ROOT,
    UNTESTED,
    pinned_to_lower_bounds,
    project,
    requirements_of_tests,
    text_of_minimum,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def test_the_file_is_up_to_date() -> None:
    """Where this fails: ``python tests/helpers/lower_bounds.py``."""
    assert MINIMUM.read_text(encoding="utf-8") == text_of_minimum()


def test_every_pin_is_allowed_and_nothing_lower_is() -> None:
    pins = [Requirement(line) for line in text_of_minimum().splitlines() if not line.startswith("#")]
    wanted = list(requirements_of_tests())
    assert {pin.name for pin in pins} == {canonicalize_name(each.name) for each in wanted}
    for pin in pins:
        (version,) = (each.version for each in pin.specifier)
        for each in wanted:
            if canonicalize_name(each.name) == pin.name:
                assert each.specifier.contains(version)
                assert not each.specifier.contains(f"{version}.dev0", prereleases=True)


def test_the_extras_for_development_alone_are_left_out() -> None:
    assert project()["optional-dependencies"]["check"] == ["ruff", "mypy"]
    assert not {"ruff", "mypy"} & {each.name for each in requirements_of_tests()}


def test_names_are_canonical_and_markers_stay() -> None:
    given = ["Some_Thing>=2.0,<3", 'other>=1; python_version < "3.11"', "some-thing>=2.0", "pinned==0.2.5"]
    assert pinned_to_lower_bounds(map(Requirement, given)) == [
        'other==1; python_version < "3.11"',
        "pinned==0.2.5",
        "some-thing==2.0",
    ]


def test_a_requirement_without_a_lower_bound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"six: has no lower bound; write six>=VERSION in pyproject\.toml"):
        pinned_to_lower_bounds([Requirement("six")])


def test_two_bounds_of_one_distribution_are_refused() -> None:
    with pytest.raises(ValueError, match=r"onnx>=1\.18: pyproject\.toml has another lower bound too, 1\.17"):
        pinned_to_lower_bounds([Requirement("onnx>=1.17"), Requirement("onnx>=1.18")])


def test_make_installs_every_extra_that_tests_use() -> None:
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("EXTRAS := "))
    assert {*line.removeprefix("EXTRAS := ").split(",")} == {*project()["optional-dependencies"]} - UNTESTED
