"""The command line that writes features."""

from __future__ import annotations

from pathlib import Path

from command_line import REPO, promptreid

from promptreid.evaluation.features_io import load_features

SMALL = ["data.height", "64", "data.width", "32", "data.workers", "0", "data.synthetic.like", "",
         "backbone.stride", "8", "backbone.vit.depth", "2", "backbone.vit.embed_dim", "24",
         "backbone.vit.num_heads", "2", "mip.prompt_length", "2",
         "train.max_epoch", "1", "train.warmup_epochs", "0", "train.batch_size", "16"]  # fmt: skip


def test_from_a_trained_run_to_a_score(sysu_root: Path, tmp_path: Path, capsys) -> None:
    given = ["--config-file", REPO / "configs" / "mip" / "quickstart.yaml", "--root", sysu_root]
    opts = [*SMALL, "data.save_dir", tmp_path / "run"]
    assert promptreid("train", *given, *opts) == 0
    printed_by_the_run = capsys.readouterr()
    out = tmp_path / "features.safetensors"
    assert promptreid("extract", "--out", out, *given, *opts) == 0
    printed = capsys.readouterr().out
    assert f"features each, in {out}" in printed and "--metric euclidean" in printed
    assert load_features(out).modalities == (["infrared"], ["visible"])
    assert promptreid("evaluate", out, "--protocol", "sysu-python all 1-shot") == 0
    line = capsys.readouterr().out.strip()
    assert line in printed_by_the_run.out + printed_by_the_run.err


def test_a_suffix_that_cannot_be_written_is_told_at_once(capsys, tmp_path: Path) -> None:
    assert promptreid("extract", "--out", tmp_path / "f.pkl", "--config-file", "none.yaml") == 2
    assert "files of features end in .npz, .safetensors, .parquet" in capsys.readouterr().err
