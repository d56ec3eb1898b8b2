"""LLCM from files: cameras, both directions, golden scores, torchreid's own metric, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_trees import name_llcm, write_llcm
from golden_distance import distance

from promptreid import DATASETS, host
from promptreid.datasets.llcm import LLCM
from promptreid.evaluation import FeatureSet

INFRARED_CAMERAS = (1, 2, 4, 5, 6, 7, 8, 9)


@pytest.fixture(scope="module")
def golden_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic LLCM of the golden values, ids 1 to 60; ids 61 to 63 are trained."""
    test = {
        "vis": {(pid, cam): (7 * pid + 3 * cam) % 4 for pid in range(1, 61) for cam in range(1, 10)},
        "nir": {(pid, cam): (5 * pid + 2 * cam + pid % 3) % 4 for pid in range(1, 61) for cam in INFRARED_CAMERAS},
    }
    train = {side: {(pid, cam): 1 for pid in (61, 62, 63) for cam in (1, 2)} for side in test}
    return write_llcm(tmp_path_factory.mktemp("golden") / "LLCM", train, test)


def load(folder: Path, **kwargs: Any) -> LLCM:
    return LLCM(root=str(folder.parent), verbose=False, **kwargs)


def labels(records: list) -> FeatureSet:
    """Labels as the protocols take them; ``scenes`` are the frames of the golden key, those of infrared images + 32."""
    frames = [int(path.name.split("_")[3][1:]) + 32 * ("_nir" in path.name) for path in (Path(r[0]) for r in records)]
    return FeatureSet(None, *(np.array([record[k] for record in records]) for k in (1, 2)), np.array(frames))


def test_cameras_are_shared_by_the_modalities_and_zero_based(small_llcm: Path) -> None:
    data = load(small_llcm)
    assert {(pid, camid) for _, pid, camid, _ in data.query} == {(pid, cam) for pid in (4, 5, 6) for cam in (0, 8)}
    assert {(pid, camid) for _, pid, camid, _ in data.gallery} == {(pid, c) for pid in (4, 5, 6) for c in (0, 2, 8)}
    assert {(pid, camid) for _, pid, camid, _ in data.train} == {(pid, cam) for pid in (0, 1, 2) for cam in (0, 8)}
    for path, _, camid, _ in data.train + data.query + data.gallery:
        assert path.camera == camid
        assert list(path.paths) == ["infrared" if path.endswith("_nir.jpg") else "visible"]
        assert f"_c0{camid + 1}_" in path


def test_order_is_identity_camera_name(golden_tree: Path) -> None:
    for records in (load(golden_tree).query, load(golden_tree).gallery):
        names = [Path(record[0]).name for record in records]
        assert names == sorted(names)


def test_directions_by_name(small_llcm: Path) -> None:
    names = {
        "llcm": ["llcm-paper infrared-visible", "llcm-paper visible-infrared"],
        "llcm_i2v": ["llcm-paper infrared-visible", "llcm-paper visible-infrared"],
        "llcm_v2i": ["llcm-paper visible-infrared", "llcm-paper infrared-visible"],
        "llcm_v2i_readme_2023": ["llcm-readme-2023 visible-infrared", "llcm-readme-2023 infrared-visible"],
    }
    for name, protocols in names.items():
        data = DATASETS[name](root=str(small_llcm.parent), verbose=False)
        assert [protocol.name for protocol in data.protocols] == protocols
        assert data.modality_of(data.query[0][0]) == (0 if "v2i" in name else 1)


def test_golden_scores_through_parser_and_protocol(golden_tree: Path) -> None:
    data = load(golden_tree, direction="visible-infrared")
    query, gallery = labels(data.query), labels(data.gallery)
    assert len(query) == 810
    distances = distance(query, gallery, same=0.05, room=False)
    first = data.protocols[0].evaluate_distances(distances, query, gallery).trials[0]
    values = [*first.cmc[[0, 4, 9, 19]], first.mAP, first.mINP]
    assert [round(100 * v, 4) for v in values] == [24.8148, 76.0494, 96.7901, 100.0, 33.1306, 27.0916]
    drawn = data.protocols[0].trials(gallery)[0]
    items = zip(gallery.pids[drawn], gallery.camids[drawn] + 1, gallery.scenes[drawn] - 32, strict=True)
    assert [tuple(map(int, item)) for item in items][:6] == [
        (1, 2, 2), (1, 4, 2), (1, 6, 1), (1, 8, 2), (2, 1, 2), (2, 5, 2)
    ]  # fmt: skip
    # The second protocol of each data set is the first one of the other direction, from the same matrix.
    back = load(golden_tree)
    ours = data.protocols[1].evaluate_distances(distances, query, gallery)
    theirs = back.protocols[0].evaluate_distances(distances.T, labels(back.query), labels(back.gallery))
    assert ours.as_dict() == theirs.as_dict()


