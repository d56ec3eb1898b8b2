"""A compiled or exported model does what the same model does without: whatever images are missing, in training too."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import Any

import pytest
import torch
from dmpt_models import BESIDE, TOWER, awake, exchange, tiny_dmpt, triples
from torch import Tensor, nn

from promptreid.methods.baselines.multi_stream import MultiStream
from promptreid.methods.baselines.vits import transreid, vit_reid
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.mip.loss import MIPLoss
from promptreid.methods.mip.model import build_mip, mip_paper

pytestmark = pytest.mark.slow

PATTERNS = [list(flags) for flags in itertools.product([True, False], repeat=3) if any(flags)]
PIDS = torch.tensor([0, 0, 1, 1, 2, 2, 3])
VIT = {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
TRIPLE = ("visible", "near_infrared", "thermal_infrared")
CLIP = {**TOWER, "vision_cfg": {**TOWER["vision_cfg"], "layers": 2}}
TIMM = {"backbone": "vit_tiny_patch16_224", "word_source": "learned", "alignment": False, "tower": VIT}


def mip(loss: str = "prompt", images: int = 3, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    settings: Any = {"stride": 8, "drop_path": 0.0, "cameras": 4, "vit": VIT, "modalities": TRIPLE}
    chosen = mip_paper(**{"prompt_dropout": 0.0, "prompt_length": 2, "after_bn": True, **options})
    return build_mip(7, loss, pretrained=False, options=chosen, images_per_sample=images, **settings)


def dmpt(loss: str = "prompt", images: int = 3, **options: Any) -> nn.Module:
    model = tiny_dmpt(loss, images_per_sample=images, **{"tower": CLIP, "semantic_length": 2, **options})
    return model if model.bind is None else exchange(model)


def streams(loss: str = "triplet") -> nn.Module:
    torch.manual_seed(0)
    stream = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return MultiStream([stream() for _ in range(3)], 8, 7, loss)


TRIPLES = {
    "mip": mip,
    "dmpt": dmpt,
    "dmpt single": lambda loss="prompt": dmpt(loss, classifier="single", after_bn=True),
    "dmpt, timm's tower": lambda loss="prompt": dmpt(loss, **TIMM),
    "dmpt and all beside it": lambda loss="prompt": awake(dmpt(loss, **BESIDE)),
    "dmpt, timm's tower, low rank": lambda loss="prompt": awake(dmpt(loss, **TIMM, lora=2, exchange=3, bind=False)),
    "streams": lambda loss="triplet": streams(),
}
SINGLES = {
    "mip of one": lambda loss="prompt": mip(loss, 1),
    "mip of one, BN by modality": lambda loss="prompt": mip(loss, 1, modality_bn=True),
    "dmpt of one": lambda loss="prompt": dmpt(loss, 1),
}
MODELS = {**TRIPLES, **SINGLES}
COMPILED = [*((name, "eager") for name in MODELS), *((name, "aot_eager") for name in ("mip", "dmpt single", "streams"))]


@pytest.fixture(autouse=True)
def fresh() -> Any:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def incomplete(seed: int = 1) -> dict[str, Tensor]:
    """A sample of every pattern; what a missing image shows must not matter."""
    batch = triples(len(PATTERNS), seed=seed)
    batch["present"] = torch.tensor(PATTERNS)
    batch["images"][~batch["present"]] = torch.nan
    return batch


def batch_for(name: str) -> dict[str, Tensor]:
    if name not in SINGLES and name != "transreid":
        return incomplete()
    batch = triples(len(PATTERNS), count=1)
    batch["modality"] = (torch.arange(len(PATTERNS)) % 2)[:, None]
    return batch


def leaves(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    return [leaf for part in (output.values() if isinstance(output, dict) else output) for leaf in leaves(part)]


def rows(batch: dict[str, Tensor], chosen: slice) -> dict[str, Tensor]:
    return {key: value[chosen] for key, value in batch.items()}


@pytest.mark.parametrize(("name", "backend"), COMPILED)
@torch.no_grad()
def test_compiled_descriptors_are_the_plain_ones(name: str, backend: str) -> None:
    model, batch = MODELS[name]().eval(), batch_for(name)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(batch), model(batch), atol=2e-5, rtol=1e-4)
    assert compiled(batch).isfinite().all()


@pytest.mark.parametrize("name", ["mip", "dmpt", "streams"])
@torch.no_grad()
def test_batches_that_lack_the_same_need_no_other_program(name: str) -> None:
    model = TRIPLES[name]().eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for pattern in PATTERNS:
        batch = triples()
        batch["present"] = torch.tensor(pattern).expand(4, 3).clone()
        with torch.compiler.set_stance("default" if pattern == PATTERNS[0] else "fail_on_recompile"):
            described = compiled(batch)
        torch.testing.assert_close(described, model(batch), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "backend"), COMPILED)
def test_compiled_training_learns_the_same(name: str, backend: str) -> None:
    """Loss, gradients and running statistics, with images missing."""
    plain, compiled = MODELS[name]().train(), MODELS[name]().train()
    compiled.compile(backend=backend)
    losses = [loss_of(model, name, batch_for(name)) for model in (plain, compiled)]
    torch.testing.assert_close(losses[1], losses[0], atol=2e-5, rtol=1e-4)
    for loss in losses:
        loss.backward()
    for (key, one), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        first, second = (torch.zeros_like(p) if p.grad is None else p.grad for p in (one, other))
        torch.testing.assert_close(second, first, atol=1e-4, rtol=1e-3, msg=lambda m, key=key: f"{key}: {m}")
    for (key, one), other in zip(plain.named_buffers(), compiled.buffers(), strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4, msg=lambda m, key=key: f"{key}: {m}")


def loss_of(model: nn.Module, name: str, batch: dict[str, Tensor]) -> Tensor:
    output = model(batch)
    if name == "streams":
        return nn.functional.cross_entropy(output[0], PIDS) + output[1].square().sum()
    criterion = DMPTLoss() if name.startswith("dmpt") else MIPLoss.paper()
    if name.startswith("dmpt") and "alignment_logits" not in output:
        criterion = DMPTLoss(alignment_weight=0)
    total, parts = criterion(output, PIDS)
    assert all(part.isfinite() for part in parts.values())
    return total


def test_a_step_that_is_compiled_with_its_loss_is_the_same() -> None:
    model, batch = dmpt(classifier="single").train(), incomplete()
    expected = DMPTLoss()(model(batch), PIDS)[0]
    step = torch.compile(lambda inputs: DMPTLoss()(model(inputs), PIDS)[0], backend="eager")
    torch.testing.assert_close(step(batch), expected, atol=2e-5, rtol=1e-4)


EXPORTED = {
    **{name: MODELS[name] for name in ("mip", "dmpt", "dmpt, timm's tower", "streams", "mip of one", "dmpt of one")},
    "dmpt without bind": lambda: dmpt(bind=False),
    "dmpt and all beside it": MODELS["dmpt and all beside it"],
    "shared vit": lambda: mip(**asdict(vit_reid())),
    "transreid": lambda: mip("prompt", 1, **asdict(transreid())),
}


@pytest.mark.parametrize("name", EXPORTED)
@torch.no_grad()
def test_exported_descriptors_at_other_batch_sizes(name: str) -> None:
    model, batch = EXPORTED[name]().eval(), batch_for(name)
    size = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (batch,), dynamic_shapes=({key: {0: size} for key in batch},)).module()
    for chosen in (slice(0, 7), slice(0, 1), slice(2, 5)):
        torch.testing.assert_close(exported(rows(batch, chosen)), model(rows(batch, chosen)), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["mip", "dmpt single"])
def test_exported_training_gives_the_same_outputs(name: str) -> None:
    model, batch = MODELS[name]("triplet").train(), batch_for(name)
    exported = torch.export.export(model, (batch,)).module()
    for one, other in zip(leaves(exported(batch)), leaves(MODELS[name]("triplet").train()(batch)), strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["mip of one", "mip", "dmpt", "streams"])
@torch.no_grad()
def test_plain_images_are_exported_with_any_batch_size(name: str) -> None:
    model = MODELS[name]().eval()
    images = triples(3, count=1)["images"][:, 0]
    size = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (images,), dynamic_shapes=({0: size},)).module()
    torch.testing.assert_close(exported(images[:2]), model(images[:2]), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["mip", "dmpt", "streams"])
@torch.no_grad()
def test_programs_refuse_what_models_refuse(name: str) -> None:
    model, batch = MODELS[name]().eval(), incomplete()
    programs = [torch.compile(model, backend="aot_eager"), torch.export.export(model, (batch,)).module()]
    empty = {**batch, "present": batch["present"] & (torch.arange(7) != 2)[:, None]}
    for program in programs:
        program(batch)
        with pytest.raises(RuntimeError, match=r"modality ids must be in 0\.\.2; build the model"):
            program({**batch, "modality": batch["modality"] + 1})
        with pytest.raises(RuntimeError, match="has no image"):
            program(empty)


def test_a_compiled_training_refuses_cameras_that_it_does_not_know() -> None:
    model, batch = mip().train(), incomplete()
    model.compile(backend="aot_eager")
    with pytest.raises(RuntimeError, match="camera ids are outside the table of 4; build the model with more cameras"):
        model({**batch, "camera": batch["camera"] + 4})
