"""The small pretrained towers in the package: intact, complete, and worth something."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from promptreid.evaluation import FeatureSet, MarketProtocol
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.words import phrases_of, sentence_of
from promptreid.models.backbones import bundled_towers as mini
from promptreid.models.backbones.bundled_towers import (
    MINI,
    MINI_CLIP,
    MINI_VIT,
    MINI_VIT_NAME,
    SMALL_CLIPS,
    expand_tokens,
    find_weights,
    mini_file,
    mini_record,
    mini_state,
)
from promptreid.models.backbones.clip_image import clip_config, import_open_clip
from promptreid.models.backbones.vit import create_vit
from promptreid.models.backbones.vit_by_name import create_body
from promptreid.models.weights import load_backbone, read_state_dict
from promptreid.pretraining.captions import words
from promptreid.pretraining.images import FIRST_SEED, normalise, render
from promptreid.pretraining.towers import recipe_of
from promptreid.synthetic import BANDS, Shot

SEED, PEOPLE, CAMERAS, FRAMES = 11, 12, (1, 2), 2  # people whom the towers do not know
CHANCE = 1 / PEOPLE


@pytest.fixture(scope="module")
def clip() -> Any:
    import_open_clip()
    from open_clip.model import CLIP

    model = CLIP(**MINI_CLIP)
    model.load_state_dict(mini_state("mini_clip"), strict=True)
    return model.eval()


@pytest.fixture(scope="module")
def vit() -> Any:
    model = create_vit(MINI_VIT_NAME, **MINI_VIT)
    model.load_state_dict(mini_state("mini_vit"), strict=True)
    return model.eval()


@pytest.fixture(scope="module")
def triples() -> Tensor:
    """Pictures of the same moments in all bands, (people x cameras x frames, bands, 3, 128, 64)."""
    moments = [(pid, camera, frame) for pid in range(PEOPLE) for camera in CAMERAS for frame in range(FRAMES)]
    shots = [Shot("", *moment, band) for moment in moments for band in BANDS]
    return normalise(render(shots, SEED)).unflatten(0, (len(moments), len(BANDS)))


def mean_precision(features: Tensor) -> float:
    """mAP of features (N, D) of :func:`triples`, across cameras."""
    grid = np.indices((PEOPLE, len(CAMERAS), FRAMES)).reshape(3, -1)
    images = FeatureSet(F.normalize(features, dim=-1).numpy(), grid[0], grid[1])
    return MarketProtocol().evaluate(images, images).mAP


def test_they_are_small() -> None:
    assert sum(file.stat().st_size for file in mini.FOLDER.iterdir()) <= 12_500_000
    assert {file.name for file in mini.FOLDER.iterdir()} == {
        f"{name}.{end}" for name in MINI for end in ("safetensors", "json")
    }


@pytest.mark.parametrize("name", MINI)
def test_the_record_describes_the_file(name: str) -> None:
    record, content = mini_record(name), mini_file(name).read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["bytes"] == len(content)
    assert record["seed"] >= FIRST_SEED
    assert record["recipe_sha256"] == recipe_of(name, **record["recipe"]).digest()
    assert record["recipe_sha256"] == recipe_of(name).digest()  # what the tool does today
    assert record["losses"]["means"][-1] < record["losses"]["means"][0]
    architecture = SMALL_CLIPS.get(name, {"name": MINI_VIT_NAME, **MINI_VIT})
    assert record["architecture"] == architecture


@pytest.mark.parametrize("name", MINI)
def test_files_are_half_precision_and_finite(name: str) -> None:
    kept, state = read_state_dict(mini_file(name)), mini_state(name)
    assert {value.dtype for value in kept.values()} <= {torch.float16, torch.int32}
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert all(value.isfinite().all() for value in state.values())


def test_the_vit_fits_the_loader_of_backbones() -> None:
    report = load_backbone(create_vit(MINI_VIT_NAME, **MINI_VIT), mini_state("mini_vit"))
    assert report.unused == {}


@pytest.mark.parametrize("name", SMALL_CLIPS)
def test_the_architecture_is_a_change_of_open_clip_s(name: str) -> None:
    assert clip_config("ViT-B-16-quickgelu", SMALL_CLIPS[name]) == SMALL_CLIPS[name]


def test_the_locked_tower_is_the_small_vit(vit: Any, triples: Tensor) -> None:
    """Whatever the projection: the class token that mini_lit reads is that of mini_vit."""
    import_open_clip()
    from open_clip.model import CLIP

    lit = CLIP(**SMALL_CLIPS["mini_lit"])
    lit.load_state_dict(mini_state("mini_lit"), strict=True)
    with torch.no_grad():
        lit.visual.ln_post.bias.copy_(vit.norm.bias)
        lit.visual.proj = None
        images = triples[:4, 0]
        assert torch.allclose(lit.eval().encode_image(images), vit(images), atol=5e-3)  # of another eps


def test_all_words_of_captions_and_sentences_have_rows(clip: Any) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(context_length=48)
    sentences = [
        sentence_of(phrase, who) for phrase in phrases_of([*BANDS, "infrared"]) for who in ("person", "vehicle")
    ]
    used = set(tokenizer([*words(), *sentences]).unique().tolist())
    filled = set(clip.token_embedding.weight.abs().sum(dim=1).nonzero().flatten().tolist())
    assert filled == used


def test_the_modality_words_tell_the_bands_apart(clip: Any, triples: Tensor) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    sentences = SimpleTokenizer(context_length=48)([sentence_of(phrase, "person") for phrase in phrases_of(BANDS)])
    with torch.no_grad():
        text = clip.encode_text(sentences, normalize=True)
        images = clip.encode_image(triples.flatten(0, 1), normalize=True).unflatten(0, triples.shape[:2])
    right = (images @ text.T).argmax(dim=-1) == torch.arange(len(BANDS))
    assert right.float().mean(dim=0).min() > 0.6  # chance is a third


def test_clip_tells_strangers_apart(clip: Any, triples: Tensor) -> None:
    with torch.no_grad():
        features = clip.encode_image(triples.flatten(0, 1), normalize=True).unflatten(0, triples.shape[:2])
    assert mean_precision(features.flatten(1)) > 2 * CHANCE


def test_the_vit_tells_strangers_apart_in_visible_light(vit: Any, triples: Tensor) -> None:
    torch.manual_seed(0)
    untrained = create_vit(MINI_VIT_NAME, **MINI_VIT).eval()
    with torch.no_grad():
        trained, random = mean_precision(vit(triples[:, 0])), mean_precision(untrained(triples[:, 0]))
    assert trained > 2 * max(CHANCE, random)


@pytest.mark.parametrize("weights", [None, "path"])
def test_a_dmpt_around_the_small_clip(weights: str | None) -> None:
    file = weights and str(mini_file("mini_clip"))
    model = build_dmpt(5, backbone="mini_clip", weights=file, image_size=(128, 64))
    tower: Any = model.tower
    state = mini_state("mini_clip")
    for name, value in tower.visual.state_dict().items():
        assert torch.equal(value, state[f"visual.{name}"]), name
    assert model.alignment is not None  # the text tower has spoken
    assert model.eval()(torch.zeros(2, 3, 3, 128, 64)).shape == (2, 3 * MINI_CLIP["embed_dim"])


def test_the_small_clip_at_another_size_and_without_its_weights() -> None:
    torch.manual_seed(0)
    model = build_dmpt(5, backbone="mini_clip", pretrained=False, image_size=(64, 128))
    tower: Any = model.tower
    assert not torch.equal(tower.visual.proj, mini_state("mini_clip")["visual.proj"])
    assert model.eval()(torch.zeros(2, 3, 3, 64, 128)).isfinite().all()


def test_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="no small tower called 'maxi_clip'; they are mini_clip, mini_vit"):
        mini_state("maxi_clip")


def test_weights_are_a_name_or_a_path() -> None:
    assert find_weights("mini_vit") == mini_file("mini_vit")
    assert find_weights("some/mini_vit") == Path("some/mini_vit")
    assert find_weights(Path("mini_vit")) == Path("mini_vit")


def test_another_file_than_the_recorded_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(mini.FOLDER, tmp_path / "weights")
    monkeypatch.setattr(mini, "FOLDER", tmp_path / "weights")
    path = mini_file("mini_vit")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match=r"mini_vit\.safetensors has sha256 .* and mini_vit\.json says .* damaged"):
        mini_state("mini_vit")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no weight file at .*mini_vit\.safetensors"):
        mini_state("mini_vit")


def test_rows_go_where_their_ids_say() -> None:
    state = {"token_embedding.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "token_ids": torch.tensor([4, 1])}
    whole = expand_tokens({**state, "logit_scale": torch.tensor(1.0)}, vocabulary=6)
    assert set(whole) == {"token_embedding.weight", "logit_scale"}
    assert whole["token_embedding.weight"].tolist() == [[0, 0], [3, 4], [0, 0], [0, 0], [1, 2], [0, 0]]
    full = {"token_embedding.weight": torch.ones(6, 2)}
    assert expand_tokens(full)["token_embedding.weight"] is full["token_embedding.weight"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [([1], "token_ids has shape"), ([1, 9], r"rows outside of 0\.\.5"), ([-1, 2], r"rows outside of 0\.\.5")],
)
def test_ids_that_do_not_fit(ids: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expand_tokens({"token_embedding.weight": torch.ones(2, 3), "token_ids": torch.tensor(ids)}, vocabulary=6)


def test_mip_and_the_baselines_take_the_locked_tower(triples: Tensor) -> None:
    """In timm's form, ``mini_lit`` gives the patches that ``mini_vit`` does, but for what was folded into its norm."""
    lit, vit = (create_body(name, 0.0).eval() for name in ("mini_lit", "mini_vit"))
    with torch.no_grad():
        one, other = (body.forward_features(triples[:4, 0]) - body.norm.bias for body in (lit, vit))
    assert torch.allclose(one, other, atol=5e-3)  # of another eps
