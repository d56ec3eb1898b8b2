"""Options of data sets, from a configuration to their constructors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from triple_sets import Pairs, Plain, Triples, register, write_triples

from promptreid import host
from promptreid.data.manager import ModalDataManager
from promptreid.data.options import bound_options

DEFAULT = {"incomplete": "skip"}


def built(name: str, root: Path) -> Any:
    return host.data.datasets.init_image_dataset(name, root=str(root), verbose=False)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register(monkeypatch, triples=Triples, kept_triples=partial(partial(Triples, incomplete="keep")), pairs=Pairs)
    monkeypatch.setitem(host._DATASETS, "plain", Plain)
    return write_triples(tmp_path)


def test_those_that_take_it_get_it_for_a_while(root: Path) -> None:
    with bound_options(["triples", "pairs", "plain"], {"incomplete": "keep"}, DEFAULT):
        assert built("triples", root).incomplete == "keep"
        assert built("pairs", root).images_per_sample == 2
        assert built("plain", root).mode == "train"
    assert built("triples", root).incomplete == "skip"


def test_a_partial_is_looked_through(root: Path) -> None:
    assert built("kept_triples", root).incomplete == "keep"
    with bound_options(["kept_triples"], {"incomplete": "skip"}, DEFAULT):
        assert built("kept_triples", root).incomplete == "skip"
    assert built("kept_triples", root).incomplete == "keep"


def test_a_default_disturbs_nobody_and_another_value_needs_a_taker(root: Path) -> None:
    with bound_options(["pairs", "plain", "market1501"], DEFAULT, DEFAULT):
        assert built("pairs", root).images_per_sample == 2
    with pytest.raises(
        ValueError, match=r"data\.incomplete keep: none of data\.sources and data\.targets takes .* skip"
    ):
        bound_options(["pairs", "plain"], {"incomplete": "keep"}, DEFAULT)


@pytest.mark.parametrize("names", [{"sources": "triples"}, {"sources": ["pairs"], "targets": ["triples"]}])
def test_the_data_manager_passes_it_on(root: Path, names: dict[str, Any]) -> None:
    data = ModalDataManager(root=str(root), height=16, width=8, use_gpu=False, workers=0, incomplete="keep", **names)
    present = {
        len(path.paths) - list(path.paths.values()).count(None) for path, *_ in data.test_dataset["triples"]["query"]
    }
    assert present == {2, 3}
    assert built("triples", root).incomplete == "skip"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": "pairs", "incomplete": "keep"}, r"data\.incomplete keep: none of"),
        ({"sources": "triples", "incomplete": "drop"}, r"data\.incomplete: unknown name 'drop' \(one of skip, keep\)"),
        ({"sources": "triples", "decoder": "gpu"}, r"data\.decoder: unknown name 'gpu' \(one of pillow, simplejpeg\)"),
    ],
)
def test_what_cannot_be_is_refused(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModalDataManager(root=str(root), height=16, width=8, use_gpu=False, workers=0, **changes)
