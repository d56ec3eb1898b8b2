"""Released checkpoints, converted and tested like any other."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from released import as_batch, draw_images, draw_state, release_shapes

from promptreid import host
from promptreid.config import load_config, validate
from promptreid.methods.mip.convert import Conversion, convert_mip_release, summary
from promptreid.methods.mip.released_model import mip_from_release
from promptreid.models.weights import LoadReport, read_state_dict
from promptreid.runs.run import run

# 395 identities and 6 cameras as in SYSU-MM01; a ViT of 4 blocks, 128 channels and so 2 heads, for images of 64 x 32.
SHAPES = {"classes": 395, "cameras": 6, "dim": 128, "blocks": 4, "patches": 7 * 3, "patch": 16, "deep": 4}
SETTINGS: dict[str, Any] = {"stride": 8, "image_size": (64, 32)}


def released(path: Path, **changes: Any) -> Path:
    """A released checkpoint as DataParallel saves it."""
    state = draw_state("e2e", release_shapes(**{**SHAPES, **changes}))
    torch.save({f"module.{name}": value.float() for name, value in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("released") / "transformer_best.pth")


@pytest.fixture(scope="module")
def converted(checkpoint: Path) -> Conversion:
    return convert_mip_release(checkpoint, checkpoint.parent / "new" / "mip_sysu.safetensors", **SETTINGS)


def test_the_new_files_hold_the_model(converted: Conversion) -> None:
    assert sorted(path.name for path in converted.weights.parent.iterdir()) == ["mip_sysu.safetensors", "mip_sysu.yaml"]
    assert (converted.size.classes, converted.size.dim, converted.size.depth) == (395, 128, 4)
    assert converted.dataset == "sysu_mm01"
    cfg = load_config(converted.config)
    validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    assert (cfg.mip.preset, cfg.mip.query, cfg.backbone.stride, cfg.data.height, cfg.data.width) == (
        "mip_release", "zero", 8, 64, 32,
    )  # fmt: skip
    assert dict(cfg.backbone.vit) == {"depth": 4, "embed_dim": 128, "num_heads": 2, "patch_size": 16}
    assert (cfg.data.sources, cfg.data.targets, cfg.test.normalize_feature) == (["sysu_mm01"], ["sysu_mm01"], True)


@pytest.mark.parametrize("switches", [{}, {"queries": "learned", "iael": True}])
def test_the_run_tests_the_converted_model(
    checkpoint: Path, sysu_root: Path, tmp_path: Path, switches: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The data has 14 training identities, the checkpoint 395: the classifiers stay out, and the log says so."""
    done = convert_mip_release(checkpoint, tmp_path / "mip", **SETTINGS, **switches)
    tested: list[torch.nn.Module] = []
    monkeypatch.setattr("promptreid.runs.run.build_engine", keep_model(tested))
    opts = {"model.load_weights": str(done.weights), "data.root": str(sysu_root), "data.workers": 0,
            "data.save_dir": str(tmp_path / "run")}  # fmt: skip
    with caplog.at_level(logging.INFO):
        results = run(load_config(done.config, overrides=opts), eval_only=True)["sysu_mm01"]
    assert results[0].num_valid > 0
    assert "unused classifier.0.weight: shape (395, 128), the model's is (14, 128)" in caplog.text
    images, modality, camera = draw_images("e2e", (3, 3, 64, 32)).float(), [0, 1, 1], [5, 0, 3]
    batch = as_batch(images, modality, camera)
    expected, _ = mip_from_release(read_state_dict(checkpoint), **SETTINGS, **switches)
    assert torch.equal(tested[0].cpu().eval()(batch), expected(batch))


def keep_model(kept: list[torch.nn.Module]) -> Any:
    from promptreid.runs.build import build_engine

    def build(cfg: Any, datamanager: Any, model: torch.nn.Module, use_gpu: bool) -> Any:
        kept.append(model)
        return build_engine(cfg, datamanager, model, use_gpu)

    return build


def test_regdb_is_told_by_its_cameras_which_the_release_counts_the_other_way(tmp_path: Path) -> None:
    """Thermal is camera 0 there and 1 here."""
    source = released(tmp_path / "regdb.pth", classes=206, cameras=2)
    done = convert_mip_release(source, tmp_path / "regdb", **SETTINGS)
    assert (done.dataset, load_config(done.config).data.targets) == ("regdb", ["regdb"])
    there = read_state_dict(source)["base.sie_embed"][:, 0]
    assert torch.equal(read_state_dict(done.weights)["sie.table"], there.flip(0))


def test_a_full_size_checkpoint_needs_no_further_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By shapes alone: the tensors are one number, expanded."""
    state = {name: torch.zeros(()).expand(shape) for name, shape in release_shapes().items()}
    monkeypatch.setattr("promptreid.methods.mip.convert.read_state_dict", lambda path: state)
    monkeypatch.setattr("promptreid.methods.mip.convert.save", lambda state: b"")
    monkeypatch.setattr("promptreid.methods.mip.convert._own_memory", lambda state: state)
    done = convert_mip_release("transformer_best.pth", tmp_path / "mip")
    cfg = load_config(done.config)
    assert (cfg.data.height, cfg.data.width, cfg.backbone.stride, cfg.model.name) == (
        256,
        128,
        12,
        "mip_vit_base_patch16",
    )
    assert set(cfg.backbone.vit.values()) == {None}


BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another data set": ({}, {"dataset": "regdb"}, "base.sie_embed has 6 cameras, which is not regdb"),
    "no known data set": ({"cameras": 9}, {}, "base.sie_embed has 9 cameras, which is not a known data set"),
    "another image size": ({}, {"image_size": (128, 64)}, "base.pos_embed is for 21 patches"),
    "other heads": ({}, {"num_heads": 3}, "num_heads: 128 channels cannot be split into heads by 3"),
    "few prompts": ({"deep": 0}, {}, "base.deep_prompt_embeddings has shape"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_fit_is_named_and_nothing_is_written(case: str, tmp_path: Path) -> None:
    shapes, settings, message = BROKEN[case]
    source = released(tmp_path / "in.pth", **shapes)
    with pytest.raises(ValueError, match=message):
        convert_mip_release(source, tmp_path / "new" / "mip", **{**SETTINGS, **settings})
    assert list(tmp_path.iterdir()) == [source]


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        convert_mip_release(tmp_path / "none.pth", tmp_path / "mip")


@pytest.mark.parametrize("name", ["mip.safetensors", "mip.yaml"])
def test_nothing_is_overwritten(checkpoint: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(FileExistsError, match=name):
        convert_mip_release(checkpoint, tmp_path / "mip", **SETTINGS)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_failure_while_writing_leaves_neither_file(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptreid.methods.mip.convert._yaml", lambda tree, source: "not bytes")
    with pytest.raises(TypeError):
        convert_mip_release(checkpoint, tmp_path / "mip", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_the_summary_counts_by_reason() -> None:
    report = LoadReport(["a", "b"], {"c.0": "odd", "c.1": "odd", "d": "even"})
    assert summary(report).splitlines() == [
        "2 tensors used, 3 unused, 0 missing",
        "  unused, 2: c.0 to c.1: odd",
        "  unused, 1: d: even",
    ]


def test_pooling_by_a_block_goes_into_the_configuration(tmp_path: Path) -> None:
    done = convert_mip_release(released(tmp_path / "a.pth", pooled=True), tmp_path / "new", iael=True, **SETTINGS)
    assert load_config(done.config).mip.iael_pooling == "query"
    assert "prompt_head.reader.block.norm1.weight" in read_state_dict(done.weights)
