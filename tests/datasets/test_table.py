"""The data set ``table``: records, numbers, protocols and runs."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_tables import TRIPLE, described, people, triples, write_csv
from small_runs import ROOT, small_config

from promptreid import DATASETS, host
from promptreid.config import load_config
from promptreid.data.manager import ModalDataManager
from promptreid.data.options import bound_options
from promptreid.datasets.rgbnt201 import RGBNT201
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.datasets.table import Table, numbers
from promptreid.datasets.table_rows import TableError
from promptreid.engine.feature_extraction import protocols_of
from promptreid.evaluation.protocols import FeatureSet
from promptreid.evaluation.protocols.base import DIRECTIONS
from promptreid.runs.run import run
from promptreid.synthetic import write_tree

COLOURS = {"data.augment.visible": [], "data.augment.infrared": []}


def load(file: Path, **kwargs: Any) -> Table:
    return Table(table=str(file), **{"verbose": False, **kwargs})


def settings(file: Path, save_dir: Path, **changes: Any) -> Any:
    """A run of two epochs on a table of visible and infrared images."""
    given = {"data.sources": ["table"], "data.targets": ["table"], "data.table": str(file), "test.protocols": []}
    batches = {"train.batch_size": 8, "sampler.num_instances": 4, "train.print_freq": 1}
    return small_config(file.parent, save_dir, **{**given, **batches, **changes})


def scores(save_dir: Path) -> dict[str, Any]:
    """Trials of each protocol of the last test."""
    results = json.loads((save_dir / "results-table.json").read_text())["results"]
    return {result["protocol"]: result["trials"] for result in results}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five trained and five tested people, two visible and two infrared images each."""
    folder = tmp_path_factory.mktemp("pairs")
    return write_csv(folder / "people.csv", people(folder, ("visible", "infrared")))


