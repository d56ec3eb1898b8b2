"""RegDB from files: splits, directions, golden scores, torchreid's own engine, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_distance import distance
from PIL import Image
from torch import nn

from promptreid import PathBundle, host
from promptreid.data.manager import ModalDataManager
from promptreid.datasets.regdb import RegDB
from promptreid.engine.train_engine import PromptEngine
from promptreid.evaluation import FeatureSet


def load(folder: Path, **kwargs: Any) -> RegDB:
    return RegDB(root=str(folder.parent), verbose=False, **kwargs)


def labels(records: list) -> FeatureSet:
    """Labels as the protocols take them; ``scenes`` are the frame numbers of the file names."""
    frames = [int(Path(record[0]).name.split("_")[3]) for record in records]
    return FeatureSet(None, *(np.array([record[k] for record in records]) for k in (1, 2)), np.array(frames))


def replace_line(folder: Path, name: str, number: int, text: str) -> None:
    path = folder / "idx" / name
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines) + "\n")


def test_every_split_has_206_and_206_persons(whole_regdb: Path) -> None:
    firsts = set()
    for split_id in range(10):
        data = load(whole_regdb, split_id=split_id)
        assert data.num_train_pids == 206
        assert (len(data.train), len(data.query), len(data.gallery)) == (4120, 2060, 2060)
        tested = {Path(record[0]).parent.name for record in data.query}
        assert tested.isdisjoint(Path(record[0]).parent.name for record in data.train)
        assert data.protocols[0].name == f"regdb-split-{split_id + 1} visible-infrared"
        firsts.add(str(data.train[0][0]))
    assert len(firsts) == 10


def test_lines_become_records_in_file_order(whole_regdb: Path) -> None:
    data = load(whole_regdb, split_id=2)
    names = ("train_visible", "train_thermal", "test_visible", "test_thermal")
    lines = [(whole_regdb / "idx" / f"{name}_3.txt").read_text().splitlines() for name in names]
    for records, expected in ((data.train, lines[0] + lines[1]), (data.query, lines[2]), (data.gallery, lines[3])):
        found = [f"{Path(record[0]).relative_to(whole_regdb)} {record[1]}" for record in records]
        assert found == expected


def test_modalities_and_cameras(small_regdb: Path) -> None:
    data = load(small_regdb)
    for path, _, camid, _ in data.train + data.query + data.gallery:
        assert isinstance(path, PathBundle)
        assert list(path.paths) == [("visible", "infrared")[camid]]
        assert path.camera == camid == ("Thermal" in path)
    assert {camid for _, _, camid, _ in data.query} == {0}
    assert {camid for _, _, camid, _ in data.gallery} == {1}
    assert Counter(pid for _, pid, *_ in data.train) == dict.fromkeys(range(4), 6)


def test_golden_scores_through_parser_and_protocol(whole_regdb: Path) -> None:
    data = load(whole_regdb, split_id=6)
    query, gallery = labels(data.query), labels(data.gallery)
    distances = distance(query, gallery, same=0.02, room=False)
    result, swapped = (protocol.evaluate_distances(distances, query, gallery) for protocol in data.protocols)
    values = [*(result.rank(k) for k in (1, 5, 10, 20)), result.mAP, result.mINP]
    assert [round(100 * v, 4) for v in values] == [18.6893, 68.3981, 91.6019, 99.6117, 25.4361, 21.7040]
    assert (swapped.protocol, swapped.num_valid) == ("regdb-split-7 infrared-visible", 2060)


def test_torchreids_metric_agrees_in_both_directions(whole_regdb: Path) -> None:
    data = load(whole_regdb)
    query, gallery = labels(data.query[:400]), labels(data.gallery[:400])  # 40 persons; torchreid's is slow
    distances = distance(query, gallery, same=0.02, room=False)
    sides = ((distances, query, gallery), (distances.T, gallery, query))
    for protocol, (matrix, probe, pool) in zip(data.protocols, sides, strict=True):
        ours = protocol.evaluate_distances(distances, query, gallery)
        cmc, mean_ap = host.metrics.evaluate_rank(matrix, probe.pids, pool.pids, probe.camids, pool.camids,
                                                  use_cython=False)  # fmt: skip
        np.testing.assert_allclose(cmc, ours.cmc, rtol=1e-5)
        assert mean_ap == pytest.approx(ours.mAP)


def test_the_other_direction_has_the_sides_exchanged(small_regdb: Path) -> None:
    there, back = load(small_regdb), load(small_regdb, direction="infrared-visible")
    assert (there.query, there.gallery) == (back.gallery, back.query)
    assert [p.name for p in back.protocols] == [p.name for p in reversed(there.protocols)]


class Pixels(nn.Module):
    """The pixels themselves as features."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, batch: Any) -> torch.Tensor:
        return self.scale * batch["images"].flatten(1)


