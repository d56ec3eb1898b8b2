"""Every tower of docs/towers.md computes what timm or open_clip does; the list says what is true of it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from small_towers import SMALL, final_tokens, small_sizes, small_vit, stir, tower_of
from torch import Tensor, nn

from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.backbones.clip_image import clip_config, create_visual, has_plain_text, import_open_clip
from promptreid.models.backbones.timm_parts import Readout
from promptreid.models.backbones.towers import TimmTower
from promptreid.models.backbones.vit import create_vit, import_timm
from promptreid.models.frozen import Frozen

PAGE = (Path(__file__).parents[3] / "docs" / "towers.md").read_text(encoding="utf-8")
ROWS = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if "| `" in line]
TIMM = {row[1]: row for row in ROWS if len(row) == 13}
OPEN_CLIP = {row[0]: row for row in re.findall(r"^\| `([\w-]+)` \| (.+?) \| (\d+) \| (yes|no)", PAGE, re.MULTILINE)}
ROTARY = ("vit_small_patch16_dinov3", "eva02_base_patch16_clip_224", "vit_pe_core_tiny_patch16_384")


def test_the_list_is_read() -> None:
    assert len(TIMM) > 30 and len(OPEN_CLIP) == 8
    assert {*ROTARY} <= {*TIMM}


def skip_what_timm_lacks(name: str) -> None:
    if not import_timm().is_model(name):
        pytest.skip(f"this timm has no {name}")


@pytest.mark.parametrize("name", TIMM)
@torch.no_grad()
def test_tokens_and_feature_are_timms(name: str) -> None:
    skip_what_timm_lacks(name)
    vit = small_vit(name)
    images = torch.randn(2, 3, *(2 * [small_sizes(name)["img_size"]]), generator=torch.Generator().manual_seed(1))
    expected = copy.deepcopy(vit).forward_features(images)
    as_class = TIMM[name][11] == "class"
    feature = expected[:, 0] if as_class else copy.deepcopy(vit).forward_head(expected, pre_logits=True)
    tower: Any = Frozen(TimmTower(vit)).module
    tokens = final_tokens(tower, images)
    assert torch.allclose(tower.norm(tokens), expected, atol=1e-5)
    assert torch.allclose(tower.read(tokens), feature, atol=1e-5)
    assert tower.reads_all != as_class and expected.std() > 0.1
    if as_class:  # what the last block does not compute is not read
        form = BlockForm(tower.turns(images.shape[-2:], images.device))
        before = tower.embed(images)
        for layer in range(tower.layers - 1):
            before = tower.run(layer, before, form=form)
        assert torch.allclose(tower.read(tower.run(tower.layers - 1, before, 1, form)), feature, atol=1e-5)


@pytest.mark.parametrize("row", [row for row in ROWS if len(row) == 13], ids=lambda row: f"{row[1]}.{row[2]}")
def test_what_the_list_says(row: list[str]) -> None:
    name = row[1]
    skip_what_timm_lacks(name)
    timm = import_timm()
    with torch.device("meta"):
        vit = create_vit(name, 0.0)
    tower = TimmTower(vit)
    size = sum(value.numel() for value in vit.parameters()) / 1e6
    positions = [
        word for word, has in (("learned", vit.pos_embed), ("rotary", getattr(vit, "rope", None))) if has is not None
    ]
    config = timm.get_pretrained_cfg(f"{name}.{row[2]}")
    assert row[3] == config.license
    assert row[4:11] == [
        f"{size:.1f}", str(tower.dim), str(tower.layers), str(vit.patch_embed.patch_size[0]),
        str(vit.patch_embed.img_size[0]), str(tower.prefix), " + ".join(positions),
    ]  # fmt: skip
    assert tower.has_class or row[11] != "class"
    assert row[12] == {0.5: "0.5", 0.485: "ImageNet", 0.48145466: "CLIP", 0.0: "none"}[config.mean[0]]


@pytest.mark.parametrize("name", OPEN_CLIP)
@torch.no_grad()
def test_names_of_open_clip(name: str) -> None:
    _, trunk, width, text = OPEN_CLIP[name]
    config = clip_config(name)
    assert (str(config["embed_dim"]), config["vision_cfg"].get("timm_model_name")) == (
        width, trunk.strip("`") if trunk.startswith("`") else None,
    )  # fmt: skip
    assert has_plain_text(config) == (text == "yes")


@pytest.mark.parametrize("name", ["EVA02-B-16", "ViT-B-16-SigLIP2", "PE-Core-B-16"])
@torch.no_grad()
def test_open_clips_towers_of_timm_are_open_clips(name: str) -> None:
    import_open_clip()
    from open_clip.timm_model import TimmModel

    config = clip_config(name)
    vision = config["vision_cfg"]
    sizes = small_sizes("pe_core" if name.startswith("PE") else "")
    width = 24 if vision["timm_proj"] is None else SMALL["embed_dim"]
    config = clip_config(name, {"embed_dim": width, "vision_cfg": {"timm_sizes": sizes}})
    visual: Any = create_visual(config).eval()
    stir(visual)
    # open_clip gives its wrapper no way to make the trunk smaller, so it gets this one.
    theirs = TimmModel.__new__(TimmModel)
    nn.Module.__init__(theirs)
    theirs.trunk, theirs.head = copy.deepcopy(visual.trunk), nn.Sequential()
    images = torch.randn(2, 3, 64, 64)
    tower = tower_of(visual.trunk)
    assert torch.allclose(tower.read(final_tokens(tower, images)), theirs(images), atol=1e-5)
    assert tower.out_dim == width == theirs(images).shape[1]


@pytest.mark.parametrize("size", [(64, 32), (32, 80), (48, 64)])
@torch.no_grad()
def test_rotary_positions_follow_the_image(size: tuple[int, int]) -> None:
    for name in ROTARY:
        vit = small_vit(name, img_size=size, **({} if "dinov3" in name else {"use_abs_pos_emb": False}))
        expected = copy.deepcopy(vit).forward_features(images := torch.randn(2, 3, *size))
        square = create_vit(
            name, 0.0, **{**small_sizes(name), **({} if "dinov3" in name else {"use_abs_pos_emb": False})}
        )
        square.load_state_dict(vit.state_dict())
        tower = tower_of(square)
        assert torch.allclose(tower.norm(final_tokens(tower, images)), expected, atol=1e-5)
        assert tower.grid_of(size) == (size[0] // 16, size[1] // 16)


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_base_patch16_siglip_224", *ROTARY])
def test_prompts_have_no_place_and_get_gradients(name: str) -> None:
    tower = Frozen(TimmTower(small_vit(name))).module
    side = small_sizes(name)["img_size"]
    images = torch.randn(2, 3, side, side // 2)
    prompts = torch.randn(1, 3, 48, requires_grad=True)
    feature = tower.read(final_tokens(tower, images, prompts))
    assert not torch.allclose(feature, tower.read(final_tokens(tower, images)), atol=1e-3)
    assert torch.allclose(feature, tower.read(final_tokens(tower, images, prompts.flip(1))), atol=1e-5), "any order"
    assert torch.equal(tower.read(final_tokens(tower, images, prompts[:, :0])), tower.read(final_tokens(tower, images)))
    feature.square().sum().backward()
    assert prompts.grad is not None and bool((prompts.grad.abs().sum(dim=2) > 0).all())


def test_patches_that_turn_are_told_apart_by_their_place() -> None:
    """Without learned positions, equal patches in two places are the same but for their turns."""
    tower, images = tower_of(small_vit("vit_small_patch16_dinov3")), torch.randn(1, 3, 64, 32)
    mirrored = images.unflatten(3, (2, 16)).flip(3).flatten(3)  # the two columns of patches change places
    with torch.no_grad():
        feature, other = (tower.read(final_tokens(tower, each)) for each in (images, mirrored))
    assert not torch.allclose(feature, other, atol=1e-4)


@torch.no_grad()
def test_half_precision_keeps_the_angles() -> None:
    images = torch.randn(2, 3, 64, 32)
    full = tower_of(small_vit("vit_small_patch16_dinov3"))
    half: Any = Frozen(TimmTower(small_vit("vit_small_patch16_dinov3")), torch.bfloat16).module
    assert half.turns((64, 32), images.device).dtype == torch.float32
    assert torch.equal(half.turns((64, 32), images.device), full.turns((64, 32), images.device))
    found, expected = (tower.read(final_tokens(tower, images)) for tower in (half, full))
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_turns_made_without_gradients_serve_training() -> None:
    tower = tower_of(small_vit("vit_small_patch16_dinov3"))
    with torch.inference_mode():
        final_tokens(tower, torch.randn(1, 3, 64, 32))
    prompts = torch.randn(1, 2, 48, requires_grad=True)
    final_tokens(tower, torch.randn(1, 3, 64, 32), prompts).sum().backward()
    assert prompts.grad is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ROTARY)
@torch.no_grad()
def test_turns_can_be_compiled_and_exported(name: str) -> None:
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = tower_of(small_vit(name))

        def forward(self, images: Tensor) -> Tensor:
            return self.tower.read(final_tokens(self.tower, images))

    images, programs = torch.randn(2, 3, 64, 32), []
    for make in (
        lambda model: torch.compile(model, backend="eager", fullgraph=True),
        lambda model: torch.export.export(model, (images,)).module(),
    ):
        programs.append(make(Reading().eval())(images))  # of a model that has seen no image before
    assert all(torch.allclose(found, Reading().eval()(images), atol=1e-6) for found in programs)


def test_a_mean_or_a_pool_skips_the_prefix() -> None:
    gap = create_vit("vit_medium_patch16_reg4_gap_256", 0.0, **SMALL, img_size=64)
    assert Readout(gap).whole
    tokens = torch.randn(2, 4 + 16, 48)
    changed = tokens.clone()
    changed[:, :4] += 1
    readout = Readout(gap)
    assert torch.equal(readout(tokens), readout(changed)), "registers are not part of the mean"
    pooled = small_vit("vit_so150m_patch16_reg4_map_256")
    with torch.no_grad():
        expected = copy.deepcopy(pooled).forward_head(tokens, pre_logits=True)
        assert torch.equal(Readout(pooled)(tokens), expected)
        assert torch.equal(Readout(pooled)(changed), expected), "nor are they pooled"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_small_patch16_rope_mixed_224", "its rotary positions are a RotaryEmbeddingMixed"),
        ("beit3_base_patch16_224", "its blocks are Block with Attention"),
        ("swin_tiny_patch4_window7_224", "it is a SwinTransformer"),
    ],
)
def test_others_are_refused_by_name(name: str, message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=f"'{name}' cannot be prompted: {message}.*towers.md"):
        create_vit(name)
