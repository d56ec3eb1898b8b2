"""Feature files that MATLAB's evaluators exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import io

from promptreid.evaluation import MarketProtocol
from promptreid.evaluation.features import as_tensor
from promptreid.evaluation.features_io import FeatureTable, load_features, save_features

RANDOM = np.random.default_rng(0)
SIDES: dict[str, Any] = {
    "query_f": RANDOM.standard_normal((3, 4)).astype(np.float32),
    "query_label": np.array([1, 2, 3]),
    "query_cam": np.array([0, 0, 1]),
    "gallery_f": RANDOM.standard_normal((5, 4)).astype(np.float32),
    "gallery_label": np.array([1, 2, 3, 3, 2]),
    "gallery_cam": np.array([1, 1, 0, 0, 0]),
}


def saved(path: Path, **changes: Any) -> Path:
    io.savemat(path, {name: value for name, value in {**SIDES, **changes}.items() if value is not None})
    return path


def test_the_fields_own_names_are_read(tmp_path: Path) -> None:
    table = load_features(saved(tmp_path / "f.mat"))
    query, gallery = table.side("query"), table.side("gallery")
    assert np.array_equal(query.features, SIDES["query_f"]) and np.array_equal(gallery.features, SIDES["gallery_f"])
    assert query.pids.tolist() == [1, 2, 3] and gallery.pids.tolist() == [1, 2, 3, 3, 2]
    assert query.camids.tolist() == [0, 0, 1] and gallery.camids.tolist() == [1, 1, 0, 0, 0]
    assert (table.modality, table.scenes, query.names) == (None, None, None)


def test_the_numbers_are_those_of_the_same_features_in_another_file(tmp_path: Path) -> None:
    table = load_features(saved(tmp_path / "f.mat"))
    save_features(table, tmp_path / "f.npz")
    results = []
    for name in ("f.mat", "f.npz"):
        loaded = load_features(tmp_path / name)
        results.append(MarketProtocol().evaluate(loaded.side("query"), loaded.side("gallery")).as_dict())
    assert results[0] == results[1]


def test_doubles_rows_columns_and_other_spellings(tmp_path: Path) -> None:
    """MATLAB's numbers are doubles, and its vectors stand or lie."""
    renamed = {
        "query_f": None, "query_feat": SIDES["query_f"], "gallery_f": None, "gallery_features": SIDES["gallery_f"],
        "query_label": np.array([[1.0], [2.0], [3.0]]), "gallery_label": None,
        "gallery_pids": np.array([[1.0, 2, 3, 3, 2]]), "query_cam": None, "query_camids": np.array([0.0, 0, 1]),
        "query_scenes": np.array([7.0, 8, 7]), "gallery_scenes": np.array([1.0, 2, 3, 4, 5]),
        "query_modality": np.array(["infrared"] * 3, dtype=object),
        "gallery_modality": np.array(["visible"] * 5, dtype=object),
        "query_paths": np.array(["a", "bb", "c"], dtype=object), "gallery_paths": np.array(list("abcde")),
    }  # fmt: skip
    table = load_features(saved(tmp_path / "f.mat", **renamed))
    assert table.pids.tolist() == [1, 2, 3, 1, 2, 3, 3, 2] and table.camids.tolist() == [0, 0, 1, 1, 1, 0, 0, 0]
    assert table.scenes.tolist() == [7, 8, 7, 1, 2, 3, 4, 5]
    assert table.modalities == (["infrared"], ["visible"])
    assert table.side("query").names.tolist() == ["a", "bb", "c"]
    assert table.side("gallery").names.tolist() == list("abcde")


def test_one_table_with_the_names_of_the_other_formats(tmp_path: Path) -> None:
    split = np.array(["query"] * 3 + ["gallery"] * 5, dtype=object)
    joined = {
        "features": np.concatenate([SIDES["query_f"], SIDES["gallery_f"]]),
        "pids": np.array([1.0, 2, 3, 1, 2, 3, 3, 2]),
        "camids": np.array([0, 0, 1, 1, 1, 0, 0, 0]),
    }
    expected = load_features(saved(tmp_path / "sides.mat"))
    for number, given in enumerate((split, np.repeat([0.0, 1.0], [3, 5]))):
        io.savemat(tmp_path / f"{number}.mat", {**joined, "split": given})
        table = load_features(tmp_path / f"{number}.mat")
        assert table.split.tolist() == expected.split.tolist() and table.pids.tolist() == expected.pids.tolist()
        assert np.array_equal(as_tensor(table.features), as_tensor(expected.features))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"gallery_cam": None},
            r"f\.mat: key 'gallery_cam' is missing; looked for gallery_cam, gallery_camids; it has "
            r"gallery_f \(5 x 4\), gallery_label \(1 x 5\), query_cam",
        ),
        ({"query_f": None, "query_label": None}, r"key 'query_f' is missing; looked for query_f, query_feat, "),
        ({"query_label": np.array([1.5, 2, 3])}, r"query_label: expected whole numbers, got 1\.5"),
        ({"query_label": np.array([np.nan, 2, 3])}, r"query_label: expected whole numbers, got nan"),
        (
            {"query_f": SIDES["query_f"].T},
            r"query_f: 4 x 3 numbers for 3 labels; one row per image is needed, so trans",
        ),
        ({"gallery_cam": np.array([1, 1])}, "gallery_cam: 2 entries, but gallery_f has 5"),
        ({"gallery_f": np.zeros((5, 3))}, "gallery_f: 3 features per image, query_f has 4"),
        ({"query_paths": np.array([1, 2, 3])}, "key 'gallery_paths' is missing"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load_features(saved(tmp_path / "f.mat", **changes))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file, not really")
    with pytest.raises(ValueError, match=r"f\.mat: not a MATLAB file"):
        load_features(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"f\.mat: .*save it with '-v7'"):
        load_features(path)
    with pytest.raises(FileNotFoundError, match=r"f2\.mat"):
        load_features(tmp_path / "f2.mat")


def test_they_are_not_written(tmp_path: Path) -> None:
    table = FeatureTable(np.zeros((2, 2)), np.array([1, 1]), np.array([0, 1]), np.array(["query", "gallery"]))
    with pytest.raises(ValueError, match=r"end in \.npz, \.safetensors, \.parquet"):
        save_features(table, tmp_path / "f.mat")


def test_structures_and_functions_are_left_alone(tmp_path: Path) -> None:
    """Whatever else is in the file isn't even read."""
    assert (
        len(load_features(saved(tmp_path / "f.mat", options={"metric": "x"}, names=np.array(["a"], object))).pids) == 8
    )
    with pytest.raises(ValueError, match="query_f: a MATLAB struct is not read"):
        load_features(saved(tmp_path / "f.mat", query_f={"a": 1}))
