"""Weights of each sample's own for the features of its modalities."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from dmpt_models import awake, parts, tiny_dmpt, triples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from promptreid.methods.dmpt.fusion import Fusion
from promptreid.models.present_images import Slots

DIM = 6
flags = st.lists(st.lists(st.booleans(), min_size=5, max_size=5).filter(any), min_size=1, max_size=4)


def slots_for(present: torch.Tensor) -> Slots:
    places = present.flatten().nonzero().squeeze(1)
    modality = places % present.shape[1]
    return Slots(modality.double(), modality, modality, present, None if present.all() else places)


def fusion(modalities: int = 5) -> Fusion:
    torch.manual_seed(0)
    module = Fusion(modalities, DIM).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def slow_twin(module: Fusion, features: torch.Tensor, present: torch.Tensor) -> list[float]:
    rows, result = iter(features.tolist()), []
    for sample in present.tolist():
        powers = []
        for slot in [slot for slot, there in enumerate(sample) if there]:
            feature = next(rows)
            mean = sum(feature) / DIM
            spread = math.sqrt(sum((x - mean) ** 2 for x in feature) / DIM + 1e-5)
            weights = module.weight[slot].tolist()
            score = sum(w * (x - mean) / spread for w, x in zip(weights, feature, strict=True))
            powers.append(math.exp(score + float(module.offset[slot])))
        result += [len(powers) * power / sum(powers) for power in powers]
    return result


@settings(max_examples=25, deadline=None)
@given(flags)
@torch.no_grad()
def test_it_is_its_slow_twin_whatever_is_missing(rows: list[list[bool]]) -> None:
    present = torch.tensor(rows)
    features = torch.randn(int(present.sum()), DIM, dtype=torch.double)
    weights = fusion()(features, slots_for(present))
    assert weights.flatten().tolist() == pytest.approx(slow_twin(fusion(), features, present), rel=1e-9)
    alone = (present.sum(dim=1) == 1)[present.nonzero()[:, 0]]
    assert (weights[alone] == 1).all()


@settings(max_examples=25, deadline=None)
@given(flags)
@torch.no_grad()
def test_it_starts_with_ones_exactly(rows: list[list[bool]]) -> None:
    present = torch.tensor(rows)
    features = torch.randn(int(present.sum()), DIM)
    assert torch.equal(Fusion(5, DIM)(features, slots_for(present)), torch.ones(len(features), 1))


def test_gradients_with_missing_images() -> None:
    present = torch.tensor([[True, True, False], [False, False, True], [True, True, True]])
    module, features = fusion(3), torch.randn(6, DIM, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: module(given, slots_for(present)), (features,))
    assert torch.autograd.gradcheck(lambda *_: module(features.detach(), slots_for(present)), list(module.parameters()))


def test_large_scores_stay_finite() -> None:
    module = fusion(2)
    module.offset.data = torch.tensor([[2000.0], [-2000.0]]).double()
    weights = module(torch.randn(2, DIM).double(), slots_for(torch.ones(1, 2, dtype=torch.bool)))
    weights.sum().backward()
    assert weights.flatten().tolist() == [2.0, 0.0]
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


def test_parameters() -> None:
    assert sum(value.numel() for value in Fusion(3, 512).parameters()) == 3 * 513


@torch.no_grad()
def test_what_is_cut_out_of_a_descriptor_is_what_the_subset_gives() -> None:
    """So that one vector serves every set of modalities."""
    model, batch = awake(tiny_dmpt(fusion=True, bind=False)).eval(), triples()
    whole, slices = model(batch), model.modality_slices(3)
    batch["present"][:, 1] = False
    cut = torch.cat([whole[:, slices[0]], torch.zeros_like(whole[:, slices[1]]), whole[:, slices[2]]], dim=1)
    assert torch.allclose(F.normalize(cut, dim=1), model(batch), atol=1e-6)
    assert not torch.allclose(model(batch), awake(tiny_dmpt(bind=False)).eval()(batch), atol=1e-3), "weights do count"
    normed = tiny_dmpt(fusion=True, bind=False, after_bn=True)
    assert normed.modality_slices(3) is None, "but not where a norm follows"
    assert normed.modality_slices(1) is not None


@torch.no_grad()
def test_heads_and_descriptors_have_weighted_features_and_the_alignment_has_not() -> None:
    model, batch = awake(tiny_dmpt(fusion=True)), triples()
    plain = awake(tiny_dmpt())
    ratio = parts(model, batch) / parts(plain, batch)
    assert torch.allclose(ratio, ratio[..., :1].expand_as(ratio), rtol=1e-3)
    assert torch.allclose(ratio[..., 0].mean(dim=1), torch.ones(4), atol=1e-5)
    assert ratio[..., 0].std() > 0.01
    assert torch.allclose(F.normalize(parts(model, batch).flatten(1), dim=1), model.eval()(batch), atol=1e-6)
    one, other = (each.train()(batch)["alignment_logits"] for each in (model, plain))
    assert torch.equal(one, other)
