from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from promptreid.losses.alignment import ModalityTextLoss
from promptreid.losses.triplet import BatchHardTripletLoss
from promptreid.methods.dmpt.loss import DMPTLoss

PIDS = torch.tensor([0, 0, 1, 1])


def output(heads: int = 1, present=None):
    generator = torch.Generator().manual_seed(0)
    present = torch.ones(4, 3, dtype=torch.bool) if present is None else present
    return {
        "logits": list(torch.randn(heads, 4, 5, generator=generator).requires_grad_()),
        "features": list(torch.randn(heads, 4, 6, generator=generator).requires_grad_()),
        "present": present,
        "modality": torch.arange(3).repeat(4)[present.flatten()],
        "alignment_logits": torch.randn(int(present.sum()), 3, generator=generator).requires_grad_(),
    }


def smoothed(logits, pids, smoothing=0.1):
    logs = logits.log_softmax(dim=1)
    own = logs[torch.arange(len(pids)), pids]
    return (-(1 - smoothing) * own - smoothing * logs.mean(dim=1)).mean().item()


def test_the_sum_with_a_joint_head():
    given = output()
    total, parts = DMPTLoss()(given, PIDS)
    hand = {
        "identity": smoothed(given["logits"][0], PIDS),
        "triplet": BatchHardTripletLoss()(given["features"][0], PIDS).item(),
        "alignment": -given["alignment_logits"].log_softmax(1).gather(1, given["modality"][:, None]).mean().item(),
    }
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(hand, abs=1e-6)
    assert total.item() == pytest.approx(0.25 * hand["identity"] + hand["triplet"] + hand["alignment"], abs=1e-6)
    assert not any(part.requires_grad for part in parts.values())


def test_heads_of_slots_are_averaged():
    given = output(heads=3)
    parts = DMPTLoss()(given, PIDS)[1]
    assert parts["identity"].item() == pytest.approx(sum(smoothed(head, PIDS) for head in given["logits"]) / 3)
    triplet = BatchHardTripletLoss()
    expected = sum(triplet(head, PIDS).item() for head in given["features"]) / 3
    assert parts["triplet"].item() == pytest.approx(expected, abs=1e-6)


def test_rows_without_an_image_count_in_no_slots_head():
    present = torch.tensor([[True, True, False], [True, False, False], [True, True, False], [True, True, False]])
    given = output(heads=3, present=present)
    total, parts = DMPTLoss()(given, PIDS)
    rows = torch.tensor([0, 2, 3])
    expected = (smoothed(given["logits"][0], PIDS) + smoothed(given["logits"][1][rows], PIDS[rows])) / 2
    assert parts["identity"].item() == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(total, given["logits"][1], retain_graph=True)
    assert gradient[1].abs().max() == 0
    assert torch.autograd.grad(total, given["logits"][2], allow_unused=True)[0] is None


def test_a_joint_head_counts_every_sample():
    present = torch.tensor([[True, True, False]] * 4)
    one, two = output(present=present), output()
    assert DMPTLoss(alignment_weight=0)(one, PIDS)[0] == DMPTLoss(alignment_weight=0)(two, PIDS)[0]


def test_parts_of_weight_zero_are_not_computed():
    given = {key: value for key, value in output().items() if key != "alignment_logits"}
    assert set(DMPTLoss(alignment_weight=0)(given, PIDS)[1]) == {"identity", "triplet"}
    assert set(DMPTLoss(0, 1, 0)({**given, "logits": None}, PIDS)[1]) == {"triplet"}
    with pytest.raises(ValueError, match="build the model with alignment True, or set alignment_weight to 0"):
        DMPTLoss()(given, PIDS)


def test_weights_scale_the_total():
    given = output()
    single, parts = DMPTLoss(1, 0, 0)(given, PIDS)
    assert DMPTLoss(3, 0, 0)(given, PIDS)[0].item() == pytest.approx(3 * single.item())
    assert single.item() == pytest.approx(parts["identity"].item())
    assert DMPTLoss(1, 0, 0, label_smoothing=0)(given, PIDS)[0].item() == pytest.approx(
        smoothed(given["logits"][0], PIDS, 0)
    )
    assert DMPTLoss(0, 1, 0, margin=0.3)(given, PIDS)[0].item() == pytest.approx(
        BatchHardTripletLoss(0.3)(given["features"][0], PIDS).item()
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [((-1, 1, 1), "at least 0"), ((0.25, 1, -0.1), "alignment"), ((0, 0, 1), "nothing tells identities apart")],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        DMPTLoss(*weights)


def test_alignment_golden_values():
    loss = ModalityTextLoss()
    assert loss(torch.zeros(6, 3), torch.arange(6) % 3).item() == pytest.approx(math.log(3))
    logits = torch.tensor([[100.0, 0, 0], [0, 0, 100.0]])
    assert loss(logits, torch.tensor([0, 2])).item() == pytest.approx(0, abs=1e-6)
    assert loss(logits, torch.tensor([1, 2])).item() == pytest.approx(50)
    cosines = torch.tensor([[0.3, 0.2, 0.1]])
    weights = [math.exp(value / 0.1) for value in (0.3, 0.2, 0.1)]
    expected = -math.log(weights[1] / sum(weights))
    assert loss(cosines / 0.1, torch.tensor([1])).item() == pytest.approx(expected)


def test_alignment_gradients():
    logits = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: ModalityTextLoss()(x, torch.tensor([0, 1, 2, 0, 1])), (logits,))
    assert F.cross_entropy(logits, torch.arange(5) % 3) == ModalityTextLoss()(logits, torch.arange(5) % 3)
