"""MIP on frozen towers and on those of CLIP and DINO: what is trained, what is saved, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchreid
from host_data import manager
from safetensors.torch import save_file
from small_towers import small_sizes, stir
from torch import Tensor

from promptreid.config.load import load_config
from promptreid.methods.baselines.vits import transreid, vit_reid
from promptreid.methods.mip.method import mip_options
from promptreid.methods.mip.model import MIP, build_mip
from promptreid.methods.mip.options import MIPOptions, mip_paper, mip_release
from promptreid.models.backbones.vit_by_name import create_body
from promptreid.models.frozen import weights_digest
from promptreid.models.inspection import rollout

DINO3, DINO2, CLIP = "vit_small_patch16_dinov3", "vit_small_patch14_reg4_dinov2", "vit_base_patch16_clip_quickgelu_224"
EVA = "eva02_base_patch16_clip_224"
POOLED = ("vit_base_patch16_siglip_224", "eva02_tiny_patch14_224", "vit_pe_core_tiny_patch16_384")
OPTIONS: dict[str, Any] = {"prompt_length": 2, "prompt_dropout": 0.0, "jpm_divide": 2}


def build(backbone: str, options: MIPOptions | None = None, loss: str = "prompt", seed: int = 0, **changes: Any) -> MIP:
    torch.manual_seed(seed)
    stride = 14 if "patch14" in backbone else 16
    settings = {"stride": stride, "drop_path": 0.0, "cameras": 3, "vit": small_sizes(backbone), **changes}
    options = options or mip_paper(frozen=True, **OPTIONS)
    return build_mip(5, loss, pretrained=False, backbone=backbone, options=options, **settings)


def samples(size: tuple[int, int] = (64, 32), count: int = 6) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "images": torch.randn(count, 1, 3, *size, generator=generator),
        "modality": (torch.arange(count) % 2)[:, None],
        "camera": torch.arange(count) % 3,
        "present": torch.ones(count, 1, dtype=torch.bool),
    }


def learn(model: MIP, batch: dict[str, Tensor]) -> None:
    output = model.train()(batch)
    parts = (*output["logits"], *output["features"], *output["prompt_logits"])
    sum(part.square().sum() for part in parts).backward()


@pytest.mark.parametrize("options", [mip_paper(**OPTIONS), mip_release(**{**OPTIONS, "skipped_blocks": 0})])
def test_frozen_it_computes_what_it_computed(tiny_mip: Callable[..., Any], batch: Any, options: MIPOptions) -> None:
    from dataclasses import replace

    free, frozen = (tiny_mip(options=replace(options, frozen=flag)) for flag in (False, True))
    for one, two in zip(free.train()(batch)["logits"], frozen.train()(batch)["logits"], strict=True):
        assert torch.equal(one, two)
    with torch.no_grad():
        assert torch.equal(free.eval()(batch), frozen.eval()(batch))


@pytest.mark.parametrize("backbone", [DINO3, DINO2, CLIP, EVA, "vit_tiny_patch16_224"])
def test_all_but_the_tower_learns(backbone: str) -> None:
    model = build(backbone)
    stir(model)
    learn(model, samples())
    lacking = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert [name for name in lacking if not name.endswith("bias")] == [], "only keys' biases have none"
    assert model.check_unchanged()
    names = [name for name in model.state_dict() if name.startswith("backbone.")]
    assert names == ["backbone.digest"]
    assert not any(module.training for module in model.backbone.modules())


@pytest.mark.parametrize("backbone", POOLED)
@pytest.mark.parametrize("frozen", [True, False])
def test_towers_that_pool_need_no_class_token(backbone: str, frozen: bool) -> None:
    model = build(backbone, mip_paper(**{**OPTIONS, "jpm": False, "frozen": frozen}))
    stir(model)
    learn(model, samples())
    lacking = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert [name for name in lacking if not name.endswith("bias")] == []
    assert model.eval().feature_maps(samples()).shape[:2] == (6, 48)
    with pytest.raises(ValueError, match="not read from a class token"):
        model.inspect(samples())


@pytest.mark.parametrize("backbone", [DINO3, CLIP])
def test_the_same_towers_can_be_tuned(backbone: str) -> None:
    model = build(backbone, mip_paper(**OPTIONS))
    stir(model)
    learn(model, samples())
    missing = [name for name, value in model.named_parameters() if value.grad is None]
    assert not missing
    again = build(backbone, mip_paper(**OPTIONS), seed=1)
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(samples()), model.eval()(samples()))


@torch.no_grad()
def test_without_prompts_and_heads_of_its_own_it_is_the_bare_tower() -> None:
    """The linear probe's descriptor before the BNNeck is timm's feature, registers, turns, layer scales and all."""
    for backbone in (DINO3, DINO2, CLIP, EVA, *POOLED):
        torch.manual_seed(0)
        vit = create_body(backbone, 0.0, pretrained=False, vit=small_sizes(backbone))
        stir(vit)
        side = small_sizes(backbone)["img_size"]
        batch = samples((side, side))
        tokens = vit.eval().forward_features(batch["images"][:, 0])
        expected = vit.forward_head(tokens, pre_logits=True) if backbone in POOLED else tokens[:, 0]
        stride = vit.patch_embed.patch_size[0]
        model = MIP(vit, 5, options=vit_reid(frozen=True, frozen_heads=True), stride=stride).eval()
        assert torch.allclose(model(batch), expected, atol=1e-5), backbone


def test_a_linear_probe_trains_the_neck_and_the_classifier_alone() -> None:
    model = build(DINO3, vit_reid(frozen=True, frozen_heads=True))
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"necks", "classifier"}
    learn(model, samples())
    assert model.check_unchanged()
    assert {name for name in model.state_dict() if "digest" in name} == {"backbone.digest", "head.digest"}


@torch.no_grad()
def test_shuffled_patches_keep_their_places() -> None:
    """A run of JPM in the order of the image is the class token's reading of these patches where they are."""
    from promptreid.models.backbones.partial_block import Context, context_block

    model = build(DINO3, transreid(sie="none", jpm_divide=2, jpm_shift=1, jpm_groups=1)).eval()
    stir(model)
    images = samples()["images"][:, 0]
    tokens, _ = model._trunk(images, torch.zeros(6, dtype=torch.int64), torch.zeros(6, dtype=torch.int64))
    turns = model.trunk.turns((64, 32), images.device)
    assert turns is not None
    head: Any = model.feature_head
    places = [slice(5, 9), slice(9, 13)]
    for local, place in zip(head(tokens, 5, turns)[1:], places, strict=True):
        context = [Context(tokens[:, place], turns=turns[place])]
        expected = head.b2.norm(context_block(head.b2.block, tokens[:, :1], context))[:, 0]
        assert torch.allclose(local, expected, atol=1e-5)
        assert not torch.allclose(local, head.b2.norm(context_block(head.b2.block, tokens[:, :1], [
            Context(tokens[:, place], turns=turns[5:9].flip(0))]))[:, 0], atol=1e-4)  # fmt: skip