def test_torchreids_metric_gives_the_same_rank_1_and_map_per_trial(golden_tree: Path) -> None:
    data = load(golden_tree)
    query, gallery = labels(data.query), labels(data.gallery)
    distances = distance(query, gallery, same=0.05, room=False)
    protocol = data.protocols[0]
    trials = protocol.evaluate_distances(distances, query, gallery).trials
    for trial, drawn in zip(trials[:3], protocol.trials(gallery)[:3], strict=True):
        cmc, mean_ap = host.metrics.evaluate_rank(distances[:, drawn], query.pids, gallery.pids[drawn], query.camids,
                                                  gallery.camids[drawn], use_cython=False)  # fmt: skip
        assert cmc[0] == pytest.approx(trial.cmc[0])
        assert mean_ap == pytest.approx(trial.mAP)
        assert cmc[4] < trial.cmc[4]  # torchreid counts images, the authors count identities


def test_missing_folder_and_lists(tmp_path: Path, small_llcm: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"LLCM not found at .*set data\.root"):
        LLCM(root=str(tmp_path))
    (small_llcm / "idx" / "test_id.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"idx/test_id\.txt: no such id list"):
        load(small_llcm)


@pytest.mark.parametrize("text", ["4,five,6", "", "4,4"])
def test_malformed_id_list(small_llcm: Path, text: str) -> None:
    (small_llcm / "idx" / "test_id.txt").write_text(text)
    with pytest.raises(ValueError, match=r"test_id\.txt"):
        load(small_llcm)


def test_identity_both_trained_and_tested(small_llcm: Path) -> None:
    (small_llcm / "idx" / "test_id.txt").write_text("3,4,5,6")
    with pytest.raises(ValueError, match=r"test_id\.txt: identity 3 is trained on too \(.*train_vis\.txt:9\)"):
        load(small_llcm)


def test_identity_without_test_images(small_llcm: Path) -> None:
    (small_llcm / "idx" / "test_id.txt").write_text("4,5,6,7")
    with pytest.raises(ValueError, match="identity 7 has no image in test_vis or test_nir"):
        load(small_llcm)


@pytest.mark.parametrize("name", ["cam10", "cam0", "camera1", "5"])
def test_unknown_camera_folder(small_llcm: Path, name: str) -> None:
    (small_llcm / "test_nir" / name).mkdir()
    with pytest.raises(ValueError, match=rf"test_nir/{name}: '{name}' is not a camera of LLCM \(cam1 \.\. cam9\)"):
        load(small_llcm)


@pytest.mark.parametrize("name", ["0001_c10_s1_f1_vis.jpg", "0001_s1_f1_vis.jpg", "0001_cam1_f1_vis.jpg"])
def test_training_image_of_no_known_camera(small_llcm: Path, name: str) -> None:
    source = small_llcm / "vis" / "0001" / name_llcm("vis", 1, 1, 1)
    shutil.copy(source, source.with_name(name))
    with (small_llcm / "idx" / "train_vis.txt").open("a") as file:
        file.write(f"vis/0001/{name} 0\n")
    with pytest.raises(ValueError, match=rf"train_vis\.txt:13: .*{name}: .* is not a camera of LLCM"):
        load(small_llcm)


def test_what_is_left_out_is_counted(small_llcm: Path, caplog: pytest.LogCaptureFixture) -> None:
    cell = small_llcm / "test_vis" / "cam1"
    (cell / "0004" / "Thumbs.db").touch()
    (cell / "0004" / ".hidden").touch()
    shutil.copytree(cell / "0004", cell / "0777")
    shutil.copytree(cell / "0004", cell / "copy of 0004")
    (small_llcm / "test_vis" / "notes.txt").touch()
    assert len(load(small_llcm).gallery) == 18
    assert "3 files or folders left out" in caplog.text


def test_missing_training_image(small_llcm: Path) -> None:
    shutil.rmtree(small_llcm / "nir" / "0002")
    with pytest.raises(FileNotFoundError, match=r"train_nir\.txt:5: .*no such image file \(4 of this list"):
        load(small_llcm)


def test_unknown_variant(small_llcm: Path) -> None:
    with pytest.raises(ValueError, match="variant: 'llcm'"):
        load(small_llcm, variant="llcm")
