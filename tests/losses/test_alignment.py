from __future__ import annotations

import pytest
import torch

from promptreid.losses.alignment import ModalityTextLoss
from promptreid.models.present_images import NO_IMAGE


def slow_twin(logits: torch.Tensor, targets: list[int]) -> float:
    """Both contrasts as loops over the images that are there."""
    rows = [number for number, target in enumerate(targets) if target != NO_IMAGE]
    among_sentences = among_images = 0.0
    for row in rows:
        own = logits[row, targets[row]].exp()
        among_sentences -= float((own / logits[row].exp().sum()).log())
        among_images -= float((own / sum(logits[other, targets[row]].exp() for other in rows)).log())
    return (among_sentences + among_images) / 2 / len(rows)


@pytest.mark.parametrize("targets", [[0, 1, 2, 0], [2, 2, 2, 2], [1, NO_IMAGE, 0, NO_IMAGE]])
def test_symmetric_is_the_mean_of_both_contrasts(targets: list[int]) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double, requires_grad=True)
    loss = ModalityTextLoss(symmetric=True)(logits, torch.tensor(targets))
    assert float(loss.detach()) == pytest.approx(slow_twin(logits.detach(), targets))
    loss.backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    for row, target in enumerate(targets):
        assert bool(logits.grad[row].any()) == (target != NO_IMAGE)


def test_golden_values() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([0, 1])
    assert float(ModalityTextLoss()(logits, targets)) == pytest.approx((0.126928 + 0.313262) / 2, abs=1e-5)
    assert float(ModalityTextLoss(symmetric=True)(logits, targets)) == pytest.approx(0.220095, abs=1e-5)
    assert float(ModalityTextLoss(symmetric=True)(logits.half(), targets)) == pytest.approx(0.220095, abs=1e-3)
