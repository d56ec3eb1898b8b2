from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from dmpt_models import TOWER

from promptreid.models.backbones.clip_image import (
    ClipTower,
    clip_config,
    create_visual,
    import_open_clip,
    is_clip,
    quick_gelu,
)
from promptreid.models.frozen import Frozen

NAME = "ViT-B-16-quickgelu"


def visual(quick: bool = True, seed: int = 0, **changes):
    torch.manual_seed(seed)
    config = clip_config(NAME, {**TOWER, "quick_gelu": quick, "vision_cfg": {**TOWER["vision_cfg"], **changes}})
    return create_visual(config).eval()


def run(tower: ClipTower, images):
    tokens = tower.embed(images)
    for layer in range(tower.layers):
        tokens = tower.run(layer, tokens)
    return tower.read(tokens)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("changes", [{}, {"ls_init_value": 0.5}, {"no_ln_pre": True}, {"final_ln_after_pool": True}])
@torch.no_grad()
def test_it_is_open_clips_tower_at_its_own_size(quick, changes):
    theirs = visual(quick, **changes)
    images = torch.randn(3, 3, 64, 64)
    assert torch.allclose(run(ClipTower(copy.deepcopy(theirs)), images), theirs(images), atol=1e-5)


def resampled(theirs, rows, columns):
    """open_clip's tower with a position table resampled by hand."""
    theirs = copy.deepcopy(theirs)
    table = theirs.positional_embedding.detach()
    grid = table[1:].reshape(4, 4, -1).permute(2, 0, 1)[None]
    grid = F.interpolate(grid, size=(rows, columns), mode="bilinear", align_corners=False)
    table = torch.cat([table[:1], grid[0].permute(1, 2, 0).reshape(rows * columns, -1)])
    theirs.positional_embedding = torch.nn.Parameter(table)
    return theirs


@pytest.mark.parametrize(("size", "grid"), [((256, 128), (16, 8)), ((128, 256), (8, 16)), ((70, 40), (4, 2))])
@torch.no_grad()
def test_other_image_sizes_resample_the_positions(size, grid):
    theirs = visual()
    tower = ClipTower(copy.deepcopy(theirs))
    assert tower.grid_of(size) == grid
    images = torch.randn(2, 3, *size)
    for _ in range(2):  # the second time from the cache
        assert torch.allclose(run(tower, images), resampled(theirs, *grid)(images), atol=1e-5)


@torch.no_grad()
def test_overlapping_patches():
    theirs = resampled(visual(), 7, 4)
    theirs.conv1.stride = (8, 8)
    assert torch.allclose(run(ClipTower(visual(), stride=8), (x := torch.randn(2, 3, 64, 40))), theirs(x), atol=1e-5)


@torch.no_grad()
def test_the_cached_positions_follow_a_changed_table():
    tower = Frozen(ClipTower(visual())).module
    images = torch.randn(1, 3, 32, 64)
    before = tower.embed(images)
    tower.visual.positional_embedding.mul_(2)
    changed = tower.embed(images)
    assert not torch.equal(before, changed)
    tower.to(torch.bfloat16)
    assert tower.embed(images).dtype == torch.bfloat16


@pytest.mark.parametrize("reads", [1, 5, 16, 17])
@torch.no_grad()
def test_reading_fewer_tokens_gives_the_same_tokens(reads):
    tower, tokens = ClipTower(visual()), torch.randn(2, 17, 32)
    assert torch.allclose(tower.run(1, tokens, reads), tower.run(1, tokens)[:, :reads], atol=1e-6)


def test_side_information_is_added_to_the_class_token_alone():
    tower, images = ClipTower(visual(no_ln_pre=True)), torch.randn(2, 3, 64, 64)
    side = torch.randn(2, 1, 32)
    change = tower.embed(images, side) - tower.embed(images)
    assert torch.allclose(change[:, :1], side, atol=1e-6)
    assert change[:, 1:].abs().max() == 0


def test_quick_gelu():
    x = torch.linspace(-6, 6, 31, dtype=torch.double, requires_grad=True)
    assert torch.allclose(quick_gelu(x), x * torch.sigmoid(1.702 * x))
    assert torch.autograd.gradcheck(quick_gelu, (x,))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        quick_gelu(x)
    assert [t.data_ptr() for t in kept] == [x.data_ptr()], "it remembers its input and nothing else"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_quick_gelu_keeps_the_dtype(dtype):
    assert quick_gelu(torch.randn(4, dtype=dtype)).dtype == dtype


@torch.no_grad()
def test_precisions():
    images = torch.randn(2, 3, 64, 64)
    full = run(ClipTower(visual()), images)
    halved = run(Frozen(ClipTower(visual()), torch.bfloat16).module, images)
    assert halved.dtype == torch.float32
    assert F.cosine_similarity(full, halved).min() > 0.99
    assert run(ClipTower(visual()).double(), images.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        cast = run(ClipTower(visual()), images)
    assert cast.dtype == torch.float32
    assert F.cosine_similarity(full, cast).min() > 0.99


def test_norms_are_clips_not_timms():
    assert ClipTower(visual()).visual.transformer.resblocks[0].ln_1.eps == 1e-5


def test_random_towers_follow_the_seed():
    same, other = visual(seed=3), visual(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(visual(seed=3).parameters(), same.parameters(), strict=True))
    assert not torch.equal(same.proj, other.proj)


def test_names():
    assert is_clip(NAME)
    assert is_clip(f"{NAME}:openai")
    assert not is_clip("vit_base_patch16_224")
    assert clip_config(NAME)["vision_cfg"]["width"] == 768
    assert clip_config(NAME, {"vision_cfg": {"layers": 3}})["vision_cfg"] == {
        **clip_config(NAME)["vision_cfg"],
        "layers": 3,
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-17", "open_clip has no 'ViT-B-17'"),
        ("RN50", "not open_clip's ViT"),
        ("convnext_base", "not open_clip's ViT"),
    ],
)
def test_towers_that_do_not_suit(name, message):
    with pytest.raises(ValueError, match=message):
        clip_config(name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool_type": "avg"}, "not read from the class token"),
        ({"attentional_pool": True}, "not read from the class token"),
        ({"qk_norm": True}, "its blocks are"),
    ],
)
def test_towers_with_other_parts_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ClipTower(visual(**changes))
    with pytest.raises(ValueError, match="it is a Linear"):
        ClipTower(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="stride must be at least 1"):
        ClipTower(visual(), stride=0)


def test_an_image_smaller_than_a_patch():
    with pytest.raises(ValueError, match="smaller than a patch"):
        ClipTower(visual()).embed(torch.randn(1, 3, 64, 8))


def test_the_import_is_there():
    assert import_open_clip().__name__ == "open_clip"
