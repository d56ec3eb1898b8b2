"""The synthetic data set: its tree, that it always comes out the same, is hard, and gives nobody away."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from promptreid import synthetic
from promptreid.synthetic import BANDS, RENDERERS, Frame, Identity, Recipe, Shot, render_shot, trees, writer
from promptreid.synthetic.figure import figure
from promptreid.synthetic.materials import CLOTHES, DYES, Part, contrast_of
from promptreid.synthetic.rendering import part_map

VISIBLE, INFRARED = (1, 2, 4, 5), (3, 6)


def digest_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below ``folder``."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def small_tree(out: Path, seed: int = 3) -> Path:
    synthetic.write_tree("sysu_mm01", out, ids=6, seed=seed, frames=2, size=(64, 32))
    return out


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "tree"
    synthetic.write_tree("sysu_mm01", out, ids=60, seed=1, frames=5)
    return out


# The tree


def test_tree_has_the_layout_of_sysu_mm01(tree: Path) -> None:
    assert {path.name for path in tree.iterdir()} == {*(f"cam{c}" for c in range(1, 7)), "exp", "synthetic.json"}
    cells = defaultdict(list)
    for path in tree.glob("cam*/*/*"):
        match = re.fullmatch(r"cam([1-6])/(\d{4})/(\d{4})\.jpg", path.relative_to(tree).as_posix())
        assert match, path
        cells[int(match[1]), int(match[2])].append(int(match[3]))
    assert all(sorted(frames) == list(range(1, len(frames) + 1)) for frames in cells.values())
    assert {len(frames) for frames in cells.values()} == {4, 5, 6}


def test_id_lists(tree: Path) -> None:
    lists = {}
    for name in ("train", "val", "test", "available"):
        text = (tree / "exp" / f"{name}_id.txt").read_text()
        assert re.fullmatch(r"\d+(,\d+)*\n", text)
        lists[name] = [int(pid) for pid in text.split(",")]
        assert lists[name] == sorted(set(lists[name]))
    assert [len(lists[name]) for name in ("train", "val", "test")] == [36, 5, 19]
    assert sorted(lists["train"] + lists["val"] + lists["test"]) == lists["available"]
    assert max(lists["available"]) > len(lists["available"]), "ids run with gaps"
    assert {int(path.name) for path in tree.glob("cam*/*")} == set(lists["available"])


def test_every_id_has_both_modalities_and_some_are_not_indoor(tree: Path) -> None:
    cameras = defaultdict(set)
    for path in tree.glob("cam*/*"):
        cameras[path.name].add(int(path.parent.name[3:]))
    assert all(seen & set(VISIBLE) and seen & set(INFRARED) for seen in cameras.values())
    indoor = {pid for pid, seen in cameras.items() if seen & {1, 2}}
    assert 0.5 < len(indoor) / len(cameras) < 0.7


def test_images_are_small_jpegs_and_infrared_is_grey(tree: Path) -> None:
    for camera in range(1, 7):
        path = min(tree.glob(f"cam{camera}/*/0001.jpg"))
        assert path.read_bytes()[:2] == b"\xff\xd8"
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == (128, 64, 3)
        grey = bool((image == image[..., :1]).all())
        assert grey == (camera in INFRARED)


def test_manifest_says_what_the_tree_is(tree: Path) -> None:
    recipe = Recipe("sysu_mm01", 60, 1, frames=5)
    assert json.loads((tree / "synthetic.json").read_text()) == synthetic.manifest_of(recipe)
    synthetic.check_manifest(tree, "sysu_mm01", ids=60, seed=1, frames=5, size=(128, 64))
    with pytest.raises(ValueError, match="rendered with seed 1, not 2"):
        synthetic.check_manifest(tree, "sysu_mm01", ids=60, seed=2, frames=5)
    with pytest.raises(ValueError, match=r"no synthetic\.json"):
        synthetic.check_manifest(tree / "cam1", "sysu_mm01", ids=60, seed=1)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "synthetic.json").write_text("{")
    with pytest.raises(ValueError, match=r"synthetic\.json: not a manifest"):
        synthetic.read_manifest(tmp_path)


def test_splits_by_fraction_and_by_number() -> None:
    def sizes(recipe: Recipe) -> list[int]:
        plan = trees.plan_sysu_mm01(recipe)
        return [plan.files[f"exp/{name}_id.txt"].count(",") + 1 for name in ("train", "val", "test")]

    assert sizes(Recipe("sysu_mm01", 100, 0)) == [60, 8, 32]
    assert sizes(Recipe("sysu_mm01", 100, 0, train_fraction=0.9)) == [90, 8, 2]
    assert sizes(Recipe("sysu_mm01", 100, 0, test_ids=50)) == [42, 8, 50]
    assert sizes(Recipe("sysu_mm01", 3, 0)) == [1, 1, 1]


# Always the same


PIXELS = {
    1: "b01fcb8f649a53f777792f9e68c8ae45e23a9257904131b7a95a2e03f7e63fb8",
    2: "4ca214043856907f7334f93705a20f9807b083101b47c09a323e79f720260d8c",
}


@pytest.mark.parametrize("renderer", PIXELS)
def test_pixels_are_pinned(renderer: int) -> None:
    state = hashlib.sha256()
    for pid in range(1, 9):
        for camera, band in enumerate(BANDS * 2, start=1):
            shot = Shot("", pid, camera, pid, band)
            image = render_shot(shot, seed=5, location=camera, size=(128, 64), renderer=renderer)
            state.update(image.tobytes())
    assert state.hexdigest() == PIXELS[renderer]


def test_all_renderers_draw_the_same_visible_pictures() -> None:
    for pid in range(1, 6):
        shot = Shot("", pid, 2, pid, "visible")
        images = [render_shot(shot, 5, 2, (128, 64), renderer=renderer) for renderer in RENDERERS]
        assert all((image == images[0]).all() for image in images)


def test_a_renderer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"renderer \(data.synthetic.renderer, --renderer\): there is no 3; choose from 1, 2"
    ):
        Recipe("sysu_mm01", 9, 0, renderer=3)


def test_a_tree_of_another_renderer_is_not_taken_for_this_one(tmp_path: Path) -> None:
    synthetic.write_tree("regdb", tmp_path / "old", ids=4, seed=0, frames=1, size=(32, 16), renderer=1)
    with pytest.raises(ValueError, match=r"renderer 1, not 2; .*set data\.synthetic\.renderer 1"):
        synthetic.check_manifest(tmp_path / "old", "regdb", ids=4, seed=0, frames=1, size=(32, 16))
    synthetic.check_manifest(tmp_path / "old", "regdb", ids=4, seed=0, frames=1, size=(32, 16), renderer=1)


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    assert digest_of(small_tree(tmp_path / "twice")) == digest_of(small_tree(tmp_path / "once"))


def test_other_seed_other_images(tmp_path: Path) -> None:
    trees_of_two = [digest_of(small_tree(tmp_path / str(seed), seed=seed)) for seed in (3, 4)]
    one, other = ({value for name, value in tree.items() if name.endswith(".jpg")} for tree in trees_of_two)
    assert not one & other


def test_an_image_does_not_depend_on_how_many_others_there_are(tmp_path: Path) -> None:
    shot = Shot("", 2, 4, 1, "visible")
    alone = render_shot(shot, seed=3, location=4, size=(64, 32))
    for pid in range(3, 9):
        render_shot(Shot("", pid, 4, 1, "visible"), seed=3, location=4, size=(64, 32))
    assert (render_shot(shot, seed=3, location=4, size=(64, 32)) == alone).all()


# Hard, but fair


def load(tree: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Grey images (N, 128, 64), ids, cameras and file sizes of all of a tree's images."""
    paths = sorted(tree.glob("cam*/*/*.jpg"))
    images = np.stack([cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]).astype(np.float64)
    pids = np.array([int(path.parent.name) for path in paths])
    cameras = np.array([int(path.parent.parent.name[3:]) for path in paths])
    return images, pids, cameras, np.array([path.stat().st_size for path in paths], dtype=np.float64)


