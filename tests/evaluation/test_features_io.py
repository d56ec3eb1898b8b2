"""Files of features: what goes in comes out, and what is wrong with a file is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from promptreid.evaluation.features import as_tensor
from promptreid.evaluation.features_io import SUFFIXES, FeatureTable, load_features, save_features

Columns = dict[str, Any]


def columns(**changes: Any) -> Columns:
    generator = torch.Generator().manual_seed(0)
    given: Columns = {
        "features": torch.randn(5, 3, generator=generator),
        "pids": [4, 5, 4, 5, 6],
        "camids": [2, 2, 0, 1, 1],
        "split": ["query", "query", "gallery", "gallery", "gallery"],
        "modality": np.array(["infrared"] * 2 + ["visible"] * 3),
        "paths": np.array(["a.jpg", "b.jpg", "a.jpg", "ü.jpg", "d.jpg"]),
        "scenes": [1, 1, 2, 2, 3],
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("optional", [True, False])
def test_a_round_trip_keeps_everything(suffix: str, optional: bool, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    given = columns() if optional else columns(modality=None, paths=None, scenes=None)
    path = tmp_path / "new" / f"f{suffix}"
    save_features(FeatureTable(**given), path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    table = load_features(path)
    assert torch.equal(as_tensor(table.features), given["features"])
    for name in ("pids", "camids", "split", "modality", "paths", "scenes"):
        if name in given:
            assert getattr(table, name).tolist() == list(given[name])
        else:
            assert getattr(table, name) is None
    query, gallery = table.side("query"), table.side("gallery")
    assert torch.equal(as_tensor(gallery.features), given["features"][2:])
    assert query.pids.tolist() == [4, 5] and gallery.camids.tolist() == [0, 1, 1]
    assert table.modalities == ((["infrared"], ["visible"]) if optional else None)
    assert gallery.names is None or gallery.names.tolist() == ["a.jpg", "ü.jpg", "d.jpg"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bfloat16_survives(suffix: str, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    given = columns(features=columns()["features"].bfloat16())
    save_features(FeatureTable(**given), tmp_path / f"f{suffix}")
    loaded = as_tensor(load_features(tmp_path / f"f{suffix}").features)
    assert torch.equal(loaded.float(), given["features"].float())


def test_what_others_wrote_is_read(tmp_path: Path) -> None:
    features = np.arange(6, dtype=np.float16).reshape(3, 2)
    plain = {"features": features, "pids": np.int32([1, 1, 2]), "camids": np.uint8([0, 1, 1]), "split": [0, 1, 1]}
    np.savez_compressed(tmp_path / "f.npz", **plain, comment="anything")
    table = load_features(tmp_path / "f.npz")
    assert table.split.tolist() == ["query", "gallery", "gallery"] and table.pids.dtype == np.int64
    parquet = pytest.importorskip("pyarrow.parquet")
    table_of = pytest.importorskip("pyarrow").table
    lists = {**{name: list(values) for name, values in plain.items()}, "features": features.astype(float).tolist()}
    parquet.write_table(table_of(lists), tmp_path / "f.parquet")
    np.testing.assert_array_equal(load_features(tmp_path / "f.parquet").features, features)
    lists["features"][1] = [1.0]
    parquet.write_table(table_of(lists), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match=r"lists of \[1, 2\] numbers"):
        load_features(tmp_path / "f.parquet")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pids": [1, 2]}, "pids: 2 entries, but features has 5"),
        ({"paths": np.array(["a"])}, "paths: 1 entries, but features has 5"),
        ({"camids": [0.5] * 5}, "camids: expected integers"),
        ({"split": ["query"] * 4 + ["train"]}, r"split: expected .* got \['train'\]"),
        ({"split": [0, 0, 1, 1, 2]}, r"split: expected .* got \['0', '1', '2'\]"),
        ({"features": torch.zeros(5)}, "features: expected N x D numbers"),
    ],
)
def test_tables_that_do_not_fit(changes: Columns, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureTable(**columns(**changes))


def test_sides_that_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="split: no image belongs to the gallery"):
        FeatureTable(**columns(split=["query"] * 5, paths=None)).side("gallery")
    with pytest.raises(ValueError, match=r"names: 'a\.jpg' names 2 images"):
        FeatureTable(**columns(split=["query", "query", "query", "gallery", "gallery"])).side("query")


class Malicious:
    """Unpickling it would create a file."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, ("unpickled", "w")


def test_pickles_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("f.npz", **{**columns(), "pids": np.array([Malicious()] * 5, dtype=object)})
    with pytest.raises(ValueError, match=r"f\.npz: not an \.npz file of plain arrays"):
        load_features("f.npz")
    assert not Path("unpickled").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_broken_files_are_named(suffix: str, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"f{suffix}"
    with pytest.raises(FileNotFoundError, match="no such file of features"):
        load_features(path)
    path.write_bytes(b"\x93NUMPY not really")
    with pytest.raises(ValueError, match=f"f\\{suffix}: not a"):
        load_features(path)
    given = columns()
    save_features(FeatureTable(**given), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=f"f\\{suffix}: not a"):
        load_features(path)


def test_missing_keys_and_unknown_suffixes(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=np.zeros((2, 2)), pids=[1, 2])
    with pytest.raises(ValueError, match="key 'camids' is missing"):
        load_features(tmp_path / "f.npz")
    with pytest.raises(ValueError, match=r"end in \.npz, \.safetensors, \.parquet, \.mat"):
        load_features(tmp_path / "f.txt")
    with pytest.raises(ValueError, match=r"end in \.npz, \.safetensors, \.parquet"):
        load_features(tmp_path / "f.pkl")
    np.savez(tmp_path / "f.npz", **columns(pids=[1, 2]))
    with pytest.raises(ValueError, match=r"f\.npz: pids: 2 entries, but features has 5"):
        load_features(tmp_path / "f.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_other_names_is_told_what_it_has_and_what_was_looked_for(suffix: str, tmp_path: Path) -> None:
    path, arrays = tmp_path / f"f{suffix}", {"feats": np.zeros((2, 3)), "labels": np.array([1, 2])}
    if suffix == ".npz":
        np.savez(path, **arrays)
    elif suffix == ".safetensors":
        safetensors = pytest.importorskip("safetensors.numpy")
        safetensors.save_file(arrays, path)
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({name: values.tolist() for name, values in arrays.items()}), path)
    with pytest.raises(ValueError) as raised:
        load_features(path)
    assert str(raised.value) == (
        f"{path}: key 'features' is missing; needed are features, pids, camids, split, and used where they are there "
        "modality, paths, scenes; it has feats, labels"
    )