def test_the_generator_reads_patches_at_their_places() -> None:
    model = build(DINO3)
    generator: Any = model.instance_prompts
    patches, turns = torch.randn(2, 8, 48), model.trunk.turns((64, 32), torch.device("cpu"))
    assert turns is not None
    first, other = (generator(patches, each).tokens for each in (turns[5:], turns[5:].flip(0)))
    assert not torch.allclose(first, other, atol=1e-6)
    assert all(bool((value == 1).all()) for name, value in generator.named_parameters() if "gamma" in name)


def test_recomputed_blocks_give_the_same_gradients() -> None:
    gradients = []
    for recomputed in (False, True):
        model = build(DINO3)
        model.checkpoint_blocks = recomputed
        learn(model, samples())
        gradients.append([value.grad for value in model.parameters() if value.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 20
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(*gradients, strict=True))


@torch.no_grad()
def test_inspection_of_a_frozen_dinov3() -> None:
    model, batch = build(DINO3).eval(), samples()
    stir(model)
    before = model(batch)
    inspection = model.inspect(batch, "all")
    assert torch.equal(model(batch), before)
    assert dict(inspection.layers[0].families) == {
        "class": (0, 1), "registers": (1, 5), "patches": (5, 13), "modality": (13, 15), "instance": (15, 17),
    }  # fmt: skip
    assert rollout(inspection).shape == (6, 4, 2) and inspection.grid == (4, 2)
    assert model.feature_maps(batch).shape == (6, 48, 4, 2)
    assert model.without(["instance"]).check_unchanged()


def test_an_epoch_of_torchreids_engine_leaves_the_tower_alone(sysu_root: Path, tmp_path: Path) -> None:
    data = manager(sysu_root)

    def built(seed: int = 0) -> MIP:
        torch.manual_seed(seed)
        vit = small_sizes(DINO3)
        options = mip_paper(frozen=True, **OPTIONS)
        return build_mip(
            data.num_train_pids, "triplet", pretrained=False, backbone=DINO3, options=options, stride=16, vit=vit
        )

    model = built()
    before = weights_digest(model.backbone.module)
    start = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torchreid.optim.build_optimizer(model, optim="adam", lr=0.01)
    scheduler = torchreid.optim.build_lr_scheduler(optimizer, stepsize=5)
    engine = torchreid.engine.ImageTripletEngine(data, model, optimizer, scheduler=scheduler, use_gpu=False)
    engine.run(save_dir=str(tmp_path), max_epoch=1, print_freq=100, ranks=[1])
    assert weights_digest(model.backbone.module) == before and model.check_unchanged()
    trained = {
        name.partition(".")[0] for name, value in model.named_parameters() if not torch.equal(value, start[name])
    }
    assert trained == {"sie", "modality_prompts", "instance_prompts", "head", "necks", "classifier"}
    checkpoint = tmp_path / "model" / "model.pth.tar-1"
    saved = torch.load(checkpoint, weights_only=False)["state_dict"]
    assert [name for name in saved if name.startswith("backbone")] == ["backbone.digest"]
    again = built()
    assert torchreid.utils.resume_from_checkpoint(str(checkpoint), again) == 1
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    with pytest.raises(RuntimeError, match="trained on other frozen weights"):
        torchreid.utils.load_pretrained_weights(built(seed=1), str(checkpoint))


@torch.no_grad()
def test_image_sizes_do_not_change_the_digest() -> None:
    one, two = (build(CLIP, image_size=size) for size in ((64, 32), (32, 64)))
    assert torch.equal(one.backbone.digest, two.backbone.digest)
    assert one.eval()(samples((32, 64))).shape == two.eval()(samples((64, 32))).shape == (6, 3 * 48)


@torch.no_grad()
def test_open_clips_tower_in_timms_form(tmp_path: Path) -> None:
    from promptreid.models.backbones.bundled_towers import MINI_CLIP, mini_state
    from promptreid.models.backbones.clip_image import ClipTower, clip_config, create_visual

    body, images = create_body("mini_clip", 0.0).eval(), torch.randn(2, 3, 128, 64)
    visual = create_visual(clip_config("ViT-B-16-quickgelu", MINI_CLIP)).eval()
    state = {name.removeprefix("visual."): value for name, value in mini_state("mini_clip").items()}
    visual.load_state_dict({name: state[name] for name in visual.state_dict()})
    tower: Any = ClipTower(visual)
    tokens = tower.embed(images)
    for layer in range(tower.layers):
        tokens = tower.run(layer, tokens)
    found = body.forward_features(images)
    assert torch.allclose(found, visual.ln_post(tokens), atol=1e-5)
    assert torch.allclose(found[:, 0] @ visual.proj, tower.read(tokens), atol=1e-5)


@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu", "EVA02-B-16", "ViT-B-16-SigLIP2"])
def test_names_and_files_of_open_clip(name: str, tmp_path: Path) -> None:
    from promptreid.models.backbones.clip_image import clip_config, create_visual

    sizes = {"depth": 3, "embed_dim": 48, "num_heads": 3, "img_size": 64}
    vision = {"layers": 3, "width": 48, "head_width": 16, "image_size": 64}
    changes = vision if "quickgelu" in name else {"timm_sizes": sizes}
    visual = create_visual(clip_config(name, {"vision_cfg": changes})).eval()
    stir(visual)
    state = {f"visual.{key}": value for key, value in visual.state_dict().items()}
    save_file({**state, "text.ln_final.weight": torch.ones(4)}, tmp_path / "clip.safetensors")
    weights = str(tmp_path / "clip.safetensors")
    body = create_body(name, 0.0, weights=weights, vit=sizes).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        if "quickgelu" in name:
            found, expected = body.forward_features(images)[:, 0] @ visual.proj, visual(images)  # type: ignore[operator]
        else:
            trunk: Any = visual.trunk
            found, expected = body(images), trunk.forward_head(trunk.forward_features(images), pre_logits=True)
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="the weights do not fit the backbone"):
        create_body(DINO3, 0.0, weights=weights, vit=small_sizes(DINO3))
    with pytest.raises(FileNotFoundError, match="no weight file at"):
        create_body(name, 0.0, weights="nowhere.safetensors", vit=sizes)
    with pytest.raises(ValueError, match="a tower of these sizes has none that are published"):
        create_body(name, 0.0, strict=True, vit=sizes)


