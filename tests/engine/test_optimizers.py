"""Which parameter learns at which rate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from promptreid import host
from promptreid.config import load_config
from promptreid.engine.optimizers import build_optimizer, build_scheduler, parameter_roles
from promptreid.methods.mip.model import MIP, build_mip

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model() -> MIP:
    small = {"depth": 3, "embed_dim": 24, "num_heads": 2}
    return build_mip(5, pretrained=False, backbone="vit_tiny_patch16_224", vit=small)


def config(**changes: object) -> object:
    return load_config(ROOT / "configs" / "mip" / "sysu_mm01.yaml", overrides=changes)


def test_roles(model: MIP) -> None:
    roles = {name: role for name, _, role in parameter_roles(model)}
    assert roles["modality_prompts.library"] == "prompts"
    assert roles["modality_prompts.projection.weight"] == "base"
    assert roles["modality_prompts.projection.bias"] == "bias"
    generator = {name: role for name, role in roles.items() if name.startswith("instance_prompts.")}
    assert generator.pop("instance_prompts.queries") == "generator.queries"
    assert set(generator.values()) == {"generator"}
    assert roles["backbone.blocks.0.attn.qkv.bias"] == "bias"
    assert roles["classifier.0.weight"] == "base"
    assert len(roles) == len(list(model.parameters()))


def test_rates_of_the_released_recipe(model: MIP) -> None:
    optimizer = build_optimizer(model, config())
    assert isinstance(optimizer, torch.optim.SGD)
    assert {group["name"]: group["lr"] for group in optimizer.param_groups} == pytest.approx(
        {"base": 0.01, "bias": 0.02, "prompts": 0.05, "generator": 0.15, "generator.queries": 0.01}
    )
    assert {(group["momentum"], group["weight_decay"]) for group in optimizer.param_groups} == {(0.9, 1e-4)}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    scheduler = build_scheduler(optimizer, config())
    # Warm-up starts at the same rate for every group; the values are those the authors' code printed for epoch 1.
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert (rates["base"], rates["generator"]) == pytest.approx((2.08e-3, 3.008e-2))
    assert scheduler.cycle == 30


def test_a_single_cosine_falls_to_the_end(model: MIP) -> None:
    cfg = config(**{"train.lr_scheduler": "warmup_cosine", "train.max_epoch": 8, "train.warmup_epochs": 2})
    optimizer = build_optimizer(model, cfg)
    scheduler = build_scheduler(optimizer, cfg)
    seen = []
    for _ in range(8):
        seen.append(optimizer.param_groups[-1]["lr"])
        optimizer.step()
        scheduler.step()
    assert seen[2:] == sorted(seen[2:], reverse=True)
    assert seen[-1] < 0.05 * max(seen)


@pytest.mark.parametrize("name", ["adam", "amsgrad", "adamw", "rmsprop", "radam"])
def test_other_optimisers_take_the_same_groups(model: MIP, name: str) -> None:
    optimizer = build_optimizer(model, config(**{"train.optim": name}))
    names = ["generator.queries", "generator", "prompts", "bias", "base"]
    assert [group["name"] for group in optimizer.param_groups] == names


def test_new_layers_learn_at_the_full_rate_and_all_others_slower(model: MIP) -> None:
    staged = {"train.staged_lr": True, "train.new_layers": ["classifier", "head"], "train.base_lr_mult": 0.5}
    optimizer = build_optimizer(model, config(**staged))
    assert {group["name"]: group["lr"] for group in optimizer.param_groups} == pytest.approx(
        {
            "new base": 0.01,
            "new bias": 0.02,
            "base": 0.005,
            "bias": 0.01,
            "prompts": 0.025,
            "generator": 0.075,
            "generator.queries": 0.005,
        }
    )
    assert optimizer.param_groups[-1]["name"] == "base"
    found = {id(parameter): group["name"] for group in optimizer.param_groups for parameter in group["params"]}
    names = {name: found[id(parameter)] for name, parameter in model.named_parameters()}
    assert names["classifier.0.weight"] == "new base"
    assert {name for name in names if names[name].startswith("new ")} == {
        name for name in names if name.startswith(("classifier.", "head."))
    }


def test_new_layers_that_are_not_there(model: MIP) -> None:
    with pytest.raises(ValueError, match=r"train\.new_layers: the model has no classifiers, fc, but .*classifier"):
        build_optimizer(model, config(**{"train.staged_lr": True, "train.new_layers": ["fc", "classifiers"]}))


def test_a_model_of_torchreid_gets_torchreids_optimiser() -> None:
    model = torch.nn.Linear(2, 2)
    cfg = config(**{"model.name": "osnet_x1_0", "loss.name": "softmax", "train.optim": "sgd"})
    theirs = host.optim.build_optimizer(model, optim="sgd", lr=0.01, weight_decay=1e-4)
    ours = build_optimizer(model, cfg)
    assert ours.state_dict() == theirs.state_dict()


def test_queries_learn_like_their_generator_unless_they_have_a_rate(model: MIP) -> None:
    optimizer = build_optimizer(model, config(**{"mip.query_lr_mult": None}))
    assert [group["name"] for group in optimizer.param_groups] == ["generator", "prompts", "bias", "base"]
