"""From configuration keys to models, and what precision and compilation do to them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from promptreid.config import load_config
from promptreid.config.kwargs import selection_kwargs, step_kwargs
from promptreid.engine.checkpoints.best_weights import SelectionOptions
from promptreid.engine.optimizers import parameter_roles
from promptreid.engine.train_engine import PromptEngine
from promptreid.engine.update_step import StepOptions
from promptreid.methods.base import MODELS, DataFacts, method_named
from promptreid.methods.mip.method import mip_options
from promptreid.methods.mip.options import mip_paper, mip_release
from promptreid.methods.mip.variants import PromptBank
from promptreid.runs import build
from promptreid.runs.build import build_datamanager, build_engine, build_model, compile_model

VARIANTS = {
    "mip.generator": ("bank", "generator"),
    "mip.instance_depth": (1, "instance_depth"),
    "mip.naive_prompts": (True, "naive_prompts"),
    "mip.prompt_adapters": (True, "prompt_adapters"),
    "mip.modality_bn": (True, "modality_bn"),
    "mip.after_bn": (True, "after_bn"),
}


def config(**changes: Any) -> Any:
    return load_config(overrides={"model.name": "mip_vit_tiny_patch16", "model.pretrained": False, **changes})


def tiny(root: Path, **changes: Any) -> Any:
    small = {
        "data.root": str(root), "data.sources": ["sysu_mm01"], "data.targets": ["sysu_mm01"], "data.workers": 0,
        "data.height": 64, "data.width": 32, "data.transforms": [], "backbone.vit.depth": 3,
        "backbone.vit.embed_dim": 32,
        "backbone.vit.num_heads": 2, "mip.prompt_length": 2, "backbone.stride": 8, "backbone.drop_path": 0.0,
        "train.batch_size": 16,
        "sampler.train_sampler": "RandomIdentitySampler", "sampler.num_instances": 8, "loss.name": "prompt",
    }  # fmt: skip
    return config(**{**small, **changes})


def engine_of(cfg: Any) -> PromptEngine:
    torch.manual_seed(0)
    data = build_datamanager(cfg, use_gpu=False)
    model = build_model(cfg, data, use_gpu=False)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return build_engine(cfg, data, model, use_gpu=False)


def step(engine: PromptEngine, batch: dict[str, Any]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """One training step; the parts of the loss and the gradients."""
    engine.set_model_mode("train")
    return engine.forward_backward(batch), {name: p.grad for name, p in engine.model.named_parameters()}


def extract(engine: PromptEngine, batch: dict[str, Any]) -> Tensor:
    engine.set_model_mode("eval")
    with torch.no_grad():
        return engine.extract_features(batch["img"])


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("key", VARIANTS)
def test_each_variant_is_one_key(key: str) -> None:
    value, field = VARIANTS[key]
    assert mip_options(config(**{key: value})) == mip_paper(**{field: value})
    assert mip_options(config(**{key: value, "mip.preset": "mip_release"})) == mip_release(**{field: value})


@pytest.mark.parametrize("name", ["transreid_vit_tiny_patch16", "vit_tiny_patch16_reid", "shared_vit_tiny_patch16"])
def test_the_baselines_keep_their_options_and_follow_after_bn(sysu_root: Path, name: str) -> None:
    facts = DataFacts(6, ("visible", "infrared"), 1, (64, 32))
    before, after = (
        method_named(name).arguments(tiny(sysu_root, **{"model.name": name, **flag}), facts, False)["options"]
        for flag in ({}, {"baselines.after_bn": True})
    )
    options = MODELS[name].keywords["options"]
    assert before == options
    assert after == dataclasses.replace(options, after_bn=True)


def test_the_modality_embedding_replaces_the_prompts() -> None:
    changes = {"modality_embedding": True, "modality_prompts": False}
    assert mip_options(config(**{f"mip.{name}": value for name, value in changes.items()})) == mip_paper(**changes)
    with pytest.raises(ValueError, match="mip: modality_embedding=True stands in for the modality prompts"):
        mip_options(config(**{"mip.modality_embedding": True}))


def test_by_default_the_options_are_the_presets() -> None:
    assert mip_options(config()) == mip_paper()
    assert mip_options(config(**{"mip.preset": "mip_release"})) == mip_release()


def test_a_bank_learns_at_the_rate_of_prompts() -> None:
    roles = {name: role for name, _, role in parameter_roles(PromptBank(4, 16))}
    assert roles == {"library": "prompts", "selector.weight": "base", "selector.bias": "bias"}


def test_bfloat16_trains_and_extracts_like_float32(sysu_root: Path) -> None:
    """Loss within 0.2 %, descriptors within 0.5 % and gradients within 1 % of float32, in the L2 norm."""
    full, half = (engine_of(tiny(sysu_root, **{"train.amp": amp})) for amp in (False, True))
    batch = next(iter(full.train_loader))
    features = {engine.steps.amp: extract(engine, batch) for engine in (full, half)}
    assert features[True].dtype == torch.float32
    assert 0 < relative(features[True], features[False]) < 0.005
    (loss, gradients), (half_loss, half_gradients) = step(full, batch), step(half, batch)
    assert loss.keys() == half_loss.keys()
    assert half_loss["loss"] == pytest.approx(loss["loss"], rel=0.002)
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in half_gradients.values())
    joined = [torch.cat([gradient.flatten() for gradient in one.values()]) for one in (half_gradients, gradients)]
    assert 0 < relative(*joined) < 0.01


def assert_compiled_like_plain(plain: PromptEngine, compiled: PromptEngine) -> None:
    batch = next(iter(plain.train_loader))
    torch.testing.assert_close(extract(compiled, batch), extract(plain, batch), rtol=1e-4, atol=1e-5)
    (loss, gradients), (compiled_loss, compiled_gradients) = step(plain, batch), step(compiled, batch)
    assert compiled_loss == pytest.approx(loss, rel=1e-4)
    for name, gradient in gradients.items():
        torch.testing.assert_close(compiled_gradients[name], gradient, rtol=1e-3, atol=1e-5)
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())


@pytest.mark.slow
def test_a_compiled_model_gives_the_same_numbers(sysu_root: Path) -> None:
    """And is one graph in evaluation and one in training: nothing falls back to the interpreter."""
    torch.compiler.reset()
    plain, compiled = engine_of(tiny(sysu_root)), engine_of(tiny(sysu_root))
    counter = CompileCounterWithBackend("aot_eager")
    compile_model(compiled.model, backend=counter)
    assert_compiled_like_plain(plain, compiled)
    assert counter.frame_count == 2


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
def test_the_key_compiles_with_inductor(sysu_root: Path) -> None:
    torch.compiler.reset()
    small = {"backbone.vit.depth": 2, "mip.jpm": False}
    plain, compiled = (engine_of(tiny(sysu_root, **small, **{"train.compile": key})) for key in (False, True))
    batch = next(iter(plain.train_loader))
    torch.testing.assert_close(extract(compiled, batch), extract(plain, batch), rtol=1e-4, atol=1e-5)
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())


def test_every_option_of_steps_and_selection_has_a_key() -> None:
    cfg = config(**{"train.ema": 0.5, "test.select": "test", "train.patience": 3})
    for options, kwargs in ((StepOptions, step_kwargs), (SelectionOptions, selection_kwargs)):
        assert {field.name for field in dataclasses.fields(options)} == set(kwargs(cfg))
    assert StepOptions(**step_kwargs(config())) == StepOptions()
    assert SelectionOptions(**selection_kwargs(config())) == SelectionOptions()
    assert StepOptions(**step_kwargs(cfg)).ema == 0.5
    assert SelectionOptions(**selection_kwargs(cfg)) == SelectionOptions("test", patience=3)


def test_activation_checkpoints_are_for_models_that_know_them() -> None:
    model = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"train\.checkpoint_blocks: Linear cannot recompute its blocks"):
        build.checkpoint_blocks(model)
    model.checkpoint_blocks = False
    build.checkpoint_blocks(model)
    assert model.checkpoint_blocks is True


def test_without_a_compiler_the_key_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"train\.compile needs a C\+\+ compiler"):
        compile_model(torch.nn.Linear(1, 1))


def test_layers_to_open_have_to_exist(sysu_root: Path) -> None:
    cfg = tiny(sysu_root, **{"train.fixbase_epoch": 1, "train.open_layers": ["nope"]})
    data = build_datamanager(cfg, use_gpu=False)
    with pytest.raises(ValueError, match=r"train\.open_layers: the model has no nope, but backbone, "):
        build_engine(cfg, data, build_model(cfg, data, use_gpu=False), use_gpu=False)


def test_the_loss_on_prompts_wants_a_model_that_has_some(sysu_root: Path) -> None:
    cfg = tiny(sysu_root, **{"model.name": "osnet_x0_25"})
    with pytest.raises(ValueError, match=r"loss\.name prompt: osnet_x0_25 is a model of torchreid.*softmax or triplet"):
        build.build_criterion(cfg, torch.nn.Linear(1, 1))