def test_mini_clip_makes_a_frozen_mip() -> None:
    options = mip_paper(frozen=True, **OPTIONS)
    model = build_mip(5, "prompt", backbone="mini_clip", options=options, stride=16, drop_path=0.0)
    other = build_mip(5, "prompt", backbone="mini_clip", options=options, stride=16, drop_path=0.0)
    assert torch.equal(model.backbone.digest, other.backbone.digest), "the tower is the file's"
    learn(model, samples())


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("vit_base_patch16_siglip_224", "jpm reads runs of patches by the class token.*set jpm False"),
        ("eva02_tiny_patch14_224", "jpm reads runs of patches by the class token"),
        ("vit_small_patch16_rope_mixed_224", "'vit_small_patch16_rope_mixed_224' cannot be prompted"),
    ],
)
def test_towers_that_do_not_suit(backbone: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(backbone)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="frozen_heads=True freezes what is behind the blocks; set frozen=True"):
        mip_paper(frozen_heads=True)
    with pytest.raises(ValueError, match="reference=True is for towers without rotary positions"):
        build(DINO3, reference=True)


def test_the_keys_are_read() -> None:
    from promptreid.methods.base import METHODS

    cfg = load_config(opts=["model.name", "mip_vit_tiny_patch16", "mip.frozen", "True", "mip.frozen_heads", "True"])
    assert mip_options(cfg).frozen and mip_options(cfg).frozen_heads
    assert not METHODS["mip"].checkpoint_is_whole(cfg)
    cfg = load_config(opts=["model.name", "vit_tiny_patch16_reid", "baselines.frozen", "True"])
    assert not METHODS["baselines"].checkpoint_is_whole(cfg)
