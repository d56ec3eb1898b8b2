"""Options of data sets, from a configuration to their constructors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from triple_sets import Pairs, Plain, Triples, register, write_triples

from promptreid import host
from promptreid.data.dataset import ModalDataset, NoRecords
from promptreid.data.manager import ModalDataManager
from promptreid.data.options import bound_options

DEFAULT = {"incomplete": "skip"}


def built(name: str, root: Path) -> Any:
    return host.data.datasets.init_image_dataset(name, root=str(root), verbose=False)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kept = partial(partial(Triples, incomplete="keep"))
    register(monkeypatch, triples=Triples, kept_triples=kept, pairs=Pairs, tested=TrainsOnDemand)
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


class TrainsOnDemand(Triples):
    """Leaves its train list empty where it is asked to."""

    options = frozenset({"test_only"})

    def __init__(self, root: str = "", test_only: bool = False, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        if test_only:
            ModalDataset.__init__(self, NoRecords(), self.query, self.gallery, **kwargs)


TRAINED = {"identities": 4, "cameras": 2, "camera_rows": {}, "modalities": list(Triples.modalities),
           "images_per_sample": 3}  # fmt: skip


@pytest.mark.parametrize(("targets", "train"), [(["tested"], 0), (["tested", "triples"], 30), (["triples"], 30)])
def test_a_test_of_trained_weights_asks_for_no_train_list(root: Path, targets: list[str], train: int) -> None:
    """Of those that can do without: the others are built as ever, and the loader of an empty list has no batch."""
    settings: dict[str, Any] = {"root": str(root), "height": 16, "width": 8, "use_gpu": False, "workers": 0}
    settings |= {"sources": ["elsewhere"], "targets": targets, "batch_size_train": 15, "num_instances": 3}
    sampler = {"train_sampler": "RandomIdentitySampler", "load_train_targets": True, "combineall": True}
    data = ModalDataManager(**settings, **sampler, trained=TRAINED)
    assert len(data.train_loader.dataset.data) == train
    assert [len(batch["pid"]) for batch in data.train_loader] == [15] * (train // 15)
    data.set_epoch(3)
    assert (len(data.train_loader), data.train_loader_t) == (train // 15, None)
    assert (data.sources, data.num_train_pids, data.num_train_cams) == (["elsewhere"], 4, 2)
    for loaders in data.test_loader.values():
        assert [len(loader.dataset) for loader in loaders.values()] == [30, 30]
    trained = ModalDataManager(**settings | {"sources": targets})
    assert len(trained.train_loader.dataset.data) == 30 * len(targets)
