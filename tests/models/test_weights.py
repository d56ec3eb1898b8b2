from __future__ import annotations

import logging
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from promptreid.models.backbones.vit import create_vit, import_timm
from promptreid.models.weights import (
    cached_weights,
    load_backbone,
    load_matching,
    load_pretrained,
    read_state_dict,
    strip_module,
)

NAME = "vit_tiny_patch16_224"
SIZE = {"depth": 2, "embed_dim": 16, "num_heads": 2, "patch_size": 8, "img_size": 32}


def tiny(**changes):
    return create_vit(NAME, **{**SIZE, **changes})


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Empty caches, and any attempt to reach the network fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError("touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch"))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_kinds_of_file(tmp_path, suffix, prefix):
    path = tmp_path / f"weights{suffix}"
    state = {f"{prefix}a": torch.ones(2), f"{prefix}b": torch.zeros(3)}
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    assert {name: tensor.tolist() for name, tensor in read_state_dict(path).items()} == {"a": [1, 1], "b": [0, 0, 0]}


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_an_outer_mapping_is_taken_off(tmp_path, wrapper):
    torch.save({wrapper: {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "checkpoint.pth")
    assert list(read_state_dict(tmp_path / "checkpoint.pth")) == ["a"]


def test_the_prefix_stays_where_not_all_names_have_it():
    assert list(strip_module({"module.a": torch.ones(1), "b": torch.ones(1)})) == ["module.a", "b"]


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path):
    with open(tmp_path / "evil.pth", "wb") as file:
        pickle.dump(Payload(tmp_path / "ran"), file)
    torch.save({"a": Payload(tmp_path / "ran")}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(ValueError, match="not loaded because they can run code"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_state_dict(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="no state_dict"):
        read_state_dict(tmp_path / "list.pth")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"torn\.safetensors is not a valid"):
        read_state_dict(tmp_path / "torn.safetensors")
    (tmp_path / "weights.onnx").touch()
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        read_state_dict(tmp_path / "weights.onnx")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        read_state_dict(tmp_path / "nowhere.pth")


def test_a_backbone_is_filled_and_the_rest_reported():
    source, vit = tiny(), tiny()
    report = load_backbone(vit, {**source.state_dict(), "head.weight": torch.zeros(5, 16)})
    assert all(torch.equal(a, b) for a, b in zip(vit.parameters(), source.parameters(), strict=True))
    assert set(report.used) == set(source.state_dict())
    assert list(report.unused) == ["head.weight"]


def test_positions_of_another_grid_are_resampled():
    source, vit = tiny(img_size=64), tiny()
    load_backbone(vit, source.state_dict())
    assert torch.equal(vit.pos_embed[:, 0], source.pos_embed[:, 0])
    halves = source.pos_embed[0, 1:].reshape(8, 8, 16)[:2, :2].mean(dim=(0, 1))
    torch.testing.assert_close(vit.pos_embed[0, 1], halves)


def test_wrong_and_missing_tensors_are_named():
    state = tiny().state_dict()
    del state["norm.weight"]
    state["cls_token"] = torch.zeros(1, 1, 8)
    with pytest.raises(ValueError, match=r"cls_token is \(1, 1, 8\), not \(1, 1, 16\).*missing: \['norm.weight'\]"):
        load_backbone(tiny(), state)


def test_without_weights_there_is_one_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert load_pretrained(tiny(), NAME) is None
    assert len(caplog.records) == 1
    assert "weights=..." in caplog.text
    assert "allow_download=True" in caplog.text


def test_without_weights_strict_is_an_error():
    with pytest.raises(ValueError, match="no pretrained weights for vit_tiny_patch16_224"):
        load_pretrained(tiny(), NAME, strict=True)


def test_a_named_file_that_is_not_there_is_an_error():
    for name in ("nowhere.pth", "nowhere.npz"):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            load_pretrained(tiny(), NAME, name)


def test_weights_of_another_architecture_are_an_error(tmp_path):
    save_file(tiny(depth=1).state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(ValueError, match=r"missing: \['blocks\.1\.norm1\.weight'"):
        load_pretrained(tiny(), NAME, tmp_path / "vit.safetensors")


def test_the_cache_of_torch_is_found():
    name = "vit_base_patch16_224.orig_in21k_ft_in1k"
    assert cached_weights(name) is None
    path = Path(torch.hub.get_dir(), "checkpoints", "jx_vit_base_p16_224-80ecf9dd.pth")
    path.parent.mkdir(parents=True)
    path.touch()
    assert cached_weights(name) == path


def test_the_cache_of_hugging_face_is_found(tmp_path):
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    repository = tmp_path / "hub" / f"models--timm--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    source = tiny()
    save_file(source.state_dict(), repository / "snapshots" / "abc" / "model.safetensors")
    vit = tiny()
    assert load_pretrained(vit, name) is not None
    assert torch.equal(vit.cls_token, source.cls_token)


def test_the_default_backbone_is_the_file_of_the_papers():
    config = import_timm().get_pretrained_cfg("vit_base_patch16_224.orig_in21k_ft_in1k")
    assert config.url.endswith("/jx_vit_base_p16_224-80ecf9dd.pth")
    assert config.mean == config.std == (0.5, 0.5, 0.5)


def test_npz_files_are_read_by_timm(tmp_path):
    source, vit = tiny(), tiny()
    np.savez(tmp_path / "vit.npz", **google_names(source))
    assert load_pretrained(vit, NAME, tmp_path / "vit.npz") is None
    assert all(torch.equal(a, b) for a, b in zip(vit.parameters(), source.parameters(), strict=True))


def google_names(vit):
    """The ViT as Google's JAX code writes it."""
    state = {name: tensor.numpy() for name, tensor in vit.state_dict().items()}
    out = {
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "cls": state["cls_token"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
    }
    for i, _ in enumerate(vit.blocks):
        theirs, ours = f"Transformer/encoderblock_{i}", f"blocks.{i}"
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for number, norm in ((0, "norm1"), (2, "norm2")):
            out[f"{theirs}/LayerNorm_{number}/scale"] = state[f"{ours}.{norm}.weight"]
            out[f"{theirs}/LayerNorm_{number}/bias"] = state[f"{ours}.{norm}.bias"]
        for number in (0, 1):
            out[f"{theirs}/MlpBlock_3/Dense_{number}/kernel"] = state[f"{ours}.mlp.fc{number + 1}.weight"].T
            out[f"{theirs}/MlpBlock_3/Dense_{number}/bias"] = state[f"{ours}.mlp.fc{number + 1}.bias"]
        weights = state[f"{ours}.attn.qkv.weight"].reshape(3, 16, 16)
        biases = state[f"{ours}.attn.qkv.bias"].reshape(3, 16)
        for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            out[f"{attention}/{part}/kernel"] = weight.T.reshape(16, 2, 8)
            out[f"{attention}/{part}/bias"] = bias.reshape(2, 8)
        out[f"{attention}/out/kernel"] = state[f"{ours}.attn.proj.weight"].T.reshape(2, 8, 16)
        out[f"{attention}/out/bias"] = state[f"{ours}.attn.proj.bias"]
    return out


def test_matching_fills_a_model_with_its_own_names():
    source, model = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    report = load_matching(model, source.state_dict(), "run/model.pth")
    assert torch.equal(model.weight, source.weight)
    assert (report.used, report.unused, report.missing) == (["weight", "bias"], {}, [])


@pytest.mark.parametrize("strict", [True, False])
def test_matching_nothing_is_always_an_error(strict):
    with pytest.raises(ValueError, match=r"old\.pth does not fit the model.*other: no such entry"):
        load_matching(torch.nn.Linear(3, 2), {"other": torch.ones(1)}, "old.pth", strict)


@pytest.mark.parametrize("change", [{"weight": torch.zeros(4, 3)}, {"other": torch.ones(1)}, {"bias": None}])
def test_matching_strictly_refuses_any_difference(change):
    state = {**torch.nn.Linear(3, 2).state_dict(), **change}
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    with pytest.raises(ValueError, match=next(iter(change))):
        load_matching(torch.nn.Linear(3, 2), state, "old.pth")


def test_matching_loosely_takes_what_fits_and_says_so(caplog):
    model = torch.nn.Linear(3, 2)
    before = model.weight.clone()
    state = {"weight": torch.zeros(5, 3), "bias": torch.ones(2), "other": torch.ones(1)}
    with caplog.at_level(logging.WARNING):
        report = load_matching(model, state, "old.pth", strict=False)
    assert torch.equal(model.weight, before)
    assert model.bias.tolist() == [1, 1]
    assert set(report.unused) == {"weight", "other"}
    assert report.missing == ["weight"]
    assert "old.pth fills the model in part" in caplog.text


def test_matching_strictly_lets_what_is_optional_stay_out(caplog):
    model = torch.nn.ModuleDict({"body": torch.nn.Linear(3, 2), "head": torch.nn.Linear(2, 5)})
    state = {**model.state_dict(), "head.weight": torch.zeros(9, 2), "head.extra": torch.ones(1)}
    del state["head.bias"]
    with caplog.at_level(logging.INFO):
        report = load_matching(model, state, "old.pth", optional=("head.",))
    assert report.used == ["body.weight", "body.bias"]
    assert "unused head.weight: shape (9, 2), the model's is (5, 2)" in caplog.text
    assert {record.levelname for record in caplog.records} == {"INFO"}
    with pytest.raises(ValueError, match=r"Missing: body\.bias$"):
        load_matching(model, {"body.weight": state["body.weight"]}, "old.pth", optional=("head.",))
