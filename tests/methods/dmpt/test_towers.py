"""DMPT on towers with rotary positions, registers, other poolings, and text towers of their own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from dmpt_models import BESIDE, PEOPLE, awake, exchange, parts, triples
from dmpt_twin import slow_twin, with_low_rank
from small_towers import SMALL, final_tokens, small_sizes, small_vit, stir
from torch import Tensor

from promptreid.data.batch import ModalBatch
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.diagnostics import diagnose
from promptreid.methods.dmpt.model import DMPT
from promptreid.methods.dmpt.options import DMPTOptions
from promptreid.methods.dmpt.patch_init import start_from_patches
from promptreid.methods.dmpt.prefix_cache import PrefixCache
from promptreid.models.backbones.beside import Beside
from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.inspection import rollout

DINO3, DINO2, SIGLIP = "vit_small_patch16_dinov3", "vit_small_patch14_reg4_dinov2", "vit_base_patch16_siglip_224"
EVA, PE = "eva02_base_patch16_clip_224", "vit_pe_core_tiny_patch16_384"
EVERY = (DINO3, DINO2, SIGLIP, EVA, PE)
ROTARY = (DINO3, EVA, PE)
BARE = {"semantic": False, "words": False, "bind": False}


def build(backbone: str, loss: str = "prompt", seed: int = 0, **options: Any) -> DMPT:
    """Without text parts, unless the options ask for them; every weight of the tower does something."""
    torch.manual_seed(seed)
    chosen = {"alignment": False, "word_source": "learned", "semantic_length": 2, **options}
    if not chosen.get("words", True):
        chosen.pop("word_source")
    model = build_dmpt(
        PEOPLE, loss, pretrained=False, backbone=backbone, tower=small_sizes(backbone), options=DMPTOptions(**chosen)
    )
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for name, value in model.tower.named_buffers():
            if value.is_floating_point():
                scale = "gamma" in name or ("norm" in name and name.endswith("weight"))
                value.copy_(torch.randn(value.shape, generator=generator) / 8 + float(scale))
    return model.eval()


@pytest.mark.parametrize("backbone", EVERY)
@torch.no_grad()
def test_without_prompts_it_is_the_bare_tower(backbone: str) -> None:
    model, batch = build(backbone, **BARE), triples(2, (64, 32))
    images = batch["images"].flatten(0, 1)
    bare = model.tower.read(final_tokens(model.tower, images)).unflatten(0, (2, 3)).flatten(1)
    assert torch.allclose(model(batch), torch.nn.functional.normalize(bare, dim=1), atol=1e-5)
    assert model(batch).shape == (2, 3 * model.tower.out_dim)


@pytest.mark.parametrize("backbone", EVERY)
@pytest.mark.parametrize("size", [(64, 32), (32, 64)])
def test_all_prompts_learn_and_the_tower_does_not(backbone: str, size: tuple[int, int]) -> None:
    model = exchange(build(backbone)).train()
    before = [value.clone() for value in model.tower.buffers()]
    output = model(triples(4, size))
    sum(part.square().sum() for part in (*output["logits"], *output["features"])).backward()
    lacking = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not [name for name in lacking if "prompts" in name], lacking
    assert all(map(torch.equal, before, model.tower.buffers()))
    assert not [name for name in model.state_dict() if name.startswith("backbone.") and name != "backbone.digest"]


@pytest.mark.parametrize("backbone", ROTARY)
@torch.no_grad()
def test_options_beyond_the_paper_start_as_without_bit_by_bit(backbone: str) -> None:
    batch = triples()
    batch["present"][1, 2] = batch["present"][2, 0] = False
    one, other = (build(backbone, **each).train() for each in (BESIDE, {}))
    found, expected = one(batch), other(batch)
    for key in ("logits", "features", "prompts"):
        assert all(torch.equal(a, b) for a, b in zip(found[key], expected[key], strict=True)), key


@pytest.mark.parametrize("options", [{}, BESIDE, {**BESIDE, "first_layer": 2, "interaction_layers": (2,)}], ids=str)
@pytest.mark.parametrize("backbone", [DINO3, EVA])
@torch.no_grad()
def test_it_is_its_slow_twin(backbone: str, options: dict[str, Any]) -> None:
    """Also with registers, which the images of a sample exchange like class tokens, one by one."""
    model, batch = awake(build(backbone, **options)), triples(2)
    batch["present"][1, 0] = False
    assert torch.allclose(parts(model, batch), slow_twin(model, batch), atol=2e-5)


@pytest.mark.parametrize("backbone", EVERY)
def test_gradients_reach_all_beside_the_blocks(backbone: str) -> None:
    model = awake(build(backbone, **BESIDE)).train()
    before = [value.clone() for value in model.tower.buffers()]
    output = model(triples(4))
    sum(part.square().sum() for part in (*output["logits"], *output["features"])).backward()
    of = {name: value for name, value in model.named_parameters() if name.partition(".")[0] in BESIDE}
    assert {name.partition(".")[0] for name in of} == {"adapter", "exchange", "lora", "fusion"}
    assert not [name for name, value in of.items() if value.grad is None or not value.grad.any()]
    assert all(map(torch.equal, before, model.tower.buffers()))


@pytest.mark.parametrize("backbone", ROTARY)
@pytest.mark.parametrize("reads", [None, 3, 1])
@torch.no_grad()
def test_low_rank_changes_are_changed_weights(backbone: str, reads: int | None) -> None:
    """Before norm and rotation, of prompts too, however many outputs are read; and in the attention shown."""
    model = awake(build(backbone, lora=2))
    tower: Any = model.tower
    lora: Any = model.lora[0]  # type: ignore[index]
    changed = copy.deepcopy(tower)
    changed.trunk.blocks[0] = with_low_rank(tower.trunk.blocks[0], lora)
    tokens = torch.cat([tower.embed(triples(1)["images"][0]), torch.randn(3, 2, 48)], dim=1)
    plain = BlockForm(tower.turns((64, 32), tokens.device))
    form = plain._replace(beside=Beside(None, lora.query, lora.value))
    found = tower.run(0, tokens, reads, form)
    assert torch.allclose(found, changed.run(0, tokens, reads, plain), atol=1e-5)
    assert not torch.allclose(found, tower.run(0, tokens, reads, plain), atol=1e-3)
    assert torch.allclose(tower.attention(0, tokens, form), changed.attention(0, tokens, plain), atol=1e-5)
    assert not torch.allclose(tower.attention(0, tokens, form), tower.attention(0, tokens, plain), atol=1e-3)


@pytest.mark.parametrize("options", [{}, BESIDE], ids=str)
def test_recomputed_blocks_give_the_same_gradients(options: dict[str, Any]) -> None:
    gradients = []
    for recomputed in (False, True):
        model = awake(build(DINO3, **options)).train()
        model.checkpoint_blocks = recomputed
        sum(part.square().sum() for part in model(triples(4))["features"]).backward()
        gradients.append([value.grad for value in model.parameters() if value.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 5
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(*gradients, strict=True))


@pytest.mark.parametrize("backbone", [DINO3, SIGLIP])
@torch.no_grad()
def test_feature_maps_are_of_the_patches(backbone: str) -> None:
    model, batch = build(backbone, **BARE), triples(2, (64, 48))
    images = batch["images"].flatten(0, 1)
    tower = model.tower
    patches = final_tokens(tower, images)[:, tower.prefix :].transpose(1, 2).unflatten(2, (4, 3))
    assert torch.allclose(model.feature_maps(batch), patches.unflatten(0, (2, 3)).flatten(1, 2), atol=1e-5)


@pytest.mark.parametrize("backbone", [DINO3, SIGLIP])
@torch.no_grad()
def test_the_prefix_cache_gives_the_same(backbone: str) -> None:
    model, batch = build(backbone, first_layer=2, interaction_layers=(2,)), triples(2)
    expected = model(batch)
    model.prefix_cache = PrefixCache(2**20)
    assert torch.equal(model(batch), expected)
    assert torch.equal(model(batch), expected)
    assert model.prefix_cache.hits == 6


@torch.no_grad()
def test_an_inspection_shows_registers_apart() -> None:
    model, batch = build(DINO3), triples(2)
    before = model(batch)
    inspection = model.inspect(batch, "all")
    assert torch.equal(model(batch), before)
    assert dict(inspection.layers[0].families) == {
        "class": (0, 1), "registers": (1, 5), "patches": (5, 13), "words": (13, 17), "semantic": (17, 19),
    }  # fmt: skip
    assert rollout(inspection).shape == (6, 4, 2)
    mass = sum(inspection.mass().values())
    assert isinstance(mass, Tensor) and torch.allclose(mass, torch.ones(3, 6), atol=1e-5)


@torch.no_grad()
def test_the_inspected_attention_is_the_one_that_acts() -> None:
    """The class token after the last block, made of the recorded weights alone."""
    model, batch = build(DINO3, **BARE), triples(2)
    tower, images = model.tower, batch["images"].flatten(0, 1)
    form, tokens = BlockForm(tower.turns((64, 32), images.device)), tower.embed(images)
    for layer in range(2):
        tokens = tower.run(layer, tokens, form=form)
    block: Any = tower.trunk.blocks[2]  # type: ignore[attr-defined]
    value = block.attn.qkv(block.norm1(tokens))[..., 96:].unflatten(-1, (3, 16)).transpose(1, 2)
    weights = model.inspect(batch, "all").layers[-1].by("class")
    middle = tokens[:, :1] + block.gamma_1 * block.attn.proj((weights @ value).transpose(1, 2).flatten(2))
    expected = middle + block.gamma_2 * block.mlp(block.norm2(middle))
    assert torch.allclose(tower.run(2, tokens, 1, form), expected, atol=1e-5)


def test_without_a_class_token_an_inspection_says_why_not() -> None:
    with pytest.raises(
        ValueError, match="not read from a class token, and an inspection shows where the class token looks"
    ):
        build(SIGLIP).inspect(triples(1))
    batches = [{"img": ModalBatch(triples(2)), "pid": torch.arange(2)}]
    with pytest.raises(ValueError, match="not read from a class token"):
        diagnose(build(SIGLIP), [batches])


@torch.no_grad()
def test_prompts_that_start_as_patches_are_no_registers() -> None:
    model, batch = build(DINO3, prompt_init="patches"), triples(4)
    start_from_patches(model, batch, seed=0)
    tokens = model.tower.embed(batch["images"].flatten(0, 1))
    assert model.semantic_prompts is not None
    first = model.semantic_prompts.prompts[0]
    assert all((tokens[:, 5:] - prompt).abs().amax(dim=2).min() < 1e-6 for prompt in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sie_weight": 1.0}, "sie_weight adds to the class token, and 'vit_base_patch16_siglip_224' has none"),
        ({"bind_output": "class"}, "bind_output='class' adds to the class token"),
        ({"word_source": "states"}, "has no text tower of CLIP's kind: set alignment False and word_source 'learned'"),
        ({"alignment": True}, "has no text tower of CLIP's kind"),
    ],
)
def test_what_a_tower_lacks_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(SIGLIP, **options)


def test_text_of_another_kind_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match="'ViT-B-16-SigLIP2' has no text tower of CLIP's kind: set alignment False"):
        build_dmpt(PEOPLE, pretrained=False, backbone="ViT-B-16-SigLIP2")
    with pytest.raises(ValueError, match=r"'eva02_enormous_patch14_clip_224' .*cannot be prompted"):
        build("eva02_enormous_patch14_clip_224", **BARE)


def test_eva_clip_has_its_own_text_tower(tmp_path: Path) -> None:
    """A file of open_clip's names fills both towers, and the sentences are told by its text tower."""
    from safetensors.torch import save_file

    from promptreid.models.backbones.clip_image import clip_config, create_visual
    from promptreid.models.backbones.clip_text import create_text

    changes = {
        "embed_dim": 24,
        "vision_cfg": {"timm_sizes": {**SMALL, "img_size": 64}},
        "text_cfg": {"context_length": 20, "width": 16, "heads": 2, "layers": 2},
    }
    config = clip_config("EVA02-B-16", changes)
    visual, text = create_visual(config), create_text(config)
    stir(visual)
    state = {f"visual.{name}": value for name, value in visual.state_dict().items()}
    state |= {f"text.{name}": value.contiguous() for name, value in text.state_dict().items()}
    save_file({**state, "logit_scale": torch.tensor(1.0)}, tmp_path / "eva.safetensors")
    weights = str(tmp_path / "eva.safetensors")
    model = build_dmpt(PEOPLE, "prompt", backbone="EVA02-B-16", tower=changes, weights=weights).eval()
    assert model.tower.out_dim == 24 and model.alignment is not None and model.word_prompts is not None
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = visual.trunk.eval()(images)
        assert torch.allclose(model.tower.read(final_tokens(model.tower, images)), expected, atol=1e-5)
    output = model.train()(triples(4))
    assert output["alignment_logits"].shape == (12, 3)
    save_file({"blocks.0.norm1.weight": torch.ones(48)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds weights of another architecture"):
        build_dmpt(PEOPLE, backbone="EVA02-B-16", tower=changes, weights=str(tmp_path / "other.safetensors"))


def test_a_file_of_timms_or_open_clips_names(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    sizes, options = {"timm_sizes": small_sizes(SIGLIP)}, DMPTOptions(alignment=False, **BARE)
    vit = small_vit(SIGLIP)
    images, found = torch.randn(1, 3, 64, 64), []
    for prefix in ("", "visual.trunk."):
        path = tmp_path / f"{prefix}file.safetensors"
        save_file({f"{prefix}{name}": value for name, value in vit.state_dict().items()}, path)
        common: dict[str, Any] = {"options": options, "weights": str(path)}
        for name, tower in ((SIGLIP, small_sizes(SIGLIP)), ("ViT-B-16-SigLIP2", {"vision_cfg": sizes})):
            model = build_dmpt(PEOPLE, backbone=name, tower=tower, **common)
            found.append(model.tower.read(final_tokens(model.tower, images)))
    assert all(torch.allclose(each, vit(images), atol=1e-5) for each in found)
    wrong = str(tmp_path / "wrong.safetensors")
    save_file(small_vit(DINO3).state_dict(), wrong)
    with pytest.raises(ValueError, match="the weights do not fit the backbone"):
        build_dmpt(PEOPLE, backbone=SIGLIP, tower=small_sizes(SIGLIP), options=options, weights=wrong)


def test_a_state_dict_belongs_to_its_tower() -> None:
    model, other = build(DINO3), build(DINO3, seed=1)
    state = model.state_dict()
    with pytest.raises(RuntimeError, match="trained on other frozen weights"):
        other.load_state_dict(state)


def test_a_tuned_tower_trains_all_but_its_angles() -> None:
    model = build(DINO3, frozen=False, **BARE).train()
    output = model(triples(4))
    sum(part.square().sum() for part in (*output["logits"], *output["features"])).backward()
    lacking = [name for name, value in model.named_parameters() if value.grad is None]
    assert not lacking and "backbone.trunk.reg_token" in dict(model.named_parameters())
