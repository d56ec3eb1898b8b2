from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
import torch
from dmpt_models import TOWER
from safetensors.torch import save_file
from torch import nn

from promptreid.models.backbones.clip_image import clip_config, create_visual, import_open_clip
from promptreid.models.backbones.clip_text import create_text
from promptreid.models.backbones.clip_weights import cached_clip, load_clip

NAME = "ViT-B-16-quickgelu"
CONFIG = clip_config(NAME, TOWER)
SNAPSHOT = "hub/models--timm--vit_base_patch16_clip_224.openai/snapshots/abc"


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Empty caches, and any attempt to reach the network fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError("touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)


def towers(seed: int = 0, config=CONFIG):
    torch.manual_seed(seed)
    return create_visual(config), create_text(config)


def clip_state(seed: int = 1) -> dict[str, torch.Tensor]:
    """What open_clip saves, and OpenAI's own extras."""
    torch.manual_seed(seed)
    model = import_open_clip().CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], CONFIG["text_cfg"], quick_gelu=True)
    return {**model.state_dict(), "input_resolution": torch.tensor(64), "context_length": torch.tensor(20)}


def custom_text(state):
    elsewhere = ("visual.", "logit", "input_resolution", "context_length")
    return {name if name.startswith(elsewhere) else f"text.{name}": value for name, value in state.items()}


@pytest.mark.parametrize("kind", ["safetensors", "pickle", "half", "prefix", "custom_text"])
def test_files_of_both_kinds(tmp_path, kind):
    state, (visual, text) = clip_state(), towers()
    if kind == "half":
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    path = tmp_path / ("clip.safetensors" if kind == "safetensors" else "clip.bin")
    named = custom_text(state) if kind == "custom_text" else state
    named = {f"module.{name}": value for name, value in named.items()} if kind == "prefix" else named
    (save_file if kind == "safetensors" else torch.save)(named, path)
    report = load_clip(visual, text, NAME, path)
    for prefix, tower in (("visual.", visual), ("", text)):
        for name, value in tower.state_dict().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, state[f"{prefix}{name}"].float())
    assert set(report.unused) == {"logit_scale", "input_resolution", "context_length"}


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_openais_archive(tmp_path):
    class Archive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual, text = towers(1)
            self.visual.half()
            self.text = text

        def forward(self, x):
            return x

    torch.jit.trace(Archive(), torch.ones(1)).save(str(tmp_path / "ViT-B-16.pt"))
    visual, text = towers()
    load_clip(visual, text, NAME, tmp_path / "ViT-B-16.pt")
    assert torch.equal(visual.proj, towers(1)[0].proj.half().float())
    assert torch.equal(text.text_projection, towers(1)[1].text_projection)


def test_the_image_tower_needs_no_text_weights(tmp_path):
    state = {name: value for name, value in clip_state().items() if name.startswith("visual.")}
    save_file(state, tmp_path / "image.safetensors")
    visual, text = towers()
    load_clip(visual, None, NAME, tmp_path / "image.safetensors")
    assert torch.equal(visual.proj, state["visual.proj"])
    with pytest.raises(ValueError, match=r"missing: positional_embedding, .* more"):
        load_clip(visual, text, NAME, tmp_path / "image.safetensors")


def test_weights_of_another_architecture(tmp_path):
    save_file(clip_state(), tmp_path / "clip.safetensors")
    wide = clip_config(NAME, {**TOWER, "vision_cfg": {**TOWER["vision_cfg"], "width": 48}})
    with pytest.raises(ValueError, match=r"class_embedding is \(32,\), not \(48,\)") as error:
        load_clip(*towers(config=wide), NAME, tmp_path / "clip.safetensors")
    assert "another architecture" in str(error.value)
    shallow = clip_config(NAME, {**TOWER, "vision_cfg": {**TOWER["vision_cfg"], "layers": 3}})
    with pytest.raises(ValueError, match=r"not in the towers: visual\.transformer\.resblocks\.3"):
        load_clip(*towers(config=shallow), NAME, tmp_path / "clip.safetensors")
    save_file({"blocks.0.norm1.weight": torch.ones(3)}, tmp_path / "timm.safetensors")
    with pytest.raises(ValueError, match="missing: visual"):
        load_clip(*towers(), NAME, tmp_path / "timm.safetensors")


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weight file at .*none\.pt"):
        load_clip(*towers(), NAME, tmp_path / "none.pt")


def test_without_weights_the_error_says_all_that_helps():
    with pytest.raises(ValueError, match="no pretrained weights for ViT-B-16-quickgelu") as error:
        load_clip(*towers(), NAME)
    for part in (
        "the file ViT-B-16.pt of https://openaipublic",
        "open_clip_model.safetensors of huggingface.co/timm/vit_base_patch16_clip_224.openai",
        "weights=...",
        "allow_download=True",
        "pretrained False",
    ):
        assert part in str(error.value)


def test_without_weights_a_warning_if_not_strict(caplog):
    visual, text = towers()
    with caplog.at_level(logging.WARNING):
        assert load_clip(visual, text, NAME, strict=False) is None
    assert "randomly initialised" in caplog.text
    assert torch.equal(visual.proj, towers()[0].proj)


@pytest.mark.parametrize("place", [f"{SNAPSHOT}/open_clip_model.safetensors", "home/.cache/clip/ViT-B-16.pt"])
def test_the_caches(tmp_path, place):
    path: Path = tmp_path / place
    path.parent.mkdir(parents=True)
    (save_file if path.suffix == ".safetensors" else torch.save)(clip_state(), path)
    if "snapshots" in place:
        refs = path.parents[2] / "refs"
        refs.mkdir()
        (refs / "main").write_text("abc")
    assert cached_clip(NAME) == path
    visual, text = towers()
    load_clip(visual, text, NAME)
    assert torch.equal(visual.proj, clip_state()["visual.proj"])
    assert load_clip(visual, text, NAME, strict=False, search=False) is None, "other sizes have no published weights"


def test_tags(tmp_path):
    path = tmp_path / "home/.cache/clip/vit_b_16-laion400m_e32-55e67d44.pt"
    path.parent.mkdir(parents=True)
    torch.save({}, path)
    assert cached_clip("ViT-B-16:laion400m_e32") == path
    assert cached_clip(NAME) is None
    with pytest.raises(ValueError, match=r"no weights 'laion' of ViT-B-16, but \['openai', .*ViT-B-16:openai"):
        cached_clip("ViT-B-16:laion")


def test_weights_of_another_activation():
    """Their tensors fit, so nothing else would notice."""
    gelu = create_visual({**CONFIG, "quick_gelu": False})
    with pytest.raises(ValueError, match=r"trained with QuickGELU.*use ViT-B-16-quickgelu"):
        load_clip(gelu, None, "ViT-B-16")
    assert load_clip(gelu, None, "ViT-B-16:laion400m_e32", strict=False) is None
