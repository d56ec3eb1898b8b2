"""The synthetic twins of the RGB + NIR + TIR data sets: layout, names, counts, and that the parsers read them."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from triple_twins import LIKES, OPTIONS, SIZES, STRIPS, TRIPLES, VEHICLES, moments, plan_of, write_twins

from promptreid import synthetic
from promptreid.synthetic import BANDS, FOLDERS, Plan, recipe_of, render_shot

NAMES = {
    "market_mm": r"(?P<split>train|query|gallery)/(?P<band>RGB|NI|TI)/"
    r"(?P<pid>\d{4}|-1)_c(?P<camera>[1-6])s[1-6]_\d{6}_(?P<box>\d\d)\.jpg",
    "msvr310": r"(?P<split>bounding_box_train|query3|bounding_box_test)/(?P<pid>\d{4})/(?P<band>vis|ni|th)/"
    r"(?P=pid)_s(?P<scene>\d{3})_v(?P<camera>[0-7])_\d{3}\.jpg",
    "rgbn300": r"rgbir/(?P<split>bounding_box_train|query|bounding_box_test)/"
    r"(?P<pid>\d{4})_c(?P<camera>000[1-8])_\d{3}\.jpg",
    "rgbnt201": r"(?P<split>train_171|test)/(?P<band>RGB|NI|TI)/(?P<pid>\d{6})_cam(?P<camera>[1-4])_[01]_\d\d\.jpg",
    "wmveid863": r"(?P<split>train|query|test)/(?P<pid>\d{4})/(?P<band>vis|ni|th)/"
    r"v(?P<camera>[0-7])_n(?P<night>[019])_s(?P<scene>\d{3})_\d{3}\.jpg",
}
NAMES["rgbnt100"] = NAMES["rgbn300"]
GALLERIES = {"market_mm": "gallery", "rgbnt201": "test", "wmveid863": "test"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_twins(tmp_path_factory.mktemp("triples"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fields_of(like: str, path: str) -> dict[str, str]:
    match = re.fullmatch(NAMES[like], path)
    assert match, path
    return match.groupdict()


def images_of(like: str, plan: Plan) -> list[tuple[str, dict[str, str]]]:
    """The paths of all images, copies too, with the fields of their names; each once."""
    paths = [*dict.fromkeys(shot.path for shot in plan.shots), *plan.copies]
    assert len(set(paths)) == len(paths)
    return [(path, fields_of(like, path)) for path in paths]


def values(like: str, plan: Plan, field: str, split: str) -> list[str]:
    return [fields[field] for _, fields in images_of(like, plan) if fields["split"] == split]


# What all have in common


@pytest.mark.parametrize("like", LIKES)
def test_names_are_those_of_the_real_data_set(like: str) -> None:
    plan = plan_of(like)
    assert plan.files == {}
    images = images_of(like, plan)
    assert {fields["split"] for _, fields in images} == set(re.search(r"split>([^)]*)", NAMES[like])[1].split("|"))
    for shot in plan.shots:
        fields = fields_of(like, shot.path)
        if fields["pid"] not in ("0000", "-1"):
            assert int(fields["pid"]) == shot.pid
        if like not in VEHICLES:
            assert int(fields["camera"]) == shot.camera
        assert shot.camera in plan.locations
    assert plan.style.subject == ("vehicle" if like in VEHICLES else "person")


@pytest.mark.parametrize("like", LIKES)
def test_what_is_planned_is_written(root: Path, like: str) -> None:
    plan = plan_of(like, **OPTIONS[like])
    files = files_of(root / FOLDERS[like])
    assert set(files) == {*(shot.path for shot in plan.shots), *plan.copies, "synthetic.json"}
    for copy, original in plan.copies.items():
        assert files[copy] == files[original]
    sizes = {cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape for name, data in files.items() if ".jpg" in name}
    assert sizes == {(128, 256 * STRIPS[like], 3) if like in STRIPS else (*SIZES[like], 3)}


@pytest.mark.parametrize("like", TRIPLES)
def test_a_moment_has_one_name_in_three_folders(like: str) -> None:
    bands = {"RGB": 0, "NI": 1, "TI": 2, "vis": 0, "ni": 1, "th": 2}
    incomplete = 0
    for shots in moments(plan_of(like)).values():
        names = defaultdict(list)
        for shot in shots:
            fields = fields_of(like, shot.path)
            assert shot.band == BANDS[bands[fields["band"]]]
            names[shot.path.replace(f"/{fields['band']}/", "/*/")].append(shot.band)
        for found in names.values():
            assert len(set(found)) == len(found)
            incomplete += len(found) < 3
        assert len(names) == 1, "no two names show one moment"
    assert (incomplete > 0) == (like == "wmveid863")


@pytest.mark.parametrize("like", STRIPS)
def test_a_strip_has_its_bands_in_order(like: str) -> None:
    plan = plan_of(like)
    for shots in moments(plan).values():
        assert [shot.band for shot in shots] == list(BANDS[: STRIPS[like]])
        assert len({shot.path for shot in shots}) == 1
    positions = defaultdict(list)
    for index, shot in enumerate(plan.shots):
        positions[shot.path].append(index)
    assert all(places[-1] - places[0] == STRIPS[like] - 1 for places in positions.values()), "so each is written once"


@pytest.mark.parametrize("like", STRIPS)
def test_strips_are_what_their_parts_are(root: Path, like: str) -> None:
    shots = next(iter(moments(plan_of(like, **OPTIONS[like])).values()))
    stored = cv2.imread(str(root / FOLDERS[like] / shots[0].path))[..., ::-1].astype(int)
    for index, shot in enumerate(shots):
        size, style = (128, 256), plan_of(like).style
        part = render_shot(shot, seed=1, location=shot.camera, size=size, style=style).astype(int)
        away = [np.abs(stored[:, 256 * place : 256 * (place + 1)] - part).mean() for place in range(STRIPS[like])]
        assert np.argmin(away) == index
        assert away[index] < 8


@pytest.mark.parametrize("like", ["rgbnt201", "rgbnt100"])
def test_triples_share_pose_and_structure(like: str) -> None:
    """Edges of one moment's bands lie in one place, those of two moments don't."""
    plan, size = plan_of(like), recipe_of(like, 30, 1).size
    edges = []
    for shots in list(moments(plan).values())[:24:2]:
        grey = [render_shot(shot, 1, plan.locations[shot.camera], size, plan.style).mean(2) for shot in shots]
        centre = [np.abs(np.diff(cv2.blur(image, (3, 3)), axis=0))[size[0] // 4 : -size[0] // 4] for image in grey]
        edges.append([band[:, size[1] // 4 : -size[1] // 4].ravel() for band in centre])
    for one, two in ((0, 1), (0, 2), (1, 2)):
        together = np.mean([np.corrcoef(moment[one], moment[two])[0, 1] for moment in edges])
        apart = np.mean([np.corrcoef(a[one], b[two])[0, 1] for a, b in pairwise(edges)])
        assert together > 0.2 and together > apart + 0.12, (one, two)


@pytest.mark.parametrize(
    ("like", "pinned"),
    [
        ("market_mm", "b14bf536e80fdf2b"),
        ("msvr310", "c8bc6b247d7e6284"),
        ("rgbn300", "05c032fa5ce321b8"),
        ("rgbnt100", "30ec0a1c54671a7e"),
        ("rgbnt201", "7ffb7f04d4ccf8ce"),
        ("wmveid863", "e21e29a392c1d231"),
    ],
)
def test_plans_are_pinned(like: str, pinned: str) -> None:
    def digest(seed: int) -> str:
        plan = plan_of(like, 20, seed)
        return hashlib.sha256(repr((plan.shots, plan.locations, plan.copies)).encode()).hexdigest()[:16]

    assert digest(3) == pinned
    assert digest(4) != pinned


def test_same_bytes_twice(root: Path, tmp_path: Path) -> None:
    synthetic.write_tree("wmveid863", tmp_path / "again", seed=1, **OPTIONS["wmveid863"])
    assert files_of(tmp_path / "again") == files_of(root / "WMVEID863")


def test_same_bytes_with_several_workers(root: Path, tmp_path: Path) -> None:
    synthetic.write_tree("rgbnt100", tmp_path / "two", seed=1, workers=2, **OPTIONS["rgbnt100"])
    assert files_of(tmp_path / "two") == files_of(root / "RGBNT100")


@pytest.mark.parametrize(
    ("like", "size", "fraction"),
    [
        ("market_mm", (128, 64), 751 / 1501),
        ("msvr310", (128, 256), 155 / 310),
        ("rgbn300", (128, 256), 0.5),
        ("rgbnt100", (128, 256), 0.5),
        ("rgbnt201", (128, 64), 171 / 201),
        ("wmveid863", (128, 256), 603 / 875),
    ],
)
def test_defaults_are_those_of_the_data_set(like: str, size: tuple[int, int], fraction: float) -> None:
    recipe = recipe_of(like, 40, 0)
    assert recipe.size == size
    assert recipe.train_fraction == fraction
    plan = plan_of(like, 40)
    tested = set(values(like, plan, "pid", GALLERIES.get(like, "bounding_box_test"))) - {"0000", "-1"}
    assert len(tested) == 40 - round(fraction * 40)
    for frames in (1, 4):
        few = plan_of(like, 40, frames=frames)
        assert {shot.pid for shot in few.shots if shot.pid <= 600} >= {int(pid) for pid in tested}


@pytest.mark.parametrize("like", LIKES)
def test_thirty_identities_are_a_small_tree(like: str) -> None:
    assert 300 < len(images_of(like, plan_of(like))) < 2500


# Hard, but fair


@pytest.mark.parametrize(("like", "frames", "size"), [("rgbnt201", 3, (32, 16)), ("rgbnt100", 1, (16, 32))])
def test_nearest_pixels_in_another_camera_are_above_chance_and_far_from_perfect(
    like: str, frames: int, size: tuple[int, int]
) -> None:
    plan = plan_of(like, 32, frames=frames, test_ids=30)
    tested = {key: shots for key, shots in moments(plan).items() if "test" in shots[0].path}
    pids, cameras, _ = np.array(list(tested)).T
    features = np.array([
        np.concatenate([render_shot(shot, 1, shot.camera, size, plan.style).mean(2).ravel() for shot in shots])
        for shots in tested.values()
    ])  # fmt: skip
    features = (features - features.mean(1, keepdims=True)) / features.std(1, keepdims=True)
    other = cameras[:, None] != cameras
    nearest = np.where(other, features @ features.T, -np.inf).argmax(1)
    rank1, chance = (pids[nearest] == pids).mean(), (pids[:, None] == pids)[other].mean()
    assert 1.5 * chance < rank1 < 0.4, (rank1, chance)


# RGBNT201


def test_rgbnt201_training_identities_mostly_have_one_camera() -> None:
    plan, cameras = plan_of("rgbnt201", 201), defaultdict(set)
    for _, fields in images_of("rgbnt201", plan):
        cameras[fields["split"], fields["pid"]].add(fields["camera"])
    train = [seen for (split, _), seen in cameras.items() if split == "train_171"]
    assert len(train) == 171
    assert sum(len(seen) == 2 for seen in train) == 51
    assert {len(seen) for seen in train} == {1, 2}
    assert set().union(*train) == {"1", "2", "3", "4"}
    test = [seen for (split, _), seen in cameras.items() if split == "test"]
    assert test == [{"1", "2"}] * 30


@pytest.mark.parametrize("seed", range(5))
def test_small_rgbnt201_has_all_cameras_and_some_identities_with_two(seed: int) -> None:
    plan = plan_of("rgbnt201", 10, seed)
    assert set(values("rgbnt201", plan, "camera", "train_171")) == {"1", "2", "3", "4"}
    pairs = {shot.pid for shot in plan.shots if shot.camera == 2} & {
        shot.pid for shot in plan.shots if shot.camera == 1
    }
    assert len(pairs) >= 3


# RGBNT100 and RGBN300


@pytest.mark.parametrize(
    ("like", "ids", "first"), [("rgbnt100", 100, 501), ("rgbn300", 300, 301), ("rgbnt100", 600, 1)]
)
def test_odd_ids_are_trained_and_even_ones_tested(like: str, ids: int, first: int) -> None:
    plan = plan_of(like, ids, frames=1)
    train, test = ({int(p) for p in values(like, plan, "pid", f"bounding_box_{side}")} for side in ("train", "test"))
    assert train == set(range(first, 601, 2))
    assert test == set(range(first + 1, 601, 2))


@pytest.mark.parametrize("like", STRIPS)
def test_every_fifth_strip_of_the_gallery_is_a_query(like: str) -> None:
    plan = plan_of(like)
    gallery = sorted({shot.path for shot in plan.shots if "test" in shot.path})
    assert list(plan.copies.values()) == gallery[::5]
    assert list(plan.copies) == [path.replace("bounding_box_test", "query") for path in gallery[::5]]
    cameras = defaultdict(set)
    for shot in plan.shots:
        cameras[shot.pid].add(shot.camera)
    assert {len(seen) for seen in cameras.values()} <= set(range(4, 9))
    assert len({len(seen) for seen in cameras.values()}) > 2


# MSVR310


def test_msvr310_queries_are_the_identities_with_several_scenes() -> None:
    plan = plan_of("msvr310", 310)
    scenes = defaultdict(set)
    for shot in plan.shots:
        fields = fields_of("msvr310", shot.path)
        assert plan.locations[shot.camera] == int(fields["scene"]), "what a scene looks like depends on the scene"
        assert shot.camera % 8 == int(fields["camera"]), "views are sides"
        scenes[fields["split"], fields["pid"]].add(fields["scene"])
    gallery = {pid: seen for (split, pid), seen in scenes.items() if split == "bounding_box_test"}
    several = {pid for pid, seen in gallery.items() if len(seen) > 1}
    assert (len(gallery), len(several)) == (155, 52)
    tested = [shot.path for shot in plan.shots if shot.path.startswith("bounding_box_test")]
    assert sorted(plan.copies.values()) == sorted(path for path in tested if path.split("/")[1] in several)
    assert all(copy.replace("query3", "bounding_box_test", 1) == path for copy, path in plan.copies.items())
    assert set().union(*gallery.values()) <= {f"{scene:03d}" for scene in range(1, 31)}


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_msvr310_has_a_query_and_a_distractor(seed: int) -> None:
    plan = plan_of("msvr310", 4, seed, frames=1)
    queries = set(values("msvr310", plan, "pid", "query3"))
    assert len(queries) == 1
    assert len(set(values("msvr310", plan, "pid", "bounding_box_test")) - queries) == 1


# WMVEID863


@pytest.mark.parametrize(("ids", "frames"), [(5, 1), (5, 2), (60, 3)])
@pytest.mark.parametrize("seed", range(6))
def test_some_triples_are_incomplete_and_some_identities_have_one_view(ids: int, frames: int, seed: int) -> None:
    plan = plan_of("wmveid863", ids, seed, frames=frames)
    views, found, lacking = defaultdict(set), defaultdict(set), defaultdict(int)
    for shot in plan.shots:
        fields = fields_of("wmveid863", shot.path)
        views[fields["split"], shot.pid].add(fields["camera"])
        found[fields["split"], shot.pid, shot.camera, shot.frame].add(shot.band)
    for (split, *_), bands in found.items():
        assert len(bands) in (2, 3)
        lacking[split] += len(bands) == 2
    assert all(1 <= lacking[split] <= 0.1 * len(found) + 1 for split in ("train", "test"))
    single = [len(seen) == 1 for (split, _), seen in views.items() if split == "test"]
    assert any(single) and not all(single)


def test_wmveid863_queries_are_the_first_images_of_each_view() -> None:
    plan = plan_of("wmveid863", 60)
    first = {}
    for shot in plan.shots:
        if shot.path.startswith("test"):
            first.setdefault((shot.pid, shot.camera), shot.frame)
    copied = {shot.path for shot in plan.shots if shot.path in set(plan.copies.values())}
    expected = {
        shot.path for shot in plan.shots if shot.path.startswith("test") and first[shot.pid, shot.camera] == shot.frame
    }
    assert copied == expected
    assert set(first.values()) == {1}
    bands = defaultdict(int)
    for path in copied:
        bands[path.replace("/ni/", "/vis/").replace("/th/", "/vis/")] += 1
    assert set(bands.values()) == {3}, "with several images per view, queries are complete"


def test_wmveid863_films_by_night_where_the_name_says_so() -> None:
    plan = plan_of("wmveid863", 60)
    flags = set()
    for shot in plan.shots:
        fields = fields_of("wmveid863", shot.path)
        assert (shot.camera in plan.style.night) == (fields["night"] == "1")
        assert shot.camera % 8 == int(fields["camera"])
        flags.add((fields["night"], fields["scene"] == "999"))
    assert {night for night, _ in flags} == {"0", "1", "9"}
    assert {unknown for _, unknown in flags} == {True, False}


# Market1501-MM


def test_market_mm_has_queries_distractors_and_junk() -> None:
    plan = plan_of("market_mm", 60)
    queries, gallery, train = ({*values("market_mm", plan, "pid", s)} for s in ("query", "gallery", "train"))
    assert queries == gallery - {"0000", "-1"}
    assert gallery >= {"0000", "-1"}
    assert not queries & train
    cells = defaultdict(int)
    for _, fields in images_of("market_mm", plan):
        if fields["split"] == "query":
            assert fields["box"] == "00"
            cells[fields["pid"], fields["camera"], fields["band"]] += 1
        else:
            assert fields["box"] != "00"
    assert set(cells.values()) == {1}
    strangers = {shot.pid for shot in plan.shots if re.search(r"/(0000|-1)_", shot.path)}
    assert strangers.isdisjoint({int(pid) for pid in (queries | train)})
    known = sum(fields["pid"] in queries for _, fields in images_of("market_mm", plan) if fields["split"] == "gallery")
    assert len(strangers) == pytest.approx((2793 + 3819) / 13120 * known / 3, abs=1.5)


def test_market_mm_computes_near_infrared_and_dark_visible_images() -> None:
    plan = plan_of("market_mm")
    shots = moments(plan)[plan.shots[0].pid, plan.shots[0].camera, plan.shots[0].frame]
    dark, grey, warm = (render_shot(shot, 1, shot.camera, (64, 32), plan.style).astype(int) for shot in shots)
    plain = [render_shot(shot, 1, shot.camera, (64, 32)).astype(int) for shot in shots]
    assert (dark == plain[0] * 2 // 5).all()
    assert (warm == plain[2]).all()
    assert np.abs(grey[..., 0] - plain[0] @ [0.299, 0.587, 0.114]).max() < 2
    assert (grey == grey[..., :1]).all()
    assert not (grey == plain[1]).all()
