"""Images that cannot be read: who stands for them in training, and what a test is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from triple_sets import Plain, Triples, register, write_triples

from promptreid import host
from promptreid.data.bad_images import UNREADABLE, item_or_other
from promptreid.data.image_files import ImageError
from promptreid.data.images import read_image
from promptreid.data.manager import ModalDataManager
from promptreid.data.packing import files_of
from promptreid.data.transforms import Augmentation

SYSU = {"sources": "sysu_mm01", "train_sampler": "CrossModalSampler", "batch_size_train": 8, "num_instances": 4}
CHAINS = Augmentation(visible=["random_flip", "pad_crop"], infrared=["pixel_erase"], second_visible=True)


def manager(root: Path, **changes: Any) -> ModalDataManager:
    common = {"root": str(root), "height": 24, "width": 12, "use_gpu": False, "workers": 0, "seed": 5,
              "on_bad_image": "skip", **SYSU}  # fmt: skip
    return ModalDataManager(**{**common, **changes})


def epoch_of(data: ModalDataManager, epoch: int = 0, start: int = 0) -> list[dict[str, Any]]:
    data.set_epoch(epoch, start)
    return list(data.train_loader)


def break_images(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).write_bytes((folder / name).read_bytes()[:200])
    return [str(folder / name) for name in names]


def assert_same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert (one["impath"], one[UNREADABLE]) == (other["impath"], other[UNREADABLE])
        assert torch.equal(one["img"]["images"], other["img"]["images"])


def test_another_image_of_the_identity_and_modality_stands_for_it(noise_tree: Path) -> None:
    bad = break_images(noise_tree, "cam1/0002/0001.jpg", "cam3/0002/0002.jpg")
    data = manager(noise_tree.parent, augment=CHAINS)
    met: Counter[str] = Counter()
    for batch in (batch for epoch in range(4) for batch in epoch_of(data, epoch)):
        assert len(batch["impath"]) == 12  # 2 identities, K = 2: two infrared images and two visible ones twice
        for number, (path, reason) in enumerate(zip(batch["impath"], batch[UNREADABLE], strict=True)):
            assert path not in bad
            if reason:
                missed = reason.split(": ")[0]
                met[missed] += 1
                assert "cannot be decoded" in reason
                assert Path(path).parent.name == Path(missed).parent.name == "0002"
                infrared = Path(missed).parts[-3] in ("cam3", "cam6")
                assert batch["img"]["modality"][number].item() == infrared
        for pid in batch["pid"].unique():
            assert sorted(batch["img"]["modality"][batch["pid"] == pid].flatten().tolist()) == [0, 0, 0, 0, 1, 1]
    assert {*met} == {*bad}


def test_the_choice_is_of_seed_epoch_and_index_whatever_the_workers_and_the_start(noise_tree: Path) -> None:
    break_images(noise_tree, "cam1/0002/0001.jpg", "cam3/0002/0002.jpg", "cam4/0001/0001.jpg")
    whole = [epoch_of(manager(noise_tree.parent, augment=CHAINS), epoch) for epoch in range(3)]
    assert any(any(batch[UNREADABLE]) for epoch in whole for batch in epoch)
    again = manager(noise_tree.parent, augment=CHAINS, workers=1)
    assert_same(whole[2], epoch_of(again, 2))
    assert_same(whole[1][1:], epoch_of(again, 1, start=1))


def test_readable_data_are_what_they_are_without_the_key(noise_tree: Path) -> None:
    skipping, stopping = (
        epoch_of(manager(noise_tree.parent, augment=CHAINS, on_bad_image=how)) for how in ("skip", "stop")
    )
    assert all(UNREADABLE not in batch for batch in stopping)
    assert not any(any(batch[UNREADABLE]) for batch in skipping)
    assert_same(
        skipping, [{**batch, UNREADABLE: other[UNREADABLE]} for batch, other in zip(stopping, skipping, strict=True)]
    )


def test_an_identity_without_another_image_is_an_error(noise_tree: Path) -> None:
    bad = break_images(noise_tree, *(f"cam{camera}/0002/000{frame}.jpg" for camera in (3, 6) for frame in (1, 2)))
    (noise_tree / "cam6/0002/0002.jpg").unlink()
    data = manager(noise_tree.parent)
    missed = r"0002/000\d\.jpg: .*\(data\.on_bad_image skip found no other image of its identity and modality"
    with pytest.raises(ImageError, match=missed):
        epoch_of(data)
    assert len(bad) == 4


def test_a_file_that_vanishes_after_it_was_listed_counts_too(noise_tree: Path) -> None:
    data, stopping = manager(noise_tree.parent), manager(noise_tree.parent, on_bad_image="stop")
    (noise_tree / "cam1/0001/0001.jpg").unlink()
    reasons = {reason for epoch in range(4) for batch in epoch_of(data, epoch) for reason in batch[UNREADABLE]}
    assert any("cam1/0001/0001.jpg: no such image file" in reason for reason in reasons)
    with pytest.raises(FileNotFoundError, match="no such image file"):
        for epoch in range(4):
            epoch_of(stopping, epoch)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_test_item_is_blank_and_says_why(workers: int, noise_tree: Path) -> None:
    data = manager(noise_tree.parent, workers=workers)
    query = data.test_loader["sysu_mm01"]["query"]
    (bad,) = break_images(noise_tree, str(Path(files_of(query.dataset.data)[1]).relative_to(noise_tree)))
    batches = list(query)
    reasons = [reason for batch in batches for reason in batch[UNREADABLE]]
    assert [bool(reason) for reason in reasons] == [path == bad for path in files_of(query.dataset.data)]
    images = torch.cat([batch["img"]["images"] for batch in batches])
    assert images[1].std(dim=(-1, -2)).max() < 1e-6 < images[0].std(dim=(-1, -2)).min()


def test_a_triple_with_one_bad_image_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, triples=Triples)
    root = write_triples(tmp_path)
    data = manager(root, sources="triples", train_sampler="IdentitySampler", batch_size_train=4, num_instances=2)
    dataset = data.train_loader.dataset
    path, pid, *_ = dataset.data[0]
    thermal = str(path.paths["thermal_infrared"])
    Path(thermal).write_bytes(b"broken")
    item = dataset[0]
    assert item[UNREADABLE].startswith(f"{thermal}: not an image")
    assert item["pid"] == pid and item["impath"] != path and bool(item["img"]["present"].any())


def test_no_random_state_is_touched_by_the_choice() -> None:
    def item(index: int) -> dict[str, Any]:
        if index != 7:
            raise ImageError("x.jpg: broken")
        return {"index": index}

    state = torch.get_rng_state()
    found = [item_or_other(item, 0, lambda: list(range(1, 9)), seed) for seed in (None, 0, 3)]
    assert found == [{"index": 7, UNREADABLE: "x.jpg: broken"}] * 3
    assert torch.equal(torch.get_rng_state(), state)


def test_torchreids_own_data_sets_cannot_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(host._DATASETS, "plain", Plain)
    write_triples(tmp_path)
    with pytest.raises(ValueError, match=r"data\.on_bad_image: Plain isn't multi-modal; leave this key unset"):
        manager(tmp_path, sources="plain", train_sampler="RandomSampler")


def test_unknown_ways_are_refused(noise_tree: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.on_bad_image: unknown name 'ignore' \(one of stop, skip\)"):
        manager(noise_tree.parent, on_bad_image="ignore")
    with pytest.raises(ValueError, match=r"data\.start_method: unknown name 'thread'"):
        manager(noise_tree.parent, start_method="thread")
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
        with pytest.raises(ValueError, match=r"data\.start_method fork: this platform has spawn; leave it empty"):
            manager(noise_tree.parent, start_method="fork")


def test_the_start_method_is_that_of_all_loaders(noise_tree: Path) -> None:
    data = manager(noise_tree.parent, start_method="forkserver", workers=1)
    loaders = [data.train_loader, *data.test_loader["sysu_mm01"].values()]
    assert [loader.multiprocessing_context.get_start_method() for loader in loaders] == ["forkserver"] * 3
    assert read_image(files_of(data.train_loader.dataset.data)[0]).mode == "RGB"
    assert manager(noise_tree.parent, start_method="spawn").train_loader.multiprocessing_context is None
