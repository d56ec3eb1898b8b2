"""Several splits in a row: one training each, resumable, averaged, and never tested on each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import promptreid
from PIL import Image
from small_runs import assert_same_run, small_config

from promptreid import host
from promptreid.config import load_config
from promptreid.runs.evaluate_several import evaluate_several
from promptreid.runs.run import run
from promptreid.runs.splits_and_seeds import parse_splits, run_several, summarise

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def regdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RegDB with two splits of eight persons, three images per person and modality."""
    folder = tmp_path_factory.mktemp("reid-data") / "RegDB"
    rng = np.random.default_rng(0)
    (folder / "idx").mkdir(parents=True)
    for modality in ("Visible", "Thermal"):
        for person in range(1, 9):
            (folder / modality / str(person)).mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / modality / str(person) / f"v_{number}.bmp")
        for split, train in ((1, (1, 2, 3, 4)), (2, (3, 4, 5, 6))):
            halves = {"train": train, "test": [person for person in range(1, 9) if person not in train]}
            for half, persons in halves.items():
                lines = [f"{modality}/{p}/v_{n}.bmp {label}" for label, p in enumerate(persons) for n in range(3)]
                (folder / "idx" / f"{half}_{modality.lower()}_{split}.txt").write_text("\n".join(lines) + "\n")
    return folder.parent


def config(root: Path, save_dir: Path, **changes: object) -> object:
    tiny = {
        "data.root": str(root), "data.save_dir": str(save_dir), "data.synthetic.like": "", "data.workers": 0,
        "data.sources": ["regdb"], "data.targets": ["regdb"], "data.height": 32, "data.width": 16,
        "backbone.vit.depth": 2, "backbone.vit.embed_dim": 8, "backbone.vit.num_heads": 2, "backbone.stride": 4,
        "mip.prompt_length": 1,
        "train.max_epoch": 2,
        "train.tensorboard.pictures": False,
        "test.protocols": [], "train.warmup_epochs": 1, "train.batch_size": 8, "sampler.num_instances": 4,
    }  # fmt: skip
    return load_config(ROOT / "configs" / "mip" / "quickstart.yaml", overrides={**tiny, **changes})