@pytest.fixture(scope="module")
def images(tree: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    return load(tree)


def standardised(features: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = features.reshape(len(features), -1)
    return (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)


def times_chance(
    features: NDArray[np.float64], pids: NDArray[np.int64], query: NDArray[np.bool_], gallery: NDArray[np.bool_]
) -> float:
    """Rank-1 of the nearest neighbour, over that of a random one. An image is not its own neighbour."""
    flat = features.reshape(len(features), -1)
    squares = (flat**2).sum(1)
    distance = squares[query][:, None] + squares[gallery] - 2.0 * flat[query] @ flat[gallery].T
    own = np.flatnonzero(query)[:, None] == np.flatnonzero(gallery)
    distance[own] = np.inf
    match = pids[query][:, None] == pids[gallery]
    hits = match[np.arange(len(match)), distance.argmin(1)].mean()
    return float(hits / ((match & ~own).sum() / (~own).sum()))


def single_shots(pids: NDArray[np.int64], cameras: NDArray[np.int64], trial: int) -> NDArray[np.bool_]:
    """One visible image of each identity and camera, as in the protocol of SYSU-MM01."""
    rng = np.random.default_rng(trial)
    chosen = np.zeros(len(pids), dtype=bool)
    for pid in np.unique(pids):
        for camera in VISIBLE:
            cell = np.flatnonzero((pids == pid) & (cameras == camera))
            if len(cell):
                chosen[rng.choice(cell)] = True
    return chosen


@pytest.mark.parametrize("prepare", [lambda x: x, standardised], ids=["raw", "standardised"])
def test_nearest_pixels_across_modalities_are_under_five_times_chance(images, prepare) -> None:
    grey, pids, cameras, _ = images
    infrared, features = np.isin(cameras, INFRARED), prepare(grey)
    galleries = [single_shots(pids, cameras, trial) for trial in range(5)]
    assert np.mean([times_chance(features, pids, infrared, gallery) for gallery in galleries]) < 5.0


def border(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    edge = np.ones(grey.shape[1:], dtype=bool)
    edge[2:-2, 2:-2] = False
    return grey[:, edge]


def test_neither_border_nor_file_size_gives_anybody_away(images) -> None:
    grey, pids, cameras, sizes = images
    infrared = np.isin(cameras, INFRARED)
    for name, cue in (("border", border(grey)), ("standardised", standardised(border(grey))), ("size", sizes)):
        assert times_chance(cue, pids, infrared, ~infrared) < 3.0, name
        within = [times_chance(cue, pids, cameras == camera, cameras == camera) for camera in range(1, 7)]
        assert np.mean(within) < 2.0, (name, within)


def test_noise_is_fresh_in_every_image() -> None:
    frame, person = Frame.draw(synthetic.keyed(0, "frame", 1)), Identity.draw(synthetic.keyed(0, "identity", 1))
    camera = writer._camera(0, 1, 1)
    first, again, second = (
        synthetic.render(person, camera, frame, "near_infrared", (128, 64), synthetic.keyed(0, "noise", key))
        for key in (1, 1, 2)
    )
    assert (first == again).all()
    third = synthetic.render(person, camera, frame, "near_infrared", (128, 64), synthetic.keyed(0, "noise", 3))
    one, other = (first.astype(int) - third).ravel(), (second.astype(int) - third).ravel()
    assert abs(np.corrcoef(one, other)[0, 1] - 0.5) < 0.05, "independent noises share half through the third"


def test_bands_share_the_outlines() -> None:
    """Where the part changes, so does the picture, in each band; one map serves all of them."""
    contrast = defaultdict(list)
    for pid in range(12):
        person, camera = Identity.draw(synthetic.keyed(2, "identity", pid)), writer._camera(2, 1, 1)
        frame = Frame.draw(synthetic.keyed(2, "frame", pid))
        parts = part_map(person, camera, frame, (128, 64))[::2, ::2]
        person_rows = (parts[1:] != parts[:-1]) & (parts[1:] > 0) & (parts[:-1] > 0)
        inside = (parts[1:] == parts[:-1]) & (parts[1:] > 0)
        for band in BANDS:
            image = synthetic.render(person, camera, frame, band, (128, 64), synthetic.keyed(2, "noise", pid))
            step = np.abs(np.diff(image.mean(2), axis=0))
            contrast[band].append(step[person_rows].mean() / step[inside].mean())
    assert {band: np.mean(ratios) > 1.5 for band, ratios in contrast.items()} == dict.fromkeys(BANDS, True)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_neighbouring_parts_stand_out_in_every_band(renderer: int) -> None:
    for pid in range(200):
        palette = Identity.draw(synthetic.keyed(0, "identity", pid), renderer).palette
        for band in ("near_infrared", "thermal_infrared"):
            least = contrast_of(band, RENDERERS[renderer])
            for part, rival in CLOTHES:
                if part == Part.HAIR or (part in DYES and renderer == 2):
                    continue
                gap = abs(int(palette[band][part, 0]) - int(palette[band][rival, 0]))
                # Of what lies on a faded dye, the dye's own level has moved.
                assert rival in DYES or gap >= least - 1, (pid, band, part)


def correlation(renderer: int, band: str) -> float:
    """Of a pattern's brightness over that of its fabric between the visible and another band."""
    steps = defaultdict(list)
    for pid in range(400):
        for name, table in Identity.draw(synthetic.keyed(0, "identity", pid), renderer).palette.items():
            level = table.mean(1)
            steps[name].append(level[Part.UPPER] - level[Part.LOWER])
    return float(np.corrcoef(steps["visible"], steps[band])[0, 1])


def test_brightness_order_is_shared_by_near_infrared_and_hardly_by_thermal() -> None:
    assert 0.1 < correlation(1, "near_infrared") < 0.7
    assert 0.85 < correlation(2, "near_infrared") < 0.99
    assert all(abs(correlation(renderer, "thermal_infrared")) < 0.15 for renderer in RENDERERS)


def test_dyes_fade_in_thermal_and_half_of_them_in_near_infrared() -> None:
    """What is left of a pattern's contrast, beside what renderer 1 gives a pattern at least."""
    gaps = defaultdict(list)
    for pid in range(200):
        palette = Identity.draw(synthetic.keyed(0, "identity", pid), 2).palette
        for band in ("near_infrared", "thermal_infrared"):
            gaps[band] += [abs(int(palette[band][dye, 0]) - int(palette[band][on, 0])) for dye, on in DYES.items()]
    assert max(gaps["thermal_infrared"]) <= 0.15 * 135 + 1
    assert 0.35 < np.mean(np.array(gaps["near_infrared"]) < 20) < 0.65


def test_sun_and_shade_do_not_show_in_thermal_pictures() -> None:
    """One moment in two lights; the sensor's noise is the same."""
    person, camera = Identity.draw(synthetic.keyed(0, "identity", 1)), writer._camera(0, 1, 1)
    frame = Frame.draw(synthetic.keyed(0, "frame", 1))
    dark = replace(frame, light=bytes(len(frame.light)))
    for band, changes in (("visible", True), ("near_infrared", True), ("thermal_infrared", False)):
        lit, unlit = (
            synthetic.render(person, camera, moment, band, (128, 64), synthetic.keyed(0, "noise", 1))
            for moment in (frame, dark)
        )
        assert (lit != unlit).any() == changes, band


def test_people_are_many() -> None:
    def structure(pid: int) -> tuple[object, ...]:
        person = Identity.draw(synthetic.keyed(0, "identity", pid))
        upper, lower = person.upper, person.lower
        return (
            round(upper.hem, 1), upper.sleeve, upper.pattern.kind, lower.kind, lower.pattern.kind,
            person.bag, person.hat,
        )  # fmt: skip

    assert len({structure(pid) for pid in range(500)}) > 490


def test_every_kind_of_person_can_be_drawn() -> None:
    for pid in range(300):
        frame = Frame.draw(synthetic.keyed(0, "frame", pid))
        for layer in figure(Identity.draw(synthetic.keyed(0, "identity", pid)), frame):
            points = np.array([point for polygon in layer.polygons for point in polygon])
            assert np.isfinite(points).all()


@pytest.mark.parametrize("size", [(64, 32), (256, 128), (128, 128), (144, 288)])
def test_any_size(size: tuple[int, int]) -> None:
    image = render_shot(Shot("", 1, 1, 1, "visible"), seed=0, location=1, size=size)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"like": "market1501"},
            "like: there is no synthetic 'market1501'; choose from llcm, market_mm, msvr310, regdb, rgbn300",
        ),
        ({"ids": 0}, "ids: must be 3 to 9000"),
        ({"seed": -1}, "seed: must not be negative"),
        ({"frames": 0}, "frames: must be 1 to 999"),
        ({"size": (127, 64)}, "size: height and width must be even"),
        ({"train_fraction": 1.0}, "train_fraction: must lie between 0 and 1"),
        ({"test_ids": 5}, "test_ids: must be 1 to 4 for 6 ids"),
        ({"workers": 0}, "workers: must be at least 1"),
    ],
)
def test_bad_arguments(tmp_path: Path, change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"like": "sysu_mm01", "ids": 6, "seed": 0, **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        synthetic.write_tree(out=tmp_path / "tree", **arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(shot: Shot, *_: object) -> None:
        if shot.camera == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "render_shot", lambda *args: interrupt(*args) or render_shot(*args))
    with pytest.raises(KeyboardInterrupt):
        small_tree(tmp_path / "tree")
    assert not list(tmp_path.iterdir())


def test_writes_into_an_empty_folder_but_not_into_a_full_one(tmp_path: Path) -> None:
    out = tmp_path / "tree"
    out.mkdir()
    small_tree(out)
    before = digest_of(tmp_path)
    with pytest.raises(FileExistsError, match="is there already and not an empty folder"):
        small_tree(out)
    assert digest_of(tmp_path) == before
