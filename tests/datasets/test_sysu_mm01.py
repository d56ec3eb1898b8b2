"""SYSU-MM01 from files: lists, labels, cameras, and what is refused."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torchvision.transforms import ToTensor

from promptreid import ModalBatch, PathBundle, host
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.evaluation.features import FeatureSet


def load(folder: Path, **kwargs: object) -> SYSUMM01:
    return SYSUMM01(root=str(folder.parent), transform=ToTensor(), verbose=False, **kwargs)


def test_splits_labels_and_cameras(noise_tree: Path) -> None:
    data = load(noise_tree)
    assert data.num_train_pids == 4
    assert Counter(pid for _, pid, _, _ in data.train) == dict.fromkeys(range(4), 12)
    assert {(pid, camid) for _, pid, camid, _ in data.query} == {(7, 2), (7, 5), (9, 2), (9, 5)}
    assert {camid for _, _, camid, _ in data.gallery} == {0, 1, 3, 4}
    for path, _, camid, _ in data.train + data.query + data.gallery:
        assert isinstance(path, PathBundle)
        assert path.camera == camid
        assert list(path.paths) == ["infrared" if camid in (2, 5) else "visible"]
        assert f"cam{camid + 1}" in path


def test_order_is_identity_camera_frame(noise_tree: Path) -> None:
    gallery = [str(path)[-17:] for path, *_ in load(noise_tree).gallery]
    assert gallery[:3] == ["cam1/0007/0001.jpg"[-17:], "cam1/0007/0002.jpg"[-17:], "cam2/0007/0001.jpg"[-17:]]
    assert gallery == sorted(gallery, key=lambda name: (name[5:9], name))


def test_indoor_has_cameras_1_and_2(noise_tree: Path) -> None:
    assert {camid for _, _, camid, _ in load(noise_tree, search="indoor").gallery} == {0, 1}


def test_the_folder_itself_is_a_root_too(noise_tree: Path) -> None:
    assert len(SYSUMM01(root=str(noise_tree), verbose=False).train) == 48


def test_items_are_modal_batches(noise_tree: Path) -> None:
    item = load(noise_tree, mode="query")[0]
    assert type(item["img"]) is ModalBatch
    assert item["img"]["images"].shape == (1, 3, 32, 16)
    assert item["img"]["modality"].tolist() == [1]
    assert item["img"]["camera"].item() == item["camid"] == 2


def test_data_manager_gives_balanced_batches(noise_tree: Path) -> None:
    manager = host.ImageDataManager(
        root=str(noise_tree.parent),
        sources="sysu_mm01",
        height=32,
        width=16,
        workers=0,
        batch_size_train=16,
        num_instances=8,
        train_sampler="RandomIdentitySampler",
        use_gpu=False,
    )
    batches = list(manager.train_loader)
    assert batches
    for batch in batches:
        table = Counter(zip(batch["pid"].tolist(), batch["img"]["modality"][:, 0].tolist(), strict=True))
        assert sorted(table.values()) == [4, 4, 4, 4]


def test_sum_with_a_data_set_of_torchreid(noise_tree: Path) -> None:
    ours = load(noise_tree)
    theirs = host.ImageDataset(
        [(str(path), pid, camid) for path, pid, camid, _ in ours.train],
        ours.query,
        ours.gallery,
        transform=ToTensor(),
        verbose=False,
    )
    merged = sum([ours, theirs])
    assert type(merged) is SYSUMM01
    assert (merged.num_train_pids, merged.num_datasets, len(merged)) == (8, 2, 96)
    assert merged[95]["img"]["modality"].tolist() == [0]
    assert merged[95]["pid"] == 7


def test_sum_of_two_of_ours_tells_cameras_apart(noise_tree: Path) -> None:
    merged = load(noise_tree) + load(noise_tree)
    assert {merged[index]["img"]["camera"].item() for index in range(len(merged))} == set(range(12))
    assert merged.num_cameras == 12


def test_combineall_trains_on_everything(noise_tree: Path) -> None:
    data = load(noise_tree, combineall=True)
    assert data.num_train_pids == 6
    assert torch.is_tensor(data[len(data) - 1]["img"]["images"])


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"SYSU-MM01 not found at .*set data\.root"):
        SYSUMM01(root=str(tmp_path))


def test_missing_id_list(noise_tree: Path) -> None:
    (noise_tree / "exp" / "test_id.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"exp/test_id\.txt: no such id list"):
        load(noise_tree)


@pytest.mark.parametrize("text", ["1,two,3", "", "1,1"])
def test_malformed_id_list(noise_tree: Path, text: str) -> None:
    (noise_tree / "exp" / "val_id.txt").write_text(text)
    with pytest.raises(ValueError, match=r"val_id\.txt"):
        load(noise_tree)


def test_identity_without_infrared_images(noise_tree: Path) -> None:
    for camera in (3, 6):
        shutil.rmtree(noise_tree / f"cam{camera}" / "0002")
    with pytest.raises(ValueError, match=r"0002.* has no infrared image"):
        load(noise_tree)


def test_identity_without_any_image(noise_tree: Path) -> None:
    for camera in range(1, 7):
        shutil.rmtree(noise_tree / f"cam{camera}" / "0002")
    with pytest.raises(ValueError, match=r"no image of identity 2"):
        load(noise_tree)


def test_identity_both_trained_and_tested(noise_tree: Path) -> None:
    (noise_tree / "exp" / "test_id.txt").write_text("7,4")
    with pytest.raises(ValueError, match=r"\[4\] are both trained and tested"):
        load(noise_tree)


def test_a_name_that_is_no_frame_is_reported(noise_tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = noise_tree / "cam1" / "0001" / "0001.jpg"
    shutil.copy(source, source.with_name("copy of 0001.jpg"))
    assert len(load(noise_tree).train) == 48
    assert "1 images left out" in caplog.text


def test_unknown_setting(noise_tree: Path) -> None:
    with pytest.raises(ValueError, match="outdoor"):
        load(noise_tree, search="outdoor")


def names(protocols: tuple[object, ...]) -> list[str]:
    return [protocol.name for protocol in protocols]


def test_protocols_start_with_the_chosen_setting(noise_tree: Path) -> None:
    settings = ["all 1-shot", "all 10-shot", "indoor 1-shot", "indoor 10-shot"]
    data = load(noise_tree)
    assert names(data.protocols) == [f"sysu-python {setting}" for setting in settings]
    assert names(data.named_protocols) == [f"sysu-mip-release {setting}" for setting in settings]
    assert names(load(noise_tree, search="indoor", shots=10).protocols) == [
        "sysu-python indoor 10-shot",
        "sysu-python indoor 1-shot",
    ]


def test_the_official_draw_joins_where_its_file_is(noise_tree: Path) -> None:
    assert "rand_perm_cam.mat" in load(noise_tree).missing_protocols["sysu-official"]
    table = np.empty((6, 1), dtype=object)
    for camera in range(6):
        table[camera, 0] = np.empty((1, 9), dtype=object)
        for pid in range(1, 10):
            rows = [[1, 2], [2, 1]] * 5 if pid in (7, 9) else np.zeros((0, 0))
            table[camera, 0][0, pid - 1] = np.array(rows)
    scipy.io.savemat(noise_tree / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": table})
    data = load(noise_tree)
    assert names(data.protocols)[4:6] == ["sysu-official all 1-shot", "sysu-official all 10-shot"]
    pids, camids = np.array([r[1] for r in data.gallery]), np.array([r[2] for r in data.gallery])
    first, second, *_ = data.protocols[4].trials(FeatureSet(None, pids, camids))
    assert [str(data.gallery[index][0])[-8:] for index in first] == ["0001.jpg"] * 8
    assert [str(data.gallery[index][0])[-8:] for index in second] == ["0002.jpg"] * 8


def test_a_broken_permutation_file_is_named(noise_tree: Path) -> None:
    (noise_tree / "exp" / "rand_perm_cam.mat").write_text("not MATLAB")
    with pytest.raises(ValueError, match=r"exp/rand_perm_cam\.mat"):
        load(noise_tree)