@pytest.fixture(scope="module")
def threes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise, with samples of three images."""
    folder = tmp_path_factory.mktemp("threes")
    return write_csv(folder / "people.csv", triples(folder))


# Records


def test_a_row_is_a_record(pairs: Path) -> None:
    data = load(pairs)
    assert (len(data.train), len(data.query), len(data.gallery)) == (20, 10, 10)
    assert (data.modalities, data.images_per_sample, data.num_cameras) == (("visible", "infrared"), 1, 2)
    path, pid, camid, _ = data.train[5]
    assert path.paths == {"infrared": str(pairs.parent / "images" / "p1-1.jpg")}
    assert (path.camera, path.labels, pid, camid) == (0, {}, 1, 0)
    assert {record[0].camera for record in data.train} == {0, 1}
    assert {record[1] for record in data.query} == {5, 6, 7, 8, 9}, "person 5 is the sixth of the sorted texts"


def test_columns_of_modalities_are_samples_of_several_images(threes: Path) -> None:
    data = load(threes)
    assert (len(data.train), len(data.query), len(data.gallery)) == (20, 20, 20)
    assert (data.modalities, data.images_per_sample) == (TRIPLE, 3)
    assert list(data.query[0][0].paths) == list(TRIPLE)
    assert [protocol.name for protocol in data.protocols] == ["market1501"]


def test_one_such_column_is_one_image_per_sample(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "t.csv", triples(tmp_path, 16, ("infrared",)))
    data = load(file)
    assert (data.modalities, data.images_per_sample) == (("infrared",), 1)
    assert [protocol.name for protocol in data.protocols] == ["market1501"]


def test_modalities_are_counted_in_one_order(tmp_path: Path) -> None:
    """Whatever the order of the columns, and from visible on where the table only tests."""
    rows = triples(tmp_path, 16)
    turned = [{name: row[name] for name in reversed(row)} for row in rows]
    assert load(write_csv(tmp_path / "t.csv", turned)).modalities == TRIPLE
    rows = [row for row in triples(tmp_path, 16, ("infrared",)) if row["split"] == "test"]
    assert load(write_csv(tmp_path / "u.csv", rows), mode="query").modalities == ("visible", "infrared")


def test_the_header_may_be_written_in_any_case_and_begin_with_a_bom(pairs: Path, tmp_path: Path) -> None:
    lines = pairs.read_text().replace("path,pid,camid,split,modality", "Path, PID ,CamID,Split,MODALITY")
    for name in ("Train", "QUERY"):
        lines = lines.replace(name.lower(), name)
    file = pairs.with_name("other.csv")
    file.write_text(lines.replace("\n", "\n\n"), encoding="utf-8-sig")
    assert [record[0].paths for record in load(file).query] == [record[0].paths for record in load(pairs).query]


def test_absolute_paths_and_quoted_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = people(tmp_path / "elsewhere", images=16)
    for row in rows:
        row |= {"path": str(tmp_path / "elsewhere" / row["path"]), "pid": f'{row["pid"]}, "é"\nnext'}
    (tmp_path / "tables").mkdir()
    write_csv(tmp_path / "tables" / "t.csv", rows)
    monkeypatch.chdir(tmp_path / "tables")
    data = load(Path("t.csv"))
    assert data.num_train_pids == 2 and Path(data.train[0][0]).is_absolute()


def test_scenes_are_labels(tmp_path: Path) -> None:
    rows = [{**row, "scene": f"s{number % 3}"} for number, row in enumerate(people(tmp_path, images=16))]
    data = load(write_csv(tmp_path / "t.csv", rows))
    assert [record[0].labels["scene"] for record in data.train[:4]] == [0, 1, 2, 0]
    assert "same-scene-excluded" in {protocol.name for protocol in data.named_protocols}


@given(texts=st.sets(st.text(max_size=4), min_size=1), seed=st.integers(0, 99))
def test_numbers_depend_on_the_set_of_texts_alone(texts: set[str], seed: int) -> None:
    ordered = sorted(texts)
    shuffled = random.Random(seed).sample(ordered, len(ordered))
    found = numbers(shuffled + shuffled[:1])
    assert found == numbers(ordered)
    assert min(found.values()) >= 0
    if not all(text.isdecimal() for text in texts):
        assert sorted(found.values()) == list(range(len(texts)))


@pytest.mark.parametrize(
    ("texts", "most", "expected"),
    [
        (["12", "0003", "3"], 10**18, [12, 3, 3]),
        (["12", "3", "5000"], 1000, [1, 0, 2]),
        (["0012", "12", "5000"], 1000, [0, 0, 1]),
        (["b", "10", "9"], 1000, [2, 0, 1]),
        (["9" * 30, "1"], 10**18, [1, 0]),
        (["٣", "1"], 10**18, [1, 0]),
    ],
)
def test_whole_numbers_stay_where_all_are(texts: list[str], most: int, expected: list[int]) -> None:
    assert [numbers(texts, most)[text] for text in texts] == expected


@pytest.mark.parametrize("incomplete", ["skip", "keep"])
def test_incomplete_samples(tmp_path: Path, incomplete: str, caplog: pytest.LogCaptureFixture) -> None:
    rows = triples(tmp_path)
    rows[0]["near_infrared"] = rows[25]["visible"] = ""
    data = load(write_csv(tmp_path / "t.csv", rows), incomplete=incomplete)
    skipped = incomplete == "skip"
    assert (len(data.train), len(data.query)) == ((19, 19) if skipped else (20, 20))
    assert "train: 1 samples are incomplete (1 without near_infrared)" in caplog.text
    assert any(None in record[0].paths.values() for record in data.query) != skipped


def test_combined_lists_hold_each_sample_once(tmp_path: Path) -> None:
    """By its whole path: images of one name in two folders are two images."""
    rows = people(tmp_path, images=16)
    for row in rows:
        new = f"{row['camid']}{row['path'][-5]}/image.jpg"
        (tmp_path / new).parent.mkdir(exist_ok=True)
        new = f"{row['pid']}/{new}"
        (tmp_path / new).parent.mkdir(parents=True)
        (tmp_path / row["path"]).rename(tmp_path / new)
        row |= {"path": new, "split": "test" if row["split"] == "gallery" else row["split"]}
    rows[-1] |= {"pid": "stranger", "split": "query"}
    data = load(write_csv(tmp_path / "t.csv", rows), combineall=True)
    assert len(data.train) == 15, "the stranger has no class"
    assert data.num_train_pids == 4


# The same as a real parser


def test_a_table_of_sysu_mm01_is_sysu_mm01(small_root: Path, tmp_path: Path) -> None:
    real = SYSUMM01(str(small_root), verbose=False)
    file = write_csv(small_root / "sysu.csv", described(real, small_root))
    data = load(file)
    for split in ("train", "query", "gallery"):
        found, expected = (
            [(record[0].paths, record[0].camera, *record[1:]) for record in getattr(one, split)] for one in (data, real)
        )
        assert found == expected
    assert (data.modalities, data.num_cameras) == (real.modalities, real.num_cameras)
    short = {**COLOURS, "train.max_epoch": 1, "train.warmup_epochs": 0}
    run(small_config(small_root, tmp_path / "real", **{"test.protocols": ["sysu-python"], **short}))
    protocols = ["sysu-python", "sysu-mip-release", "cross-modal infrared-visible"]
    given = {"data.sources": ["table"], "data.targets": ["table"], "data.table": str(file), "test.protocols": protocols}
    run(small_config(small_root, tmp_path / "table", **short, **given))
    expected = json.loads((tmp_path / "real" / "results-sysu_mm01.json").read_text())["results"]
    found = json.loads((tmp_path / "table" / "results-table.json").read_text())["results"]
    assert [{**result, "time": ""} for result in found[:4]] == [{**result, "time": ""} for result in expected]
    assert len(found) == 9


def test_a_table_of_rgbnt201_is_rgbnt201(tmp_path: Path) -> None:
    folder = tmp_path / "RGBNT201"
    write_tree("rgbnt201", folder, ids=8, seed=1, frames=2, size=(32, 16))
    real = RGBNT201(str(tmp_path), verbose=False)
    rows = [row for row in described(real, tmp_path) if row["split"] != "gallery"]
    for row in rows:
        row["split"] = row["split"].replace("query", "test")
    data = load(write_csv(tmp_path / "t.csv", rows))
    for split in ("train", "query", "gallery"):
        found, expected = (
            [(record[0].paths, record[0].camera, *record[1:]) for record in getattr(one, split)] for one in (data, real)
        )
        assert found == expected
    distances = np.random.default_rng(0).random((len(real.query), len(real.gallery)))
    labels = [FeatureSet(None, *(np.array([record[k] for record in real.query]) for k in (1, 2)))] * 2
    first, second = (one.protocols[0].evaluate_distances(distances, *labels) for one in (data, real))
    assert first.trials[0].as_dict() == second.trials[0].as_dict()


# Runs


def test_pairs_train_with_the_cross_modal_sampler_and_test_in_both_directions(pairs: Path, tmp_path: Path) -> None:
    run(settings(pairs, tmp_path / "run"))
    assert list(scores(tmp_path / "run")) == ["cross-modal infrared-visible", "cross-modal visible-infrared"]
    run(settings(pairs, tmp_path / "run", **{"test.protocols": ["market1501", "nothing-excluded"]}), eval_only=True)
    assert list(scores(tmp_path / "run")) == ["market1501", "nothing-excluded"]


def test_samples_of_three_train_with_the_identity_sampler(threes: Path, tmp_path: Path) -> None:
    run(settings(threes, tmp_path / "run", **COLOURS, **{"sampler.train_sampler": "IdentitySampler"}))
    assert list(scores(tmp_path / "run")) == ["market1501"]


def test_a_table_may_only_be_trained_or_only_be_tested_on(pairs: Path) -> None:
    lines = pairs.read_text().splitlines()
    train, test = pairs.with_name("train.csv"), pairs.with_name("test.csv")
    train.write_text("\n".join(line for line in lines if ",train," in line or line is lines[0]))
    test.write_text("\n".join(line for line in lines if ",train," not in line))
    data = load(train, verbose=True)
    assert (len(data), data.num_train_pids, data.protocols) == (20, 5, ())
    assert (len(load(test, mode="query")), len(load(test, mode="gallery"))) == (10, 10)
    with pytest.raises(ValueError, match=r"test\.csv: data\.sources names .* 'table', but no row has the split train"):
        load(test)
    with pytest.raises(ValueError, match=r"train\.csv: data\.targets names .*, but no row has the split query"):
        load(train, mode="gallery")
    assert len(load(train, combineall=True).train) == 20


def test_a_pack_is_read(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy
    import sys

    tool, pack = str(ROOT / "tools" / "pack_dataset.py"), str(tmp_path / "p.npy")
    arguments = ["table", str(pairs.parent), "--table", str(pairs), "--size", "32", "16", "--out", pack]
    monkeypatch.setattr(sys, "argv", [tool, *arguments])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(tool, run_name="__main__")
    assert not stop.value.code
    changes = {"data.pack": pack, "train.max_epoch": 1, "train.warmup_epochs": 0}
    run(settings(pairs, tmp_path / "run", **changes))
    monkeypatch.setattr(sys, "argv", [tool, *arguments[:2], *arguments[4:]])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(tool, run_name="__main__")
    assert stop.value.code == 2


def test_torchreids_own_data_manager_takes_it(pairs: Path) -> None:
    given = {"sources": "table", "height": 32, "width": 16, "workers": 0, "use_gpu": False, "batch_size_train": 4}
    with bound_options(["table"], {"table": str(pairs)}, {"table": ""}):
        data = host.ImageDataManager(**given)
    assert data.num_train_pids == 5
    assert next(iter(data.train_loader))["img"]["images"].shape == (4, 1, 3, 32, 16)


def test_a_table_under_a_name_of_its_own(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = partial(Table, table=str(pairs))
    monkeypatch.setitem(host._DATASETS, "my_people", factory)
    monkeypatch.setitem(host._ours, ("dataset", "my_people"), factory)
    given = {"height": 32, "width": 16, "workers": 0, "use_gpu": False, "batch_size_train": 4}
    assert ModalDataManager(sources="my_people", **given).num_train_pids == 5


# Protocols


def names(protocols: Any) -> list[str]:
    return [protocol.name for protocol in protocols]


def test_protocols_are_named_or_refused_with_the_reason(pairs: Path, threes: Path) -> None:
    data = load(pairs, mode="query")
    assert names(protocols_of(data, ["single-gallery-shot"])) == ["single-gallery-shot"]
    assert names(protocols_of(data, ["cross-modal"])) == [f"cross-modal {direction}" for direction in DIRECTIONS[::-1]]
    assert names(protocols_of(data, ["llcm-paper"])) == [f"llcm-paper {direction}" for direction in DIRECTIONS]
    for wanted, reason in {
        "same-scene-excluded": "scenes are missing, and the protocol excludes on them",
        "sysu-python all 1-shot": r"camid 0 is not an infrared camera of SYSU-MM01",
        "sysu-python": r"camid 0 is not an infrared camera of SYSU-MM01",
        "regdb-split-1 visible-infrared": r"camid 1 is not RegDB's visible camera",
        "sysu-official all 1-shot": r"rand_perm_cam\.mat",
        "imagenet": "not one of",
    }.items():
        with pytest.raises(ValueError, match=rf"test\.protocols '{wanted}': .*{reason}"):
            protocols_of(data, [wanted])
    with pytest.raises(ValueError, match="there are no visible images to be compared with infrared ones"):
        protocols_of(load(threes), ["cross-modal"])


def test_mixed_lists_are_taken_apart_by_modality(tmp_path: Path) -> None:
    rows = people(tmp_path, ("visible", "infrared"))
    for row in rows:
        row["split"] = "train" if row["split"] == "train" else "test"
    data = load(write_csv(tmp_path / "t.csv", rows), mode="query")
    assert names(data.protocols) == ["cross-modal visible-infrared", "cross-modal infrared-visible"]
    labels = FeatureSet(None, *(np.array([record[k] for record in data.query]) for k in (1, 2)))
    visible = np.array(["visible" in record[0].paths for record in data.query])
    distances = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    for protocol, mine in zip(data.protocols, (visible, ~visible), strict=True):
        found = protocol.evaluate_distances(distances, labels, labels)
        aps = []
        for q in np.flatnonzero(mine):
            seen = [g for g in np.flatnonzero(~mine)
                    if not (labels.pids[g] == labels.pids[q] and labels.camids[g] == labels.camids[q])]  # fmt: skip
            hits = np.array([labels.pids[g] == labels.pids[q] for g in sorted(seen, key=lambda g: distances[q, g])])
            aps.append(np.mean(np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)))
        assert found.mAP == pytest.approx(np.mean(aps))
        assert found.trials[0].num_valid == 10


def test_near_and_thermal_infrared_are_infrared(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "t.csv", people(tmp_path, ("visible", "thermal_infrared")))
    data = load(file)
    assert data.modalities == ("visible", "thermal_infrared")
    assert names(data.protocols) == ["cross-modal infrared-visible", "cross-modal visible-infrared"]


def test_one_camera_leaves_the_market_rule_nothing_to_count(tmp_path: Path) -> None:
    rows = [{**row, "camid": "only"} for row in people(tmp_path, images=16)]
    data = load(write_csv(tmp_path / "t.csv", rows), mode="query")
    with pytest.raises(
        ValueError,
        match=r"test\.protocols is empty: market1501: none of the 2 queries has a match that it may see; name one of "
        "nothing-excluded$",
    ):
        protocols_of(data)
    assert names(protocols_of(data, ["nothing-excluded"])) == ["nothing-excluded"]
    with pytest.raises(ValueError, match=r"test\.protocols 'market1501': none of the 2 queries"):
        protocols_of(data, ["market1501"])


# Parquet


def test_parquet_is_read_like_csv(threes: Path, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    rows = triples(tmp_path)
    rows[0]["near_infrared"] = None
    rows[1]["near_infrared"] = ""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["camid"] = [float(camid) for camid in columns["camid"]]
    file = tmp_path / "t.parquet"
    parquet.write_table(arrow.table(columns), file)
    found = load(file, incomplete="keep")
    expected = load(write_csv(tmp_path / "t.csv", rows), incomplete="keep")
    for split in ("train", "query", "gallery"):
        assert getattr(found, split) == getattr(expected, split)
        assert [r[0].paths for r in getattr(found, split)] == [r[0].paths for r in getattr(expected, split)]
    columns["pid"][2] = None
    parquet.write_table(arrow.table(columns), file)
    with pytest.raises(TableError, match=r"t\.parquet: row 3: pid is empty"):
        load(file)
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a Parquet file"):
        load(file)


def test_it_is_registered() -> None:
    assert DATASETS["table"] is Table and host.is_ours("dataset", "table")
    assert load_config(None).data.table == ""
