"""torchreid's own data sets as three copies of each image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchreid
from fake_triples import patches

from promptreid import DATASETS, host
from promptreid.datasets.as_triples import AsTriples

HOST_NAMES = [name for name in host.dataset_names() if not host.is_ours("dataset", name)]
NAMES = {
    "bounding_box_train": ["0002_c1s1_000451_03", "0002_c2s1_000776_01", "0007_c3s1_000000_01", "0007_c1s1_000001_01"],
    "query": ["0001_c1s1_001051_00", "0003_c2s1_000551_00"],
    "bounding_box_test": ["0001_c2s1_000000_01", "0003_c3s1_000000_01", "0000_c1s1_000000_01", "-1_c1s1_000000_02"],
}


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A root with a Market-1501 of ten images."""
    draw = patches((16, 8))
    for split, names in NAMES.items():
        folder = tmp_path / "market1501" / "Market-1501-v15.09.15" / split
        folder.mkdir(parents=True)
        for seed, name in enumerate(names):
            draw(folder / f"{name}.jpg", seed + len(split))
    return tmp_path


def test_every_image_data_set_of_torchreid_has_one() -> None:
    assert len(HOST_NAMES) > 10
    assert {name for name in DATASETS if name.endswith("_as_triples")} == {f"{name}_as_triples" for name in HOST_NAMES}


def test_records_are_those_of_torchreid(market: Path) -> None:
    ours = DATASETS["market1501_as_triples"](root=str(market), verbose=False)
    theirs = torchreid.data.datasets.init_image_dataset("market1501", root=str(market), verbose=False)
    for split in ("train", "query", "gallery"):
        assert [tuple(record) for record in getattr(ours, split)] == [tuple(r) for r in getattr(theirs, split)]
        for path, _, camid, _ in getattr(ours, split):
            assert path.paths == dict.fromkeys(("visible", "near_infrared", "thermal_infrared"), str(path))
            assert path.camera == camid
    assert (ours.num_train_pids, ours.num_cameras) == (2, 3)
    assert [protocol.name for protocol in ours.protocols] == ["market1501-as-triples"]
    assert ours.protocols[0].exclude == "camera"


def test_a_sample_is_three_copies(market: Path) -> None:
    data = torchreid.data.ImageDataManager(root=str(market), sources="market1501_as_triples", height=16, width=8,
                                           batch_size_train=2, workers=0, use_gpu=False)  # fmt: skip
    images = next(iter(data.test_loader["market1501_as_triples"]["query"]))["img"]["images"]
    assert images.shape == (2, 3, 3, 16, 8)
    assert torch.equal(images[:, 0], images[:, 1])
    assert torch.equal(images[:, 0], images[:, 2])
    assert not torch.equal(images[0], images[1])


def test_torchreids_arguments_pass_through(market: Path) -> None:
    combined = DATASETS["market1501_as_triples"](root=str(market), combineall=True, verbose=False)
    assert (len(combined.train), combined.num_train_pids) == (4 + 2 + 2, 4)  # without the distractor
    extra = market / "market1501" / "Market-1501-v15.09.15" / "images"
    extra.mkdir()
    patches((16, 8))(extra / "0000_c6s1_000009_01.jpg", 9)
    more = DATASETS["market1501_as_triples"](root=str(market), market1501_500k=True, verbose=False)
    assert (len(more.gallery), more.num_cameras) == (4, 6)


def test_identities_of_test_only_sets_become_classes(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class TestOnly(host.ImageDataset):
        def __init__(self, **kwargs: object) -> None:
            super().__init__([("a.jpg", 9, 0), ("b.jpg", 4, 1)], [("c.jpg", 9, 0)], [("d.jpg", 9, 1)], verbose=False)

    monkeypatch.setitem(host._DATASETS, "test_only", TestOnly)
    assert [record[1] for record in AsTriples("test_only", verbose=False).train] == [1, 0]


@pytest.mark.parametrize("name", ["market1501", "viper", "msmt17"])
def test_nothing_is_downloaded(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(host.ImageDataset.__mro__[1], "download_dataset", refuse)
    with pytest.raises(FileNotFoundError, match=rf"{name}: no such folder; put \w+ there.*Nothing is downloaded"):
        DATASETS[f"{name}_as_triples"](root=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_complete(market: Path) -> None:
    (market / "market1501" / "Market-1501-v15.09.15" / "query").rename(market / "query")
    with pytest.raises(RuntimeError, match='query" is not found'):
        DATASETS["market1501_as_triples"](root=str(market))
