"""Models and losses in half precision, under autocast, torch.func and inference mode."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from dmpt_models import BESIDE, awake, exchange, tiny_dmpt, triples
from torch import Tensor, nn

from promptreid.engine.weight_average import WeightAverage
from promptreid.losses.alignment import ModalityTextLoss
from promptreid.losses.distance import zero_of
from promptreid.losses.iael import InstanceAwareEnhancementLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.triplet import BatchHardTripletLoss
from promptreid.methods.baselines.multi_stream import MultiStream
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.prefix_cache import PrefixCache
from promptreid.methods.mip.loss import MIPLoss
from promptreid.methods.mip.model import build_mip, mip_paper
from promptreid.models.backbones.clip_image import quick_gelu

PIDS = torch.tensor([0, 0, 1, 1])
VIT = {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
TRIPLE = ("visible", "near_infrared", "thermal_infrared")
TIMM = {"backbone": "vit_tiny_patch16_224", "word_source": "learned", "alignment": False, "tower": VIT}


def mip(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    settings: Any = {"stride": 8, "drop_path": 0.0, "cameras": 4, "vit": VIT, "modalities": TRIPLE}
    return build_mip(5, "prompt", pretrained=False, options=mip_paper(**options), images_per_sample=3, **settings)


def streams() -> nn.Module:
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten()) for _ in TRIPLE]
    return MultiStream(nets, 8, 5, "triplet")


MODELS: dict[str, Any] = {
    "dmpt": tiny_dmpt,
    "dmpt after BN": lambda: tiny_dmpt(after_bn=True, classifier="single"),
    "dmpt with context": lambda: tiny_dmpt(context_words=2),
    "dmpt, timm's tower, camera": lambda: tiny_dmpt(**TIMM, sie_weight=1.0, cameras=4),
    "dmpt and all beside it": lambda: awake(tiny_dmpt(**BESIDE)),
    "dmpt, all trained": lambda: tiny_dmpt(frozen=False),
    "mip": mip,
    "mip after BN": lambda: mip(after_bn=True, iael_pooling="query"),
    "streams": streams,
}


def loss_of(output: Any) -> Tensor:
    if isinstance(output, tuple):
        return IdentityLoss()(output[0], PIDS) + BatchHardTripletLoss()(output[1], PIDS)
    if "alignment_logits" in output:
        return DMPTLoss()(output, PIDS)[0]
    return (MIPLoss(iael_weight=0.5) if output["prompt_logits"] else DMPTLoss(alignment_weight=0))(output, PIDS)[0]


def incomplete() -> dict[str, Tensor]:
    batch = triples()
    batch["present"][0, 1] = batch["present"][2, 0] = batch["present"][3, 0] = batch["present"][1, 0] = False
    return batch


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MODELS)
def test_cast_models_take_and_give_float32_and_learn(name: str, dtype: torch.dtype) -> None:
    full, model = MODELS[name]().eval(), MODELS[name]().to(dtype)
    for batch in (triples(), incomplete()):
        loss = loss_of(model.train()(batch))
        assert loss.dtype == torch.float32 and loss.isfinite()
        loss.backward()
        assert all(p.grad is None or (p.grad.dtype == dtype and p.grad.isfinite().all()) for p in model.parameters())
    cast = MODELS[name]().to(dtype).eval()
    with torch.no_grad():
        described = cast(triples())
        assert described.dtype == torch.float32
        assert F.cosine_similarity(described, full(triples())).min() > 0.99


def test_alignment_logits_are_exact_under_autocast() -> None:
    model = tiny_dmpt()
    features = torch.randn(6, 24, generator=torch.Generator().manual_seed(0))
    expected = F.normalize(features.double(), dim=1) @ model.alignment.sentences().double().T / 0.01
    with torch.autocast("cpu", torch.bfloat16):
        assert model.alignment(features).dtype == torch.float32
        assert (model.alignment(features) - expected).abs().max() < 1e-4
        context = tiny_dmpt(context_words=2)
        assert context.alignment(features).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_computed_in_float32(dtype: torch.dtype) -> None:
    logits = (20 * torch.randn(4, 7, generator=torch.Generator().manual_seed(0))).to(dtype)
    for criterion in (IdentityLoss(0.1), ModalityTextLoss(), BatchHardTripletLoss()):
        assert criterion(logits, PIDS).dtype == torch.float32
        assert torch.equal(criterion(logits, PIDS), criterion(logits.float(), PIDS))
    several = InstanceAwareEnhancementLoss()([logits, logits], PIDS)
    assert torch.equal(several, InstanceAwareEnhancementLoss()([logits.float()] * 2, PIDS))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_nothing_to_compare_is_zero_whatever_the_size_of_the_features(dtype: torch.dtype) -> None:
    features = torch.full((64, 512), torch.finfo(dtype).max / 2, dtype=dtype, requires_grad=True)
    zero = zero_of(features)
    zero.backward()
    assert zero == 0 and not features.grad.any()
    assert BatchHardTripletLoss()(features, torch.zeros(64)) == 0


def test_msel_says_that_samples_of_all_modalities_are_not_for_it() -> None:
    output = mip().train()(triples())
    with pytest.raises(ValueError, match=r"4 samples with 12 images: .* give MSEL the weight 0"):
        MIPLoss(msel_weight=0.5, msel_start_epoch=0)(output, PIDS)


def test_quick_gelu_is_for_torch_func() -> None:
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = lambda v: v * torch.sigmoid(1.702 * v)  # noqa: E731
    for function in (quick_gelu, plain):
        torch.testing.assert_close(function(x), plain(x))
    total = lambda f: lambda row: f(row).sum()  # noqa: E731
    expected = torch.func.vmap(torch.func.grad(total(plain)))(x)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(total(quick_gelu)))(x), expected)
    assert torch.autograd.gradcheck(quick_gelu, (x.requires_grad_(),))


def test_gradients_of_a_whole_model_by_torch_func() -> None:
    model, images = tiny_dmpt("triplet").eval(), triples()["images"]
    trained = dict(model.named_parameters())
    found = torch.func.grad(lambda p: torch.func.functional_call(model, p, (images,))[:, 0].sum())(trained)
    model(images)[:, 0].sum().backward()
    torch.testing.assert_close(found["semantic_prompts.prompts"], model.semantic_prompts.prompts.grad)


@pytest.mark.parametrize("name", ["dmpt", "dmpt, timm's tower, camera", "mip"])
def test_models_built_and_run_in_inference_mode_can_be_trained(name: str) -> None:
    with torch.inference_mode():
        model = MODELS[name]()
        described = model.eval()(triples(size=(32, 64)))
    assert not any(tensor.is_inference() for tensor in model.state_dict().values())
    loss_of(model.train()(triples(size=(32, 64)))).backward()
    assert torch.allclose(model.eval()(triples(size=(32, 64))), described, atol=0.5)


@torch.inference_mode()
def test_weights_of_inference_mode_have_no_cache() -> None:
    cache, weight = PrefixCache(2**20), torch.ones(1)
    seen: list[int] = []
    for _ in range(2):
        cache(torch.ones(2, 3, 4, 4), lambda images: (seen.append(len(images)), images)[1], [weight])
    assert seen == [2, 2] and len(cache) == 0


def test_averaged_weights_bring_the_text_along() -> None:
    trained = exchange(tiny_dmpt())
    average = WeightAverage(trained, 0.5)
    model = tiny_dmpt(text_from_state=True)
    with average.applied(model), torch.no_grad():
        assert torch.equal(model.eval()(triples()), trained.eval()(triples()))
    with pytest.raises(ValueError, match="no state dict brought what the tower says"):
        tiny_dmpt(text_from_state=True)(triples())