@pytest.fixture(scope="module")
def trained(regdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "regdb"
    run_several(config(regdb, folder), [1, 2])
    return folder


def test_each_split_is_trained_in_its_folder_and_averaged(trained: Path) -> None:
    record = json.loads((trained / "splits.json").read_text())
    assert record["splits"] == [1, 2]
    assert sorted(record["results"]) == ["regdb-split-* infrared-visible", "regdb-split-* visible-infrared"]
    single = [json.loads((trained / f"split-{k}" / "results-regdb.json").read_text())["results"][0] for k in (1, 2)]
    maps = [result["mAP"] for result in single]
    scores = record["results"]["regdb-split-* visible-infrared"]["mAP"]
    assert scores["mean"] == pytest.approx(np.mean(maps))
    assert scores["sd"] == pytest.approx(np.std(maps, ddof=1))
    assert "mean of 2 trainings" in (trained / "splits.txt").read_text()


def test_finished_splits_are_passed_over_and_the_open_one_continued(trained: Path, regdb: Path, tmp_path: Path) -> None:
    folder = tmp_path / "regdb"
    shutil.copytree(trained, folder)
    first = (folder / "split-1" / "results-regdb.json").stat().st_mtime_ns
    (folder / "split-2" / "results-regdb.json").unlink()
    (folder / "split-2" / "model" / "model.pth.tar-2").unlink()
    assert run_several(config(regdb, folder), [1, 2]) == json.loads((trained / "splits.json").read_text())["results"]
    assert (folder / "split-1" / "results-regdb.json").stat().st_mtime_ns == first


@pytest.mark.parametrize("how", ["weights", "resume", "folder"])
def test_a_model_is_not_tested_on_another_split(trained: Path, regdb: Path, tmp_path: Path, how: str) -> None:
    file = str(trained / "split-1" / "model" / "model.pth.tar-2")
    changes = {"data.split_id": 1, **({"model.load_weights": file} if how == "weights" else {})}
    folder = trained / "split-1" if how == "folder" else tmp_path / "run"
    with pytest.raises(ValueError, match=r"trained on regdb split 1, and regdb split 2 tests identities of that"):
        run(config(regdb, folder, **changes), eval_only=how != "resume", resume=file if how == "resume" else None)


def test_on_its_own_split_it_is(trained: Path, regdb: Path, tmp_path: Path) -> None:
    file = str(trained / "split-2" / "model" / "model.pth.tar-2")
    changes = {"data.split_id": 1, "model.load_weights": file}
    assert run(config(regdb, tmp_path / "run", **changes), eval_only=True)["regdb"][0].num_valid == 12


def test_parse() -> None:
    assert parse_splits("1-3,7, 9-10") == [1, 2, 3, 7, 9, 10]
    assert parse_splits("4") == [4]
    for text in ("0-3", "3-1", "a", "", "1-", "-2"):
        with pytest.raises(ValueError, match="--splits"):
            parse_splits(text)


def test_one_run_has_no_spread(trained: Path) -> None:
    scores = summarise([trained / "split-1"])
    assert {score["sd"] for protocol in scores.values() for score in protocol.values()} == {0.0}


@pytest.fixture(scope="module")
def seeded(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "seeds"
    run_several(small_config(small_root, folder, **{"train.seed": 5}), seeds=2)
    return folder


def test_each_seed_is_trained_in_its_folder_and_averaged(seeded: Path, small_root: Path, tmp_path: Path) -> None:
    record = json.loads((seeded / "seeds.json").read_text())
    (protocol,) = record["results"]
    assert (record["splits"], record["seeds"], record["selection"]) == ([], [5, 6], {protocol: "last"})
    single = [json.loads((seeded / f"seed-{k}" / "results-sysu_mm01.json").read_text())["results"][0] for k in (5, 6)]
    scores = record["results"][protocol]["mAP"]
    assert scores["mean"] == pytest.approx(np.mean([result["mAP"] for result in single]))
    assert scores["sd"] == pytest.approx(np.std([result["mAP"] for result in single], ddof=1))
    assert f"[last] {protocol}, mean of 2 trainings: rank1 " in (seeded / "seeds.txt").read_text()
    run(small_config(small_root, tmp_path / "alone", **{"train.seed": 6}))
    assert_same_run(seeded / "seed-6", tmp_path / "alone")


def test_more_seeds_are_added_to_those_that_are_there(seeded: Path, small_root: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(seeded, tmp_path / "seeds"))
    before = (folder / "seed-5" / "results-sysu_mm01.json").stat().st_mtime_ns
    cfg = small_config(small_root, folder, **{"train.seed": 5})
    run_several(cfg, seeds=3)
    assert json.loads((folder / "seeds.json").read_text())["seeds"] == [5, 6, 7]
    assert (folder / "seed-5" / "results-sysu_mm01.json").stat().st_mtime_ns == before


def test_finished_trainings_of_another_configuration_are_not_averaged(seeded: Path, small_root: Path) -> None:
    with pytest.raises(
        ValueError, match=r"seed-5 is finished, with another configuration \(train\.lr: 0\.001, now 0\.5"
    ):
        run_several(small_config(small_root, seeded, **{"train.seed": 5, "train.lr": 0.5}), seeds=2)


def test_a_test_of_a_running_training_does_not_finish_it(small_root: Path, tmp_path: Path) -> None:
    part = small_config(small_root, tmp_path / "seed-5", **{"train.seed": 5})
    run(part)
    (tmp_path / "seed-5" / "model" / "model.pth.tar-2").unlink()
    run(part, eval_only=True)
    run_several(small_config(small_root, tmp_path, **{"train.seed": 5}), seeds=1)
    assert (tmp_path / "seed-5" / "model" / "model.pth.tar-2").exists()


def test_all_seeds_are_tested_and_averaged_as_in_their_training(
    seeded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(seeded, tmp_path / "seeds"))
    trained = json.loads((folder / "seeds.json").read_text())
    capsys.readouterr()
    for path in (folder / "seeds.json", *folder.glob("seed-*/results-*.json")):
        path.unlink()
    assert promptreid("evaluate", folder) == 0
    assert json.loads((folder / "seeds.json").read_text()) == trained
    lines = capsys.readouterr().out
    assert lines.count("sysu-python indoor 1-shot (") == 2 and lines.count("mean of 2 trainings: rank1") == 1


def test_trainings_that_are_missing_are_named(seeded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(seeded, tmp_path / "seeds"))
    before = (folder / "seed-5" / "results-sysu_mm01.json").stat().st_mtime_ns
    shutil.rmtree(folder / "seed-6")
    (folder / "seed-7").mkdir()
    assert promptreid("evaluate", folder) == 2
    assert "2 of 3 trainings have no checkpoint (seed-6, seed-7): train them with" in capsys.readouterr().err
    assert (folder / "seed-5" / "results-sysu_mm01.json").stat().st_mtime_ns == before


def test_splits_times_seeds(regdb: Path, tmp_path: Path) -> None:
    summary = run_several(
        config(regdb, tmp_path / "both", **{"train.max_epoch": 1, "train.warmup_epochs": 0}), [1, 2], 2
    )
    folders = sorted(str(path.parent.relative_to(tmp_path / "both")) for path in tmp_path.rglob("results-regdb.json"))
    assert folders == [f"split-{split}/seed-{seed}" for split in (1, 2) for seed in (1, 2)]
    maps = [
        json.loads((tmp_path / "both" / folder / "results-regdb.json").read_text())["results"][0]["mAP"]
        for folder in folders
    ]
    assert summary["regdb-split-* visible-infrared"]["mAP"]["mean"] == pytest.approx(np.mean(maps))
    assert json.loads((tmp_path / "both" / "splits.json").read_text())["seeds"] == [1, 2]
    shutil.rmtree(tmp_path / "both" / "split-2" / "seed-1")
    with pytest.raises(ValueError, match=r"1 of 4 trainings have no checkpoint \(split-2/seed-1\)"):
        evaluate_several(tmp_path / "both")


def test_no_seed_is_an_error(small_root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--seeds 0: train with at least one"):
        run_several(small_config(small_root, tmp_path), seeds=0)


@pytest.mark.parametrize("name", ["sysu_mm01", "llcm", "rgbnt201", "market1501_as_triples"])
def test_splits_of_a_data_set_that_has_one_are_refused(name: str, tmp_path: Path) -> None:
    places = {"data.sources": [name], "data.targets": [name], "data.save_dir": str(tmp_path / "run")}
    with pytest.raises(ValueError, match=f"--splits: {name} has a single split, .* --seeds N"):
        run_several(load_config(overrides=places), [1, 2, 3])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["regdb", "regdb_i2v", "viper", "viper_as_triples", "cuhk03"])
def test_data_sets_with_splits_are_known(name: str) -> None:
    assert host.takes_split(name)
