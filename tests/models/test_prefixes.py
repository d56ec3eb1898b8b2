"""Backbone weights as other programs save them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from promptreid.methods.mip.model import build_mip
from promptreid.models.backbones.clip_image import clip_config, create_visual
from promptreid.models.backbones.clip_weights import fill_towers
from promptreid.models.backbones.vit import Backbone, create_vit
from promptreid.models.prefixes import usual_grid, without_prefix
from promptreid.models.weights import load_backbone, load_pretrained, read_state_dict

NAME = "vit_tiny_patch16_224"
SIZE: dict[str, Any] = {"depth": 2, "embed_dim": 16, "num_heads": 2}
ANCHOR = "patch_embed.proj.weight"


def vit(**changes: Any) -> Any:
    return create_vit(NAME, **{**SIZE, **changes})


def person_state(tokens: int, seed: int = 0) -> dict[str, Tensor]:
    """A ViT's weights with positions of a class token and so many others."""
    torch.manual_seed(seed)
    return {**vit().state_dict(), "pos_embed": torch.randn(1, 1 + tokens, 16)}


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    "prefix", ["", "base.", "backbone.", "module.", "model.", "encoder.", "visual.", "teacher.", "student.",
               "module.base.", "teacher.backbone.", "module.model.encoder."],
)  # fmt: skip
def test_known_prefixes_come_off_and_the_log_says_so(prefix: str, caplog: Any) -> None:
    state, model = person_state(196), vit()
    others = {"base.fc.weight": torch.ones(3, 16), "classifier.weight": torch.ones(3, 16)}
    with caplog.at_level(logging.INFO):
        report = load_backbone(model, {**under(prefix, state), **others})
    assert torch.equal(model.pos_embed, state["pos_embed"])
    assert torch.equal(model.blocks[1].mlp.fc2.weight, state["blocks.1.mlp.fc2.weight"])
    assert "classifier.weight" in report.unused
    assert (f"the prefix {prefix} is taken off" in caplog.text) == bool(prefix)


def test_of_teacher_and_student_the_teacher_is_taken(caplog: Any) -> None:
    student, teacher, model = person_state(196, 1), person_state(196, 2), vit()
    heads = {"student.head.mlp.0.weight": torch.ones(4, 16), "teacher.head.last_layer.weight_v": torch.ones(4, 4)}
    with caplog.at_level(logging.INFO):
        load_backbone(model, {**under("student.backbone.", student), **under("teacher.backbone.", teacher), **heads})
    assert torch.equal(model.cls_token, teacher["cls_token"])
    assert "['student.backbone.'] are left out" in caplog.text


def test_unknown_prefixes_stay_and_are_named() -> None:
    state = under("segmenter.", person_state(196))
    assert without_prefix(state, ANCHOR) == state
    with pytest.raises(ValueError, match=r"missing: .*cls_token"):
        load_backbone(vit(), state)


FILES = {
    "LUPerson": lambda state: {
        "state_dict": {**under("module.base.", state), "module.classifier.weight": torch.ones(4, 16)}
    },
    "TransReID-SSL": lambda state: {"teacher": under("module.backbone.", state)},
    "DINO": lambda state: {
        "student": under("module.backbone.", {name: value + 1 for name, value in state.items()}),
        "teacher": {
            **under("backbone.", state),
            "head.mlp.0.weight": torch.ones(4, 16),
            "head.mlp.0.bias": torch.ones(4),
        },
        "epoch": 100,
    },
    "DINO, its backbone alone": lambda state: state,
    "MoCo": lambda state: {"model": {**under("module.encoder.", state), "queue": torch.ones(4, 8)}},
}


@pytest.mark.parametrize(("tokens", "grid"), [(128, (16, 8)), (210, (21, 10))])
@pytest.mark.parametrize("name", FILES)
def test_person_backbones_start_a_model_at_256_x_128(name: str, tokens: int, grid: Any, tmp_path: Path) -> None:
    state = person_state(tokens)
    torch.save(FILES[name](state), tmp_path / "person.pth")
    stride = 16 if tokens == 128 else 12
    model = build_mip(
        3, backbone=NAME, vit=SIZE, stride=stride, image_size=(256, 128), weights=str(tmp_path / "person.pth")
    )
    assert model.backbone.grid == grid
    assert torch.equal(model.backbone.pos_embed, state["pos_embed"]), "exactly, on the grid that they were trained on"
    assert torch.equal(model.head.b1.block.mlp.fc1.weight, state["blocks.1.mlp.fc1.weight"])


def test_person_positions_are_resampled_to_other_images(tmp_path: Path) -> None:
    state = person_state(128)
    state["pos_embed"][:, 1:] = torch.arange(16.0).repeat_interleave(8)[None, :, None].expand(1, 128, 16)  # the row
    model = vit()
    load_backbone(model, state)
    trunk = Backbone(model, 2, stride=16, image_size=(512, 128))
    assert trunk.grid == (32, 8)
    rows = trunk.pos_embed[0, 1:, 0].unflatten(0, (32, 8))
    assert (rows == rows[:, :1]).all() and (rows[1:, 0] >= rows[:-1, 0]).all()


def test_grids_are_those_of_person_images_or_square() -> None:
    assert usual_grid(196, (16, 16)) == (14, 14)
    assert usual_grid(192, (16, 16)) == (24, 8)
    assert usual_grid(288, (16, 16)) == (24, 12)
    assert usual_grid(197, (16, 16)) is None


def test_positions_of_no_known_grid_are_named() -> None:
    with pytest.raises(ValueError, match=r"pos_embed is \(1, 198, 16\), not \(1, 197, 16\)"):
        load_backbone(vit(), person_state(197))


def test_clips_under_a_prefix() -> None:
    size = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    }
    towers: list[nn.Module] = [create_visual(clip_config("ViT-B-16-quickgelu", size)) for _ in range(2)]
    state = under("module.clip.visual.", towers[0].state_dict())
    fill_towers(towers[1], None, state, "clip.pth")
    assert all(torch.equal(a, b) for a, b in zip(towers[0].parameters(), towers[1].parameters(), strict=True))


def test_files_of_two_networks_are_read_as_the_teacher(tmp_path: Path) -> None:
    torch.save(FILES["DINO"](person_state(128)), tmp_path / "dino.pth")
    assert "head.mlp.0.bias" in read_state_dict(tmp_path / "dino.pth")
    model = vit()
    assert load_pretrained(model, NAME, tmp_path / "dino.pth") is not None
