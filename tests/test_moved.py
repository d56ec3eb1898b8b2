"""Names of modules that documents of release 0.1 had."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from promptreid.moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_is_the_new_module_with_a_warning(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=rf"{old} is now {MOVED[old]}"):
        module = import_module(old)
    new = import_module(MOVED[old])
    public = [name for name in vars(new) if not name.startswith("_")]
    assert public and all(getattr(module, name) is getattr(new, name) for name in public)


def test_the_snippets_of_then_run() -> None:
    with pytest.warns(DeprecationWarning):
        sys.modules.pop("promptreid.models.count", None)
        from promptreid.models.count import count_parameters
    assert callable(count_parameters)
