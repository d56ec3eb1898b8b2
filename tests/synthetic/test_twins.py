"""The synthetic RegDB and LLCM: layout, names and lists, that the parsers read them, and that they give nobody away."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from promptreid import DATASETS, synthetic
from promptreid.evaluation import FeatureSet
from promptreid.synthetic import TREES, Plan, recipe_of, render_shot

SIZE = (32, 16)
INFRARED_TEST_CAMERAS = {1, 2, 4, 5, 6, 7, 8, 9}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both twins."""
    root = tmp_path_factory.mktemp("twins")
    synthetic.write_tree("regdb", root / "RegDB", ids=12, seed=1, frames=3, size=SIZE)
    synthetic.write_tree("llcm", root / "LLCM", ids=12, seed=1, frames=2, size=SIZE)
    return root


def plan_of(like: str, ids: int, seed: int = 1, **options: Any) -> Plan:
    return TREES[like](recipe_of(like, ids, seed, **options))


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def lines_of(plan: Plan, name: str) -> list[tuple[str, int]]:
    """The paths and labels of a list."""
    pairs = [line.rsplit(" ", 1) for line in plan.files[f"idx/{name}.txt"].splitlines()]
    return [(path, int(label)) for path, label in pairs]


def digest(plan: Plan) -> str:
    text = f"Plan(shots={plan.shots!r}, files={plan.files!r}, locations={plan.locations!r})"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# The trees


@pytest.mark.parametrize(("like", "folder"), [("regdb", "RegDB"), ("llcm", "LLCM")])
def test_what_is_planned_is_written(root: Path, like: str, folder: str) -> None:
    plan = plan_of(like, 12, frames=3 if like == "regdb" else 2)
    planned = [shot.path for shot in plan.shots] + [*plan.files, "synthetic.json"]
    assert files_of(root / folder) == sorted(planned)
    for name, text in plan.files.items():
        assert (root / folder / name).read_text() == text


@pytest.mark.parametrize(("like", "suffix", "start"), [("regdb", ".bmp", b"BM"), ("llcm", ".jpg", b"\xff\xd8")])
def test_files_are_what_their_suffix_says(root: Path, like: str, suffix: str, start: bytes) -> None:
    shots = plan_of(like, 12, frames=3 if like == "regdb" else 2).shots
    assert {Path(shot.path).suffix for shot in shots} == {suffix}
    for shot in (shots[0], shots[-1]):
        path = root / synthetic.FOLDERS[like] / shot.path
        assert path.read_bytes()[:2] == start
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == (*SIZE, 3)
        assert bool((image == image[..., :1]).all()) == (shot.band != "visible")


def test_bitmaps_keep_every_pixel(root: Path) -> None:
    shot = plan_of("regdb", 12, frames=3).shots[5]
    stored = cv2.imread(str(root / "RegDB" / shot.path))[..., ::-1]
    assert (stored == render_shot(shot, seed=1, location=1, size=SIZE)).all()


def test_regdb_has_ten_images_of_each_person_and_modality() -> None:
    cells, bands = defaultdict(list), {"Visible": "visible", "Thermal": "thermal_infrared"}
    for shot in plan_of("regdb", 20).shots:
        match = re.fullmatch(r"(Visible|Thermal)/(\d+)/male_front_([vt])_(\d{5})_\2\.bmp", shot.path)
        assert match, shot.path
        assert match[3] == match[1][0].lower()
        assert (shot.pid, shot.frame, shot.band) == (int(match[2]), int(match[4]), bands[match[1]])
        cells[shot.pid, shot.band].append(shot.frame)
    assert set(cells) == {(pid, band) for pid in range(1, 21) for band in bands.values()}
    assert all(len(set(frames)) == 10 and frames == sorted(frames) for frames in cells.values())


def test_regdb_lists_are_halves_with_labels_from_zero() -> None:
    plan, halves = plan_of("regdb", 20), set()
    images = sorted(shot.path for shot in plan.shots)
    for split in range(1, 11):
        listed, persons = [], {}
        for half in ("train", "test"):
            for side in ("visible", "thermal"):
                lines = lines_of(plan, f"{half}_{side}_{split}")
                listed += [path for path, _ in lines]
                label_of = {int(path.split("/")[1]): label for path, label in lines}
                assert sorted(label_of.values()) == list(range(10))
                assert persons.setdefault(half, label_of) == label_of, "both modalities have the same labels"
        assert sorted(listed) == images, "each image is in one list of the split"
        halves.add(tuple(persons["train"]))
    assert len(plan.files) == 40
    assert len(halves) == 10, "the splits differ"


