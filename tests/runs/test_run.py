"""Whole runs: what is written, that they repeat, resume and evaluate, and what bad input does."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import assert_same_run, small_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.methods.mip.model import MIP
from promptreid.runs.run import deterministic_kernels, run

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "configs" / "mip" / "quickstart.yaml"


def config(root: Path, save_dir: Path, **changes: Any) -> Any:
    tiny = {
        "data.root": str(root),
        "data.save_dir": str(save_dir),
        "data.synthetic.like": "",
        "data.workers": 0,
        "data.height": 64,
        "data.width": 32,
        "backbone.vit.depth": 2,
        "backbone.vit.embed_dim": 24,
        "backbone.vit.num_heads": 2,
        "mip.prompt_length": 2,
        "backbone.stride": 8,
        "train.max_epoch": 2,
        "train.tensorboard.pictures": False,
        "test.protocols": [],
        "train.warmup_epochs": 1,
        "train.batch_size": 16,
        "train.print_freq": 1,
    }
    return load_config(QUICKSTART, overrides={**tiny, **changes})


def weights(save_dir: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(checkpoint.checkpoints(save_dir / "model")[0])["state_dict"]


def assert_equal_weights(first: Path, second: Path) -> None:
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def finished(sysu_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    save_dir = tmp_path_factory.mktemp("runs") / "first"
    run(config(sysu_root, save_dir))
    return save_dir


def test_writes_config_log_scalars_results_and_checkpoints(finished: Path) -> None:
    assert load_config(finished / "config.yaml").train.max_epoch == 2
    log = (finished / "log.txt").read_text()
    assert "epoch 2/2" in log
    assert "[last] sysu-python all 1-shot (10 trials): R1" in log
    assert "chance: R1" in log
    results = json.loads((finished / "results-sysu_mm01.json").read_text())["results"]
    assert [result["protocol"] for result in results] == [
        "sysu-python all 1-shot",
        "sysu-python all 10-shot",
        "sysu-python indoor 1-shot",
        "sysu-python indoor 10-shot",
    ]
    events = EventAccumulator(str(finished)).Reload()
    tags = events.Tags()["scalars"]
    assert {"Train/loss", "Train/identity", "Train/triplet", "Train/iael", "Train/acc", "Train/lr"} <= set(tags)
    assert {"Test/sysu_mm01/rank1", "Test/sysu_mm01/sysu-python_indoor_1-shot/mINP"} <= set(tags)
    assert [path.name for path in checkpoint.checkpoints(finished / "model")] == ["model.pth.tar-2", "model.pth.tar-1"]


def test_the_same_seed_gives_the_same_run(finished: Path, sysu_root: Path, tmp_path: Path) -> None:
    run(config(sysu_root, tmp_path / "again"))
    assert_equal_weights(finished, tmp_path / "again")
    run(config(sysu_root, tmp_path / "other", **{"train.seed": 2}))
    assert not torch.equal(*(weights(path)["classifier.0.weight"] for path in (finished, tmp_path / "other")))


def test_a_resumed_run_ends_like_an_uninterrupted_one(finished: Path, sysu_root: Path, tmp_path: Path) -> None:
    save_dir = tmp_path / "run"
    shutil.copytree(finished, save_dir)
    (save_dir / "model" / "model.pth.tar-2").unlink()
    run(config(sysu_root, save_dir), resume="auto")
    assert_equal_weights(finished, save_dir)


def test_auto_resume_without_a_checkpoint_starts_anew(finished: Path, sysu_root: Path, tmp_path: Path) -> None:
    run(config(sysu_root, tmp_path / "run"), resume="auto")
    assert_equal_weights(finished, tmp_path / "run")


def test_auto_resume_without_a_checkpoint_reads_the_pretrained_weights(sysu_root: Path, tmp_path: Path) -> None:
    changes = {"model.pretrained": True, "backbone.weights": str(tmp_path / "none.pth")}
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        run(config(sysu_root, tmp_path / "run", **changes), resume="auto")


def test_a_resumed_run_does_not_need_them(finished: Path, sysu_root: Path, tmp_path: Path) -> None:
    """Neither by the argument nor by torchreid's key."""
    shutil.copytree(finished, tmp_path / "run")
    changes = {"model.pretrained": True, "backbone.weights": str(tmp_path / "none.pth")}
    run(config(sysu_root, tmp_path / "run", **changes), resume="auto")
    run(config(sysu_root, tmp_path / "run", **changes, **{"model.resume": str(tmp_path / "run")}))


def test_a_run_killed_before_its_final_test_is_only_tested(finished: Path, sysu_root: Path, tmp_path: Path) -> None:
    save_dir = tmp_path / "run"
    shutil.copytree(finished, save_dir)
    before = json.loads((save_dir / "results-sysu_mm01.json").read_text())["results"]
    (save_dir / "results-sysu_mm01.json").unlink()
    run(config(sysu_root, save_dir), resume="auto")
    assert json.loads((save_dir / "results-sysu_mm01.json").read_text())["results"] == before
    assert_equal_weights(finished, save_dir)


def test_eval_only_repeats_the_final_test(finished: Path, sysu_root: Path, tmp_path: Path) -> None:
    trained = json.loads((finished / "results-sysu_mm01.json").read_text())["results"]
    file = checkpoint.checkpoints(finished / "model")[0]
    tested = run(config(sysu_root, tmp_path / "eval", **{"model.load_weights": str(file)}), eval_only=True)
    assert [result.as_dict() for result in tested["sysu_mm01"]] == trained
    assert not list((tmp_path / "eval").glob("model"))


