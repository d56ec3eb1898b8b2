"""The ViT of the package, through the path of real weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from promptreid.methods.base import MODELS
from promptreid.methods.mip.model import build_mip
from promptreid.models.backbones.bundled_towers import mini_file, mini_state
from promptreid.models.backbones.position_embedding import resample_positions
from promptreid.models.backbones.vit_by_name import create_body
from promptreid.models.weights import read_state_dict


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", fail)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fail)


def test_its_parameters_are_those_of_the_file_in_float32(no_network: None) -> None:
    body = create_body("mini_vit", allow_download=True)
    found, kept = body.state_dict(), read_state_dict(mini_file("mini_vit"))
    assert found.keys() == kept.keys()
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert all(torch.equal(found[name], kept[name].float()) for name in kept)


@pytest.mark.parametrize("name", ["mip_vit_tiny_patch16", "transreid_vit_tiny_patch16", "vit_tiny_patch16_reid"])
def test_every_vit_of_the_registry_starts_from_it(name: str) -> None:
    state = mini_state("mini_vit")
    model: Any = MODELS[name](4, "prompt", backbone="mini_vit", stride=16, image_size=(128, 64))
    own = model.backbone.state_dict()
    assert set(own) - {"grid_record"} == {key for key in state if not key.startswith(("blocks.5.", "norm."))}
    assert all(torch.equal(own[key], state[key]) for key in own if key != "grid_record")
    for part in ("b1", "b2") if hasattr(model.head, "b2") else ("b1",):
        head = getattr(model.head, part).state_dict()
        assert torch.equal(head["block.mlp.fc1.weight"], state["blocks.5.mlp.fc1.weight"])
        assert torch.equal(head["norm.weight"], state["norm.weight"])


def test_positions_go_to_the_grid_of_the_images() -> None:
    table = mini_state("mini_vit")["pos_embed"]
    model = build_mip(4, "prompt", backbone="mini_vit", stride=12, image_size=(160, 64))
    assert model.backbone.grid == (13, 5)
    assert torch.equal(model.backbone.pos_embed, resample_positions(table, (8, 4), (13, 5)))
    assert model.eval()(torch.zeros(1, 3, 96, 48)).shape == (1, 5 * 192)


def test_without_pretraining_it_is_random_and_of_the_same_shape() -> None:
    torch.manual_seed(0)
    body = create_body("mini_vit", pretrained=False)
    state = mini_state("mini_vit")
    assert {name: value.shape for name, value in body.state_dict().items()} == {n: v.shape for n, v in state.items()}
    assert not torch.equal(body.patch_embed.proj.weight, state["patch_embed.proj.weight"])


def test_its_name_is_a_file_too() -> None:
    weights = create_body("vit_tiny_patch16_224", weights="mini_vit", vit={"depth": 6, "img_size": (128, 64)})
    assert torch.equal(weights.pos_embed, mini_state("mini_vit")["pos_embed"])
    by_path = create_body("mini_vit", weights=str(mini_file("mini_vit")))
    assert torch.equal(by_path.pos_embed, weights.pos_embed)


def test_blocks_that_are_left_out_are_named(caplog: pytest.LogCaptureFixture) -> None:
    body = create_body("mini_vit", vit={"depth": 4})
    assert len(body.blocks) == 4
    assert "the ViT has 4 blocks; blocks [4, 5] of the weights are left out" in caplog.text


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="timm has no 'mini_vits'"):
        create_body("mini_vits")
    with pytest.raises(ValueError, match=r"do not fit the backbone; wrong shapes: .*cls_token"):
        create_body("mini_vit", vit={"embed_dim": 96, "num_heads": 3})
    with pytest.raises(FileNotFoundError, match=r"no weight file at nowhere\.pth"):
        create_body("mini_vit", weights="nowhere.pth")