def test_llcm_names_folders_and_cameras() -> None:
    plan, seen = plan_of("llcm", 40), defaultdict(set)
    tested = {int(pid) for pid in plan.files["idx/test_id.txt"].split(",")}
    for shot in plan.shots:
        side = "vis" if shot.band == "visible" else "nir"
        assert shot.band in ("visible", "near_infrared")
        cell = f"{shot.pid:04d}"
        folder = f"test_{side}/cam{shot.camera}/{cell}" if shot.pid in tested else f"{side}/{cell}"
        name = rf"{cell}_c{shot.camera:02d}_s\d{{6}}_f{shot.frame:04d}_{side}\.jpg"
        assert re.fullmatch(f"{folder}/{name}", shot.path)
        seen[shot.pid, side].add(shot.camera)
    assert set().union(*(seen[pid, "vis"] for pid in tested)) == set(range(1, 10))
    assert set().union(*(seen[pid, "nir"] for pid in tested)) == INFRARED_TEST_CAMERAS
    for pid in range(1, 41):
        assert len(seen[pid, "vis"]) >= 5
        assert seen[pid, "nir"] == seen[pid, "vis"] - ({3} if pid in tested else set())


def test_llcm_lists_name_all_training_images() -> None:
    plan = plan_of("llcm", 40)
    tested = {int(pid) for pid in plan.files["idx/test_id.txt"].split(",")}
    assert set(plan.files) == {"idx/test_id.txt", "idx/train_vis.txt", "idx/train_nir.txt"}
    assert len(tested) == 13
    labels = []
    for side in ("vis", "nir"):
        lines = lines_of(plan, f"train_{side}")
        assert [path for path, _ in lines] == [shot.path for shot in plan.shots if shot.path.startswith(f"{side}/")]
        labels.append({int(path.split("/")[1]): label for path, label in lines})
    assert labels[0] == labels[1]
    assert dict(enumerate(labels[0])) == {label: pid for pid, label in labels[0].items()}
    assert set(labels[0]) == set(range(1, 41)) - tested


@pytest.mark.parametrize(("like", "ids", "images"), [("regdb", 412, {8240}), ("llcm", 1064, range(42000, 47000))])
def test_defaults_give_about_the_real_numbers(like: str, ids: int, images: Any) -> None:
    assert len(plan_of(like, ids).shots) in images


def test_sizes_of_the_splits() -> None:
    def tested(like: str, ids: int, **options: Any) -> int:
        plan = plan_of(like, ids, frames=1, **options)
        if like == "llcm":
            return plan.files["idx/test_id.txt"].count(",") + 1
        return len(lines_of(plan, "test_visible_1"))

    for like, share in (("regdb", 206 / 412), ("llcm", 351 / 1064)):
        assert tested(like, 400) == round(400 * share)
        assert tested(like, 40, test_ids=7) == 7
        assert tested(like, 40, train_fraction=0.9) == 4
        assert 1 <= tested(like, 3) <= 2
        assert tested(like, 3, train_fraction=0.99) == 1


# The parsers