def test_torchreids_engine_and_ours_score_alike_in_both_directions(small_regdb: Path) -> None:
    for place, path in enumerate(sorted(small_regdb.glob("[VT]*/*/*.bmp"))):
        path.unlink()
        pixels = np.random.default_rng(place).integers(0, 256, (8, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    manager = host.ImageDataManager(root=str(small_regdb.parent), sources="regdb", targets=["regdb_v2i", "regdb_i2v"],
                                    height=8, width=4, workers=0, batch_size_train=4, use_gpu=False)  # fmt: skip
    model = Pixels().eval()
    theirs = host.ImageTripletEngine(manager, model, torch.optim.SGD(model.parameters(), 0.1), use_gpu=False)
    ours = PromptEngine(manager, model, torch.optim.SGD(model.parameters(), 0.1), use_gpu=False)
    scores = {}
    for name, loaders in manager.test_loader.items():
        arguments = {"dataset_name": name, "query_loader": loaders["query"], "gallery_loader": loaders["gallery"],
                     "ranks": [1]}  # fmt: skip
        scores[name] = theirs._evaluate(**arguments)
        assert ours._evaluate(**arguments) == pytest.approx(scores[name])
    # One extraction gives both rows: each name's second result is the other name's first.
    for name, other in (("regdb_v2i", "regdb_i2v"), ("regdb_i2v", "regdb_v2i")):
        second = ours.results[name][1]
        assert (second.rank(1), second.mAP) == pytest.approx(scores[other])


@pytest.mark.parametrize("split_id", [-1, 10, "1"])
def test_there_are_ten_splits(whole_regdb: Path, split_id: Any) -> None:
    with pytest.raises(ValueError, match=r"data\.split_id .* must be 0\.\.9"):
        load(whole_regdb, split_id=split_id)


def test_unknown_direction(small_regdb: Path) -> None:
    with pytest.raises(ValueError, match="direction: 'thermal-visible'"):
        load(small_regdb, direction="thermal-visible")


def test_missing_folder_and_missing_list(tmp_path: Path, small_regdb: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"RegDB not found at .*set data\.root"):
        RegDB(root=str(tmp_path / "elsewhere"))
    with pytest.raises(FileNotFoundError, match=r"idx/train_visible_2\.txt: no such list"):
        load(small_regdb, split_id=1)


def test_missing_image_is_named_with_its_line(small_regdb: Path) -> None:
    gone = sorted(small_regdb.glob("Thermal/*/*.bmp"))[0]
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=rf"_thermal_1\.txt:\d+: .*{gone.name}: no such image file \(1 of"):
        load(small_regdb)


@pytest.mark.parametrize(
    "line",
    ["Visible/1/a.bmp", "Visible/1/a.bmp one", "Visible/a.bmp 1", "Thermal/1/a.bmp 1", "/Visible/1/a.bmp 1",
     "Visible/../a.bmp 1", "Visible/1/a.bmp -1"],
)  # fmt: skip
def test_malformed_line_is_named(small_regdb: Path, line: str) -> None:
    replace_line(small_regdb, "test_visible_1.txt", 5, line)
    with pytest.raises(ValueError, match=r"test_visible_1\.txt:5: expected 'Visible/<person>/<file> <label>'"):
        load(small_regdb)


def test_empty_list(small_regdb: Path) -> None:
    (small_regdb / "idx" / "train_thermal_1.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"train_thermal_1\.txt: holds no line"):
        load(small_regdb)


def test_image_named_twice(small_regdb: Path) -> None:
    first = (small_regdb / "idx" / "train_visible_1.txt").read_text().splitlines()[0]
    replace_line(small_regdb, "train_visible_1.txt", 2, first)
    with pytest.raises(ValueError, match=r"train_visible_1\.txt:2: .* is named twice, first in .*txt:1$"):
        load(small_regdb)


def test_lists_that_disagree_on_a_label(small_regdb: Path) -> None:
    path = small_regdb / "idx" / "test_thermal_1.txt"
    path.write_text(path.read_text().replace(" 0\n", " 9\n").replace(" 1\n", " 0\n").replace(" 9\n", " 1\n"))
    with pytest.raises(
        ValueError, match=r"test_thermal_1\.txt:1: person \d has label 1 here, but .*visible_1\.txt:4 gives "
    ):
        load(small_regdb)


def test_person_with_two_labels(small_regdb: Path) -> None:
    for name in ("test_visible_1.txt", "test_thermal_1.txt"):
        path = small_regdb / "idx" / name
        path.write_text(path.read_text().replace(" 0\n", " 4\n", 1))
    with pytest.raises(ValueError, match=r"visible_1\.txt:2: person (\d) has label 0 here, .* label 4 to person \1;"):
        load(small_regdb)


def test_person_in_one_list_only(small_regdb: Path) -> None:
    path = small_regdb / "idx" / "test_thermal_1.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[3:]))
    with pytest.raises(
        ValueError, match=r"test_thermal_1\.txt: no line has label 0, which .*test_visible_1\.txt:1 has"
    ):
        load(small_regdb)


def test_labels_with_a_gap(small_regdb: Path) -> None:
    for name in ("train_visible_1.txt", "train_thermal_1.txt"):
        path = small_regdb / "idx" / name
        path.write_text(path.read_text().replace(" 3\n", " 20261231\n"))
    with pytest.raises(ValueError, match=r"train_visible_1\.txt: no line has label 3; labels have to be 0\.\.3"):
        load(small_regdb)


def test_person_both_trained_and_tested(small_regdb: Path) -> None:
    for side in ("visible", "thermal"):
        lists = small_regdb / "idx"
        (lists / f"test_{side}_1.txt").write_text((lists / f"train_{side}_1.txt").read_text())
    with pytest.raises(ValueError, match=r"test_visible_1\.txt:1: person \d is trained on too \(.*train_visible_1"):
        load(small_regdb)


def test_batches_have_the_releases_number_on_regdb(small_regdb: Path) -> None:
    """Three images with K = 2: a chunk of two and one that is filled up."""
    manager = ModalDataManager(
        root=str(small_regdb.parent), sources="regdb", height=16, width=8, workers=0, use_gpu=False,
        train_sampler="CrossModalSampler", batch_size_train=4, num_instances=4,
    )  # fmt: skip
    assert len(manager.train_loader) == 4 * 2
