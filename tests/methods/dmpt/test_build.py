from __future__ import annotations

import logging

import pytest
import torch
from dmpt_models import PEOPLE, TOWER, exchange, tiny_dmpt, triples
from safetensors.torch import save_file

from promptreid.methods.base import MODELS
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.options import dmpt, dmpt_s, dmpt_s_bind, dmpt_s_bind_m
from promptreid.models.backbones.clip_image import clip_config, create_visual
from promptreid.models.backbones.clip_text import create_text

PIDS = torch.tensor([0, 0, 1, 1])
TIMM = {"depth": 4, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
SOURCES = [
    {"word_source": "states"},
    {"word_source": "embeddings"},
    {"word_source": "sentence"},
    {"word_source": "learned"},
    {"word_mapping": "linear"},
    {"context_words": 3},
    {"words": False},
    {"alignment": False},
]


@pytest.fixture
def clip_file(tmp_path):
    """A file with weights for the small towers."""
    torch.manual_seed(7)
    config = clip_config("ViT-B-16-quickgelu", TOWER)
    state = {f"visual.{name}": value for name, value in create_visual(config).state_dict().items()}
    path = tmp_path / "clip.safetensors"
    save_file({**state, **create_text(config).state_dict()}, path)
    return path


def build(path, seed=0, **settings):
    torch.manual_seed(seed)
    return build_dmpt(PEOPLE, "prompt", weights=str(path), tower=TOWER, **settings)


@pytest.mark.parametrize("changes", SOURCES, ids=str)
def test_a_trained_model_is_rebuilt_from_the_image_tower_and_its_state_alone(tmp_path, clip_file, changes):
    from promptreid.models.weights import load_matching, read_state_dict

    model = build(clip_file, options=dmpt(**changes))
    DMPTLoss(alignment_weight=float(model.alignment is not None))(model.train()(triples()), PIDS)[0].backward()
    exchange(model)
    image_only = tmp_path / "image.safetensors"
    state = read_state_dict(clip_file)
    save_file({name: value for name, value in state.items() if name.startswith("visual.")}, image_only)
    again = build(image_only, seed=1, options=dmpt(**changes), text_from_state=True)
    load_matching(again, model.state_dict(), "run", optional=model.training_only)
    with torch.no_grad():
        assert torch.equal(again.eval()(triples()), model.eval()(triples()))


def test_resuming_needs_no_text_tower_either(clip_file):
    model, again = build(clip_file), build(clip_file, text_from_state=True)
    with pytest.raises(ValueError, match="text_from_state=True"):
        again.train()(triples())
    again.load_state_dict(model.state_dict())
    one, two = model.train()(triples()), again.train()(triples())
    assert torch.equal(one["alignment_logits"], two["alignment_logits"])


def test_weights_and_seeds(clip_file):
    one, two = build(clip_file, seed=0), build(clip_file, seed=1)
    assert torch.equal(one.backbone.digest, two.backbone.digest), "the tower is the file's"
    assert torch.equal(one.alignment.sentences.value, two.alignment.sentences.value)
    assert not torch.equal(one.semantic_prompts.prompts, two.semantic_prompts.prompts)
    assert torch.equal(tiny_dmpt(seed=2).backbone.digest, tiny_dmpt(seed=2).backbone.digest)
    assert not torch.equal(tiny_dmpt(seed=2).backbone.digest, tiny_dmpt(seed=3).backbone.digest)
    assert torch.equal(tiny_dmpt(seed=2).backbone.digest, tiny_dmpt(seed=2, text_from_state=True).backbone.digest)


def test_without_text_parts_the_image_weights_suffice(tmp_path):
    torch.manual_seed(0)
    visual = create_visual(clip_config("ViT-B-16-quickgelu", TOWER))
    path = tmp_path / "image.safetensors"
    save_file({f"visual.{name}": value for name, value in visual.state_dict().items()}, path)
    for options in (dmpt_s(), dmpt_s_bind()):
        build(path, options=options)
    with pytest.raises(ValueError, match="missing: positional_embedding"):
        build(path, options=dmpt_s_bind_m())


def test_the_context_of_the_sentences_is_trained_with_the_text_tower(clip_file):
    model = build(clip_file, options=dmpt(context_words=2))
    DMPTLoss()(model.train()(triples()), PIDS)[0].backward()
    assert model.alignment.context.grad.abs().max() > 0
    assert "alignment.text.digest" in model.state_dict()
    calls = []
    model.alignment.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model.eval()(triples())
    assert not calls, "descriptors need no text"


def test_a_timm_tower():
    torch.manual_seed(0)
    options = dmpt_s_bind_m(word_source="learned", sie_weight=1.0)
    model = build_dmpt(
        PEOPLE, "prompt", False, backbone="vit_tiny_patch16_224", tower=TIMM, options=options, cameras=2, stride=8
    )
    exchange(model)
    DMPTLoss(alignment_weight=0)(model.train()(triples()), PIDS)[0].backward()
    assert model.eval()(triples()).shape == (4, 3 * 32)
    assert not any(name.startswith("backbone") for name, _ in model.named_parameters())
    for needy in (dmpt(), dmpt_s_bind_m(), dmpt_s(alignment=True)):
        with pytest.raises(
            ValueError, match=r"'vit_tiny_patch16_224' has no text tower of CLIP's kind: set alignment False"
        ):
            build_dmpt(PEOPLE, pretrained=False, backbone="vit_tiny_patch16_224", tower=TIMM, options=needy)


def test_visible_and_infrared_images_as_samples_of_their_own():
    model = tiny_dmpt(modalities=("visible", "infrared"), images_per_sample=1)
    batch = triples(count=1)
    batch["modality"] = torch.tensor([0, 1, 0, 1])[:, None]
    output = model.train()(batch)
    assert output["alignment_logits"].shape == (4, 2)
    DMPTLoss()(output, PIDS)[0].backward()
    assert model.eval()(batch).shape == (4, 24)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modalities": ("visible", "sonar")}, r"no words for the modalities \['sonar'\]"),
        ({"modalities": ("visible",)}, "is a single one; set alignment False"),
        ({"modalities": ()}, "names of the modalities"),
        ({"word_length": 1}, "word_length is 1; set it to"),
        ({"object_name": "person " * 20}, "the text tower has 20"),
        ({"context_words": 16}, "smaller context_words"),
        ({"interaction_layers": (4, 8)}, r"after block \[4, 8\] of 4"),
        ({"image_size": (64, 8)}, "smaller than a patch"),
        ({"backbone": "ViT-B-17", "tower": {}}, r"none of open_clip\.list_models\(\), and timm has no 'ViT-B-17'"),
        ({"backbone": "RN50", "tower": {}}, "not open_clip's ViT"),
    ],
)
def test_bad_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny_dmpt(**settings)


def test_other_modalities_and_objects():
    words = {"modalities": ("visible", "sonar"), "phrases": {"sonar": "sonar"}, "images_per_sample": 2}
    one, two = tiny_dmpt(**words), tiny_dmpt(**words, object_name="vehicle")
    assert not torch.equal(one.alignment.sentences.value, two.alignment.sentences.value)


@pytest.mark.parametrize("loss", ["softmax", "triplet", "prompt"])
def test_the_small_name_works_as_torchreid_builds_it(loss, caplog):
    with caplog.at_level(logging.WARNING):
        model = MODELS["dmpt_clip_tiny"](num_classes=PEOPLE, loss=loss)
    assert "randomly initialised" in caplog.text
    model.train()(triples())
    assert model.eval()(torch.randn(2, 3, 3, 48, 64)).shape == (2, 3 * 64)
    assert "classifier" in dict(model.named_children())


def test_the_large_name_asks_for_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with torch.device("meta"), pytest.raises(ValueError, match=r"ViT-B-16\.pt.*allow_download=True.*pretrained False"):
        MODELS["dmpt_vit_base_patch16"](num_classes=PEOPLE)