@pytest.mark.parametrize("name", ["regdb", "regdb_i2v", "llcm", "llcm_v2i", "llcm_v2i_readme_2023"])
def test_parsers_load_the_tree_and_protocols_evaluate_it(
    root: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        data = DATASETS[name](root=str(root), verbose=False)
    assert not caplog.records
    query, gallery = (
        FeatureSet(None, np.array([r[1] for r in records]), np.array([r[2] for r in records]))
        for records in (data.query, data.gallery)
    )
    distances = np.random.default_rng(0).random((len(data.query), len(data.gallery)))
    for protocol in data.protocols:
        for trial in protocol.evaluate_distances(distances, query, gallery).trials:
            assert trial.num_valid > 0
            assert trial.num_invalid == 0


def test_the_numbers_of_the_parsers(root: Path) -> None:
    regdb = DATASETS["regdb"](root=str(root), split_id=9, verbose=False)
    assert (regdb.num_train_pids, len(regdb.train), len(regdb.query), len(regdb.gallery)) == (6, 36, 18, 18)
    llcm = DATASETS["llcm"](root=str(root), verbose=False)
    plan = plan_of("llcm", 12, frames=2)
    counts = defaultdict(int)
    for shot in plan.shots:
        counts[shot.path.split("/")[0]] += 1
    assert llcm.num_train_pids == 8
    assert len(llcm.train) == counts["vis"] + counts["nir"]
    assert (len(llcm.query), len(llcm.gallery)) == (counts["test_nir"], counts["test_vis"])


def test_manifest_has_the_data_sets_own_defaults(root: Path, tmp_path: Path) -> None:
    synthetic.write_tree("regdb", tmp_path / "RegDB", ids=3, seed=1, size=SIZE)
    manifest = synthetic.read_manifest(tmp_path / "RegDB")
    assert manifest is not None
    assert (manifest["frames"], manifest["train_fraction"]) == (10, 0.5)
    synthetic.check_manifest(tmp_path / "RegDB", "regdb", ids=3, seed=1, size=SIZE)
    synthetic.check_manifest(root / "LLCM", "llcm", ids=12, seed=1, frames=2, size=SIZE)
    with pytest.raises(ValueError, match="was rendered with like regdb, not llcm"):
        synthetic.check_manifest(tmp_path / "RegDB", "llcm", ids=3, seed=1, size=SIZE)


# Always the same


@pytest.mark.parametrize(
    ("like", "pinned"),
    [("llcm", "4940716f92140eb1"), ("regdb", "becb9bded36c017e"), ("sysu_mm01", "c8ea65f44d33f862")],
)
def test_plans_are_pinned(like: str, pinned: str) -> None:
    assert digest(plan_of(like, 20, seed=3, frames=4)) == pinned
    assert digest(plan_of(like, 20, seed=4, frames=4)) != pinned


def test_same_seed_same_bytes(root: Path, tmp_path: Path) -> None:
    synthetic.write_tree("regdb", tmp_path / "RegDB", ids=12, seed=1, frames=3, size=SIZE)
    assert files_of(tmp_path / "RegDB") == files_of(root / "RegDB")
    for name in files_of(root / "RegDB"):
        assert (tmp_path / "RegDB" / name).read_bytes() == (root / "RegDB" / name).read_bytes()


def test_regdb_splits_do_not_depend_on_the_number_of_frames() -> None:
    few, many = (plan_of("regdb", 20, frames=frames) for frames in (1, 4))
    for half in ("train", "test"):
        persons = [{path.split("/")[1] for path, _ in lines_of(plan, f"{half}_thermal_7")} for plan in (few, many)]
        assert persons[0] == persons[1]


# Hard, but fair


@pytest.mark.parametrize("like", ["regdb", "llcm"])
@pytest.mark.parametrize("frames", [1, 4])
def test_no_two_images_show_the_same_moment(like: str, frames: int) -> None:
    """Both modalities of one moment would share pose, crop and light, by which anybody can be matched."""
    shots = plan_of(like, 30, frames=frames).shots
    assert len({(shot.pid, shot.camera, shot.frame) for shot in shots}) == len(shots)


# Bad input


@pytest.mark.parametrize("like", ["regdb", "llcm"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": 2}, "ids: must be 3 to 9000"),
        ({"seed": -1}, "seed: must not be negative"),
        ({"frames": 0}, "frames: must be 1 to 999"),
        ({"frames": 1000}, "frames: must be 1 to 999"),
        ({"size": (127, 64)}, "size: height and width must be even"),
        ({"train_fraction": 0.0}, "train_fraction: must lie between 0 and 1"),
        ({"test_ids": 5}, "test_ids: must be 1 to 4 for 6 ids"),
    ],
)
def test_bad_sizes_are_refused(tmp_path: Path, like: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        synthetic.write_tree(out=tmp_path / "tree", **{"like": like, "ids": 6, "seed": 0, **change})
    assert not list(tmp_path.iterdir())
