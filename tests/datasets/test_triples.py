"""What all RGB + NIR + TIR parsers share: fields of the records, incomplete samples, identities, queries."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_triples import SMALL, write_small

from promptreid import DATASETS
from promptreid.data import strips
from promptreid.data.dataset import ModalDataset
from promptreid.engine.feature_extraction import check_split

TRIPLES = ("visible", "near_infrared", "thermal_infrared")
FORMS = {
    "rgbnt201": "000287_cam1_0_05.jpg",
    "rgbnt100": "0548_c0002_000.jpg",
    "rgbn300": "0548_c0002_000.jpg",
    "msvr310": "0019_s012_v0_000.jpg",
    "market_mm": "0002_c1s1_000451_03.jpg",
}
FIELDS = {
    "rgbnt201": r"/(?P<pid>\d{6})_cam(?P<camera>\d)_(?P<time>\d)_\d\d\.jpg",
    "rgbnt100": r"/(?P<pid>\d{4})_c000(?P<camera>\d)_\d{3}\.jpg",
    "rgbn300": r"/(?P<pid>\d{4})_c000(?P<camera>\d)_\d{3}\.jpg",
    "msvr310": r"/\d{4}/(?:vis|ni|th)/(?P<pid>\d{4})_s(?P<scene>\d{3})_v(?P<view>\d)_\d{3}\.jpg",
    "wmveid863": r"/(?P<pid>\d{4})/(?:vis|ni|th)/v(?P<camera>\d)_n(?P<night>\d)_s(?P<scene>\d{3})_\d{3}\.jpg",
    "market_mm": r"/(?P<pid>\d{4})_c(?P<camera>\d)s1_\d{6}_\d\d\.jpg",
}


def load(name: str, root: Path, **kwargs: Any) -> ModalDataset:
    return DATASETS[name](root=str(root), verbose=False, **kwargs)


def some(folder: Path, pattern: str) -> Path:
    """The first file that fits."""
    return sorted(folder.glob(pattern))[0]


@pytest.mark.parametrize("name", SMALL)
def test_records_are_what_the_names_say(tmp_path: Path, name: str) -> None:
    write_small(name, tmp_path)
    data = load(name, tmp_path)
    assert data.modalities == TRIPLES[: data.images_per_sample]
    assert data.images_per_sample == (2 if name == "rgbn300" else 3)
    assert [protocol.name for protocol in data.protocols] == [name.replace("_", "-")]
    assert data.options == {"incomplete", "test_only"}
    train_pids: dict[int, int] = {}
    for split, records in (("train", data.train), ("query", data.query), ("gallery", data.gallery)):
        for path, pid, camid, _ in records:
            found = re.search(FIELDS[name] + "$", path)
            assert found, path
            fields = {key: int(value) for key, value in found.groupdict().items()}
            if split == "train":
                assert train_pids.setdefault(fields["pid"], pid) == pid
            else:
                assert fields["pid"] == pid
            zero_based = name in ("msvr310", "wmveid863")
            camera = fields.get("camera", fields.get("view")) - (not zero_based)
            assert (path.camera, camid) == (camera, fields["scene"] if name == "msvr310" else camera)
            assert 0 <= camera < data.num_cameras
            assert path.labels == {key: fields[key] for key in fields if key in ("time", "scene", "view", "night")}
            assert tuple(path.paths) == data.modalities
            files = [strips.file_of(part) for part in path.paths.values()]
            assert all(Path(file).is_file() for file in files)
            assert len({Path(file).name for file in files}) == 1
    assert sorted(train_pids.values()) == list(range(data.num_train_pids))
    assert sorted(train_pids, key=train_pids.get) == sorted(train_pids)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("rgbnt201", ("RGBNT201", "rgbnt201")),
        ("rgbnt100", ("RGBNT100", "rgbnt100")),
        ("rgbn300", ("RGBN300", "rgbn300")),
        ("msvr310", ("MSVR310", "msvr310", "dataset_test")),
        ("wmveid863", ("WMVEID863", "WMVeID863", "wmveid863", "MSVWild863", "Flare", "flare")),
        ("market_mm", ("Market1501-MM", "Market-1501-RGBNT", "Market-MM", "market1501-mm", "market_mm")),
    ],
)
def test_spellings_of_the_folder(tmp_path: Path, name: str, names: tuple[str, ...]) -> None:
    folder = write_small(name, tmp_path)
    for spelling in names:
        folder = folder.rename(tmp_path / spelling)
        assert len(load(name, tmp_path).train) > 0
        assert len(load(name, folder).train) > 0
    if name in ("rgbnt100", "rgbn300"):
        assert len(load(name, folder / "rgbir").train) > 0


def test_wmveid863s_gallery_may_be_called_so(tmp_path: Path) -> None:
    folder = write_small("wmveid863", tmp_path)
    (folder / "test").rename(folder / "gallery")
    assert len(load("wmveid863", tmp_path).gallery) == 60


@pytest.mark.parametrize("name", SMALL)
def test_missing_root_and_split(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{SMALL[name][0]} not found at .*set data\.root"):
        load(name, tmp_path)
    folder = write_small(name, tmp_path)
    gallery = list(SMALL[name][1]())[-1]
    shutil.rmtree(folder / gallery)
    with pytest.raises(FileNotFoundError, match=rf"{gallery}|{SMALL[name][0]} not found"):
        load(name, tmp_path)


@pytest.mark.parametrize("name", FORMS)
def test_a_name_that_does_not_parse_is_named_with_the_form(tmp_path: Path, name: str) -> None:
    folder = write_small(name, tmp_path)
    file = some(folder, "**/*.jpg")
    file.rename(file.with_name("IMG_2041.jpg"))
    with pytest.raises(ValueError, match=rf"IMG_2041\.jpg: the name is not of the form {re.escape(FORMS[name])} \("):
        load(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("rgbnt201", "cam1", "cam5", r"camera 5 is not one of 1 \.\. 4"),
        ("rgbnt201", "cam1", "cam0", r"camera 0 is not one of"),
        # All digits count: a parser of one character would take this for camera 1.
        ("rgbnt201", "cam1", "cam12", r"camera 12 is not one of 1 \.\. 4"),
        ("rgbnt100", "c0001", "c0009", r"camera 9 is not one of 1 \.\. 8"),
        ("msvr310", "v1", "v8", r"view 8 is not one of 0 \.\. 7"),
        ("wmveid863", "v1", "v9", r"view 9 is not one of 0 \.\. 7"),
        ("market_mm", "c1", "c7", r"camera 7 is not one of 1 \.\. 6"),
    ],
)
def test_unknown_cameras(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    folder = write_small(name, tmp_path)
    file = some(folder, f"**/*{old}*.jpg")
    file.rename(file.with_name(file.name.replace(old, new)))
    with pytest.raises(ValueError, match=rf"{new}.*\.jpg: {message}"):
        load(name, tmp_path)


def test_a_vehicle_in_another_ones_folder(tmp_path: Path) -> None:
    folder = write_small("msvr310", tmp_path) / "bounding_box_train"
    file = some(folder, "0001/ni/*.jpg")
    file.rename(folder / "0002" / "ni" / file.name)
    with pytest.raises(ValueError, match=r"0002/ni/0001_.*: identity 0001 in the folder of 0002; move the file"):
        load("msvr310", tmp_path)


def test_wmveid863_leaves_malformed_names_out_unless_all_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_small("wmveid863", tmp_path)
    for side in ("vis", "ni", "th"):
        file = some(folder / "test" / "0011" / side, "*.jpg")
        file.rename(file.with_name("v0_n0_s999_00x.jpg"))
    assert len(load("wmveid863", tmp_path).gallery) == 59
    assert "1 samples left out, their names are not of the form v7_n0_s999_004.jpg" in caplog.text
    for file in sorted((folder / "train").glob("*/*/*.jpg")):
        file.rename(file.with_name(f"x{file.name}"))
    with pytest.raises(ValueError, match=r"train/0001/vis/xv0_.*: the name is not of the form v7_n0_s999_004\.jpg"):
        load("wmveid863", tmp_path)


@pytest.mark.parametrize("name", ["rgbnt201", "msvr310", "wmveid863", "market_mm"])
def test_incomplete_samples_are_skipped_or_kept(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_small(name, tmp_path)
    before = load(name, tmp_path)
    split, side = next(iter(SMALL[name][1]())), SMALL[name][2][2]
    train = some(folder / split, f"**/{side}/*.jpg")
    train.unlink()
    assert all("is not as published" in text for text in caplog.messages)
    data = load(name, tmp_path)
    assert len(data.train) == len(before.train) - 1
    assert train.name not in {Path(record[0]).name for record in data.train if str(train.parents[1]) in record[0]}
    assert "train: 1 samples are incomplete (1 without thermal_infrared), left out:" in caplog.text
    assert train.name in caplog.text
    caplog.clear()
    kept = load(name, tmp_path, incomplete="keep")
    assert len(kept.train) == len(before.train)
    (lacking,) = [record[0] for record in kept.train if None in record[0].paths.values()]
    assert Path(lacking).name == train.name
    assert lacking.paths["thermal_infrared"] is None
    assert lacking.paths["visible"].endswith(train.name)
    assert "kept:" in caplog.text


def test_a_sample_without_its_visible_image_goes_by_the_next_one(tmp_path: Path) -> None:
    folder = write_small("rgbnt201", tmp_path)
    file = some(folder, "test/RGB/*.jpg")
    file.unlink()
    data = load("rgbnt201", tmp_path, incomplete="keep")
    assert data.query[0][0] == str(folder / "test" / "NI" / file.name)
    assert len(data.query) == 60


def test_incomplete_is_one_of_two(tmp_path: Path) -> None:
    write_small("msvr310", tmp_path)
    with pytest.raises(ValueError, match=r"data\.incomplete: 'drop' is neither 'skip' nor 'keep'"):
        load("msvr310", tmp_path, incomplete="drop")


def test_a_modality_that_is_missing_altogether(tmp_path: Path) -> None:
    folder = write_small("market_mm", tmp_path)
    for split in ("train", "query", "gallery"):
        shutil.rmtree(folder / split / "TI")
    with pytest.raises(ValueError, match=r"all 8 samples of train are incomplete \(8 without thermal_infrared\); "
                                         r"add the files, or set data\.incomplete to keep"):  # fmt: skip
        load("market_mm", tmp_path)
    kept = load("market_mm", tmp_path, incomplete="keep")
    assert all(record[0].paths["thermal_infrared"] is None for record in kept.train + kept.query + kept.gallery)


@pytest.mark.parametrize("name", ["rgbnt201", "rgbnt100", "msvr310", "market_mm"])
def test_identities_in_both_splits_are_refused(tmp_path: Path, name: str) -> None:
    folder = write_small(name, tmp_path)
    train, *_, test = SMALL[name][1]()
    source = folder / train
    for file in sorted(source.rglob("*.jpg")):
        target = folder / test / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        break
    # The other modalities of that sample are missing in the test split, so it only counts where it is kept.
    with pytest.raises(ValueError, match=r"identities \[\d+\] are both trained and tested on; a test of them would"):
        load(name, tmp_path, incomplete="keep")


def test_wmveid863_warns_of_identities_in_both_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_small("wmveid863", tmp_path)
    shutil.copytree(folder / "train" / "0002", folder / "test" / "0002")
    data = load("wmveid863", tmp_path)
    assert "identities [2] are both trained and tested on, as published" in caplog.text
    assert len(data.gallery) == 64
    caplog.clear()
    load("wmveid863", tmp_path, mode="query")
    load("wmveid863", tmp_path, mode="gallery")
    assert caplog.text == ""  # torchreid builds each data set three times; once is enough


@pytest.mark.parametrize(("name", "rule"), [("rgbnt201", "camera"), ("rgbnt100", "camera"), ("msvr310", "scene")])
def test_no_query_with_a_match(tmp_path: Path, name: str, rule: str) -> None:
    folder = write_small(name, tmp_path)
    pattern = {"rgbnt201": "test/*/*_cam2_*", "rgbnt100": "rgbir/bounding_box_test/*_c000[23]_*"}
    for file in folder.glob(pattern.get(name, "bounding_box_test/*/*/*")):
        first = file.name[:4] + f"_s{int(file.name[:4]) % 30:03d}"  # its first scene
        if name != "msvr310" or not file.name.startswith(first):
            file.unlink()
    if name != "msvr310":
        for file in folder.glob("rgbir/query/*_c000[23]_*"):
            file.unlink()
    else:
        for file in folder.glob("query3/*/*/*"):
            if f"_s{int(file.name[:4]) % 30:03d}_" not in file.name:
                file.unlink()
    with pytest.raises(ValueError, match=rf"none of the \d+ queries has a match: no gallery sample of its identity is "
                                         rf"from another {rule} \(first query: .*\.jpg\)"):  # fmt: skip
        load(name, tmp_path)


def test_queries_without_a_match_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = write_small("wmveid863", tmp_path)
    for file in folder.glob("test/0011/*/v[12]_*"):
        file.unlink()
    for file in folder.glob("query/0011/*/*"):
        assert file.name.startswith("v0_")
    load("wmveid863", tmp_path)
    assert "2 of 10 queries have no match from another camera and don't count" in caplog.text


def test_a_gallery_without_queries(tmp_path: Path) -> None:
    folder = write_small("msvr310", tmp_path)
    for owner in (folder / "query3").iterdir():
        shutil.rmtree(owner)
    with pytest.raises(ValueError, match=r"query3: expected <identity>/{vis, ni, th}/<name>\.jpg in it, found nothing"):
        load("msvr310", tmp_path)


def test_market_mm_drops_junk_and_keeps_distractors(tmp_path: Path) -> None:
    write_small("market_mm", tmp_path)
    data = load("market_mm", tmp_path)
    assert {record[1] for record in data.gallery} == {0, 11, 12, 13, 14, 15}
    # torchreid's combineall leaves distractors out of training.
    combined = load("market_mm", tmp_path, combineall=True)
    assert combined.num_train_pids == 2 + 5
    assert len(combined.train) == 8 + 15 + 60


@pytest.mark.parametrize(("name", "size"), [("rgbnt201", 20 + 60), ("rgbnt100", 8 + 60), ("msvr310", 8 + 66)])
def test_combineall_takes_a_query_that_is_in_the_gallery_once(tmp_path: Path, name: str, size: int) -> None:
    write_small(name, tmp_path)
    data = load(name, tmp_path, combineall=True)
    assert len(data.train) == size
    assert {record[1] for record in data.train} == set(range(data.num_train_pids))


def test_development_split_on_disk(tmp_path: Path) -> None:
    write_small("rgbnt201", tmp_path)
    dev = load("rgbnt201_dev", tmp_path)
    assert {record[1] for record in dev.query} == {1, 3}
    assert dev.num_train_pids == 4
    assert dev.query == dev.gallery
    whole = load("rgbnt201", tmp_path)
    # A model of all training identities has seen those of the development split, but not the other way round.
    for trained, tested in ((dev, dev), (dev, whole), (whole, whole)):
        check_split(trained.split, tested, tmp_path)
    for unrelated in ("", "regdb split 3"):
        check_split(unrelated, dev, tmp_path)
    with pytest.raises(ValueError, match="was trained on rgbnt201 all, and rgbnt201 dev tests identities of that"):
        check_split(whole.split, dev, tmp_path)


def test_development_split_goes_by_the_samples_that_are_used(tmp_path: Path) -> None:
    folder = write_small("rgbnt201", tmp_path)
    for file in (folder / "train_171" / "TI").glob("000001_cam2_*"):
        file.unlink()
    assert {record[1] for record in load("rgbnt201_dev", tmp_path).query} == {2, 3}
    assert {record[1] for record in load("rgbnt201_dev", tmp_path, incomplete="keep").query} == {1, 3}


def test_development_split_of_too_few_identities(tmp_path: Path) -> None:
    folder = write_small("rgbnt201", tmp_path)
    for file in folder.glob("train_171/*/00000[234]_cam2_*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"rgbnt201_dev: 1 of the 6 training identities are seen by two cameras"):
        load("rgbnt201_dev", tmp_path)
    assert load("rgbnt201", tmp_path).num_train_pids == 6
