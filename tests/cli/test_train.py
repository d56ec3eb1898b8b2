"""The command line that trains."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from command_line import REPO, promptreid

from promptreid.engine.train_engine import PromptEngine

QUICKSTART = REPO / "configs" / "mip" / "quickstart.yaml"
SMALL = ["data.height", "64", "data.width", "32", "data.workers", "0", "data.synthetic.like", "",
         "backbone.stride", "8", "backbone.vit.depth", "2", "backbone.vit.embed_dim", "24",
         "backbone.vit.num_heads", "2", "mip.prompt_length", "2", "train.max_epoch", "1",
         "train.warmup_epochs", "0", "train.batch_size", "56"]  # fmt: skip


def run(root: Path, save_dir: Path, *arguments: object) -> int:
    return promptreid("train", "mip/quickstart", "--root", root, *SMALL, "data.save_dir", save_dir, *arguments)


def test_a_run_is_refused_a_second_time_unless_overwritten(
    sysu_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(sysu_root, tmp_path / "run") == 0
    assert run(sysu_root, tmp_path / "run") == 2
    assert "--resume" in capsys.readouterr().err
    assert run(sysu_root, tmp_path / "run", "--overwrite") == 0
    assert (tmp_path / "run.1" / "results-sysu_mm01.json").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_gives_its_exit_code_and_resume_goes_on(
    number: int, code: int, sysu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = PromptEngine.forward_backward

    def interrupted(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
        os.kill(os.getpid(), number)
        return step(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PromptEngine, "forward_backward", interrupted)
        assert run(sysu_root, tmp_path / "run") == code
    assert (tmp_path / "run" / "model" / "model.pth.tar-0-1").exists()
    assert run(sysu_root, tmp_path / "run", "--resume") == 0
    assert (tmp_path / "run" / "model" / "model.pth.tar-1").exists()


def test_seeds(sysu_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(sysu_root, tmp_path / "run", "--seeds", "2") == 0
    assert "mean of 2 trainings" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "seeds.json").read_text())["seeds"] == [1, 2]
    assert run(sysu_root, tmp_path / "run", "--seeds", "2", "--eval-only") == 2
    assert "--splits and --seeds train" in capsys.readouterr().err


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What the runs would have been: each configuration, and how it is run."""
    seen: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("promptreid.runs.run.run", lambda cfg, **how: seen.append((cfg, how)))
    return seen


def test_lists_end_before_a_key(calls: list[tuple[Any, dict[str, Any]]]) -> None:
    words = (
        "--config-file {} -s sysu_mm01 regdb_v2i data.root a --transforms random_flip random_crop train.lr 1 -t llcm"
    )
    assert promptreid("train", *words.format(QUICKSTART).split(), "data.workers", "3", "data.root", "b") == 0
    ((cfg, _),) = calls
    assert cfg.data.sources == ["sysu_mm01", "regdb_v2i"] and cfg.data.targets == ["llcm"]
    assert cfg.data.transforms == ["random_flip", "random_crop"]
    assert (cfg.train.lr, cfg.data.workers, cfg.data.root) == (1.0, 3, "b"), "the last one of a key wins"


def test_a_list_as_in_yaml(calls: list[tuple[Any, dict[str, Any]]]) -> None:
    assert promptreid("train", "data.transforms", "[random_flip]", "train.stepsize", "[60, 80]") == 0
    ((cfg, _),) = calls
    assert cfg.data.transforms == ["random_flip"] and cfg.train.stepsize == [60, 80]


def test_resume_takes_no_value_and_resume_from_does(calls: list[tuple[Any, dict[str, Any]]], tmp_path: Path) -> None:
    assert promptreid("train", "--resume", "data.save_dir", tmp_path) == 0
    assert promptreid("train", "data.save_dir", "new", "--resume-from", tmp_path) == 0
    assert promptreid("train", "--resume", QUICKSTART) == 0
    (first, how), (second, other), (third, _) = calls
    assert first.data.save_dir == str(tmp_path) and how["resume"] == "auto"
    assert second.data.save_dir == "new" and other["resume"] == str(tmp_path)
    assert third.model.name == "mip_vit_tiny_patch16"


@pytest.mark.parametrize("words", [["--resume", "{}"], ["--resume={}"], ["--seeds", "2", "--resume", "{}"]])
def test_the_old_value_of_resume_is_an_error_that_names_the_new_option(
    words: list[str], calls: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert promptreid("train", *(word.format(tmp_path) for word in words)) == 2
    error = capsys.readouterr().err
    assert f"write --resume-from {tmp_path}" in error and error.count("\n") == 1 and not calls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.root"], "'data.root' stands alone"),
        (["mip/quickstart", "data.root"], "'data.root' stands alone"),
        (["train.lrr", "1"], "did you mean 'train.lr'"),
        (["mip/quikstart"], "nearest of these are mip/quickstart"),
        (["quickstart"], "mip/quickstart"),
        (["nothing.yaml"], "no configuration file nothing.yaml"),
        (["tests"], "is no run's folder: it has no config.yaml"),
        (
            ["mip/quickstart", "--config-file", "x.yaml"],
            "two configurations, --config-file x.yaml and 'mip/quickstart'",
        ),
        (["--resume", "--resume-from", "x"], "not allowed with argument --resume"),
        (["--sources"], "expected at least one argument"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, calls: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(REPO)
    assert promptreid("train", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1 and not calls


def test_overlays_are_names_or_files_and_pairs_win(calls: list[tuple[Any, dict[str, Any]]], tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("train: {seed: 99, print_freq: 7}\n")
    given = ["mip/sysu_mm01", "--overlay", "profiles/8gb", "train.seed", "3", "--overlay", own]
    assert promptreid("train", *given) == 0
    ((cfg, _),) = calls
    assert (cfg.train.amp, cfg.train.seed, cfg.train.print_freq, cfg.train.batch_size) == (True, 3, 7, 64)


def test_an_overlay_that_cannot_be_laid_is_one_line(calls: list[Any], tmp_path: Path, capsys) -> None:
    (tmp_path / "config.yaml").write_text("train: {seed: 7}\n")
    for overlay, message in ((tmp_path, "is a run's folder, of which every key"), ("profiles/9gb", "profiles/8gb")):
        assert promptreid("train", "mip/quickstart", "--overlay", overlay) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1 and not calls


def test_a_run_folder_means_that_run(calls: list[tuple[Any, dict[str, Any]]], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data:\n  save_dir: where/it/was\ntrain:\n  seed: 7\n")
    assert promptreid("train", tmp_path, "--resume") == 0
    assert promptreid("train", tmp_path, "data.save_dir", "again") == 0
    assert [(cfg.data.save_dir, cfg.train.seed) for cfg, _ in calls] == [(str(tmp_path), 7), ("again", 7)]
