from __future__ import annotations

import pytest
import torch

from promptreid.losses.global_local import GlobalLocalLoss
from promptreid.losses.iael import InstanceAwareEnhancementLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.msel import ModalitySharedEnhancementLoss
from promptreid.losses.triplet import BatchHardTripletLoss
from promptreid.methods.mip.loss import MIPLoss

PIDS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])


@pytest.fixture
def output():
    generator = torch.Generator().manual_seed(0)
    return {
        "logits": list(torch.randn(5, 8, 3, generator=generator).requires_grad_()),
        "features": list(torch.randn(5, 8, 6, generator=generator).requires_grad_()),
        "prompt_logits": list(torch.randn(2, 8, 3, generator=generator).requires_grad_()),
        "modality": torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]),
    }


def by_hand(output):
    return {
        "identity": GlobalLocalLoss(IdentityLoss())(output["logits"], PIDS).item(),
        "triplet": GlobalLocalLoss(BatchHardTripletLoss())(output["features"], PIDS).item(),
        "msel": GlobalLocalLoss(ModalitySharedEnhancementLoss())(output["features"], PIDS, output["modality"]).item(),
        "iael": InstanceAwareEnhancementLoss()(output["prompt_logits"], PIDS).item(),
    }


def test_the_papers_sum(output):
    total, parts = MIPLoss.paper()(output, PIDS)
    hand = by_hand(output)
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(
        {name: hand[name] for name in ("identity", "triplet", "iael")}
    )
    assert total.item() == pytest.approx(hand["identity"] + hand["triplet"] + 0.5 * hand["iael"], abs=1e-5)


@pytest.mark.parametrize(("epoch", "active"), [(1, False), (9, False), (10, True), (80, True)])
def test_the_releases_sum(output, epoch, active):
    loss = MIPLoss.release()
    loss.set_epoch(epoch)
    total, parts = loss({**output, "prompt_logits": []}, PIDS)
    hand = by_hand(output)
    assert ("msel" in parts) == active
    expected = hand["identity"] + hand["triplet"] + active * 0.5 * hand["msel"]
    assert total.item() == pytest.approx(expected, abs=1e-5)


def test_weights_scale_the_total_but_not_the_parts(output):
    one, parts = MIPLoss(1, 0, 0, 0)(output, PIDS)
    two, same = MIPLoss(2, 0, 0, 0)(output, PIDS)
    assert two.item() == pytest.approx(2 * one.item())
    assert set(parts) == set(same) == {"identity"}
    assert same["identity"].item() == pytest.approx(one.item())


def test_the_total_can_be_differentiated_and_the_parts_are_detached(output):
    total, parts = MIPLoss.paper(msel_weight=0.5, msel_start_epoch=1)(output, PIDS)
    gradients = torch.autograd.grad(total, output["logits"] + output["features"] + output["prompt_logits"])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert not any(part.requires_grad for part in parts.values())


def test_a_model_without_prompt_heads_needs_an_iael_weight_of_zero(output):
    with pytest.raises(ValueError, match="iael=True"):
        MIPLoss.paper()({**output, "prompt_logits": []}, PIDS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"msel_weight": -1.0}, "msel"),
        ({"msel_start_epoch": -1}, "at least 0"),
        ({"identity_weight": 0, "triplet_weight": 0}, "both 0"),
        ({"margin": -1.0}, "margin"),
        ({"global_weight": 2.0}, "global_weight"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MIPLoss(**settings)