def test_eval_only_of_a_run_needs_no_path(finished: Path, sysu_root: Path, tmp_path: Path) -> None:
    save_dir = tmp_path / "run"
    shutil.copytree(finished, save_dir)
    assert run(config(sysu_root, save_dir), eval_only=True)["sysu_mm01"][0].num_valid > 0


def test_chosen_protocols_only(sysu_root: Path, finished: Path, tmp_path: Path) -> None:
    chosen = {
        "test.protocols": ["sysu-python indoor 1-shot"],
        "model.load_weights": str(finished / "model/model.pth.tar-2"),
    }
    results = run(config(sysu_root, tmp_path / "eval", **chosen), eval_only=True)["sysu_mm01"]
    assert [result.protocol for result in results] == chosen["test.protocols"]
    with pytest.raises(ValueError, match=r"test\.protocols 'nonsense': not one of .*sysu-python all 1-shot"):
        run(config(sysu_root, tmp_path / "eval", **{**chosen, "test.protocols": ["nonsense"]}), eval_only=True)


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "train_net.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def tool_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the tool, run in this process, which has imported torch already."""
    monkeypatch.setattr(sys, "argv", ["train_net.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "tools" / "train_net.py"), run_name="__main__")
    return int(caught.value.code or 0)


def quick(root: Path, save_dir: Path, *more: str) -> list[str]:
    cfg = ["data.root", str(root), "data.save_dir", str(save_dir), "data.synthetic.like", "", "data.workers", "0"]
    small = [
        "backbone.vit.depth",
        "2",
        "backbone.vit.embed_dim",
        "24",
        "backbone.vit.num_heads",
        "2",
        "data.height",
        "64",
        "data.width",
        "32",
        "train.max_epoch",
        "3",
        "train.warmup_epochs",
        "1",
        "train.batch_size",
        "16",
        "backbone.stride",
        "8",
    ]
    return ["--config-file", str(QUICKSTART), *cfg, *small, *more]


BAD = {
    "unknown key": (["train.learning_rate", "1"], "train.learning_rate"),
    "unknown model": (["model.name", "mip_vit_tini_patch16"], "mip_vit_tiny_patch16"),
    "unknown data set": (["data.sources", "['sysu_mm02']"], "sysu_mm01"),
    "P x K": (["train.batch_size", "30"], "train.batch_size 30 is not a multiple of sampler.num_instances 8"),
    "unknown twin": (["data.synthetic.like", "regbd"], "data.synthetic.like: 'regbd' is none of"),
    "missing folder": (["data.root", "/nonexistent"], "/nonexistent"),
    "image too small for JPM": (["data.height", "16"], "JPM cannot split"),
    "prompts beyond the model": (["mip.depth", "9"], "prompt_depth=9 is more than the 1 blocks"),
    "protocol without its file": (["test.protocols", "['sysu-official']"], "rand_perm_cam.mat"),
    "nothing to test": (["--eval-only"], "has no checkpoint: nothing to test"),
    "missing checkpoint": (["model.resume", "/nonexistent"], "/nonexistent"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(
    case: str, sysu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    more, expected = BAD[case]
    code = tool_here(monkeypatch, *quick(sysu_root, tmp_path / "run", *more))
    errors = capsys.readouterr().err
    assert code == 2, errors
    assert errors.startswith("error: ")
    assert len(errors.strip().splitlines()) == 1
    assert expected in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_truncated_image_ends_the_run_with_its_name(noise_tree: Path, tmp_path: Path, workers: str) -> None:
    for path in (noise_tree / "cam1").rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:300])
    done = tool(*quick(noise_tree.parent, tmp_path / "run", "data.workers", workers))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert ".jpg: cannot be decoded" in done.stderr


def test_missing_id_list_from_the_tool(
    noise_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (noise_tree / "exp" / "test_id.txt").unlink()
    assert tool_here(monkeypatch, *quick(noise_tree.parent, tmp_path / "run")) == 2
    assert "test_id.txt: no such id list" in capsys.readouterr().err


def test_deterministic_kernels_give_the_same_bits_and_are_not_left_on(small_root: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(small_config(small_root, tmp_path / name, **{"train.deterministic": True}))
        assert not torch.are_deterministic_algorithms_enabled()
    assert_same_run(tmp_path / "first", tmp_path / "second")
    with deterministic_kernels(True):
        assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cuda.flash_sdp_enabled()
        with deterministic_kernels(False):
            assert not torch.are_deterministic_algorithms_enabled() and torch.backends.cuda.flash_sdp_enabled()
        assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cuda.flash_sdp_enabled()


def test_a_frozen_weight_that_changed_ends_the_run_at_its_test(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_unchanged(self: object) -> None:
        raise ValueError("the frozen weights have changed")

    monkeypatch.setattr(MIP, "check_unchanged", check_unchanged, raising=False)
    with pytest.raises(ValueError, match="frozen weights have changed"):
        run(small_config(small_root, tmp_path / "run", **{"train.max_epoch": 1, "train.warmup_epochs": 0}))
    assert not list((tmp_path / "run").glob("results-*"))
