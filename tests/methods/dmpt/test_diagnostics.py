"""Measures of DMPT's prompts, against slow twins."""

from __future__ import annotations

import math

import pytest
import torch
from dmpt_models import exchange, tiny_dmpt, triples
from torch import Tensor

from promptreid.methods.base import method_of
from promptreid.methods.dmpt.diagnostics import bind_entropy, diagnose, relative_distance


def batches(count: int = 2) -> list[dict[str, object]]:
    return [{"img": _Batch(triples(4, seed=n)), "pid": torch.tensor([0, 0, 1, 1])} for n in range(count)]


class _Batch(dict):  # type: ignore[type-arg]
    def to(self, device: object) -> _Batch:
        return self


def test_measures_of_a_model_against_a_twin() -> None:
    model = exchange(tiny_dmpt()).eval()
    measures, identities = diagnose(model, [batches()])
    assert identities == 2 and set(measures.labels) == set(vars(measures))
    assert [len(getattr(measures, name)) for name in measures.labels] == [4, 4, 4, 2, 4, 4]
    inspections = [model.inspect(batch["img"]) for batch in batches()]
    masses = torch.cat(
        [sum(mass for name, mass in each.mass().items() if name not in ("class", "patches")) for each in inspections],
        dim=1,
    )
    assert measures.attention == pytest.approx(masses.mean(dim=1).tolist(), abs=1e-6)
    prompts = model.semantic_prompts.prompts.detach()
    assert measures.length == pytest.approx([float(layer.norm(dim=1).mean()) for layer in prompts])
    words: Tensor = model.word_prompts(torch.arange(3)).detach()
    assert measures.distance[0] == pytest.approx(relative_distance(list(words)), abs=1e-5)
    assert method_of(model).diagnose(model, [batches()])[0] == measures


def test_semantic_prompts_that_show_the_identity_are_recognised() -> None:
    """Images of one identity are the same picture, others are not: the nearest mean is always right within a band."""
    model, (batch, _) = tiny_dmpt().eval(), batches()
    images = batch["img"]["images"]
    images[1], images[3] = images[0], images[2]
    measures, _ = diagnose(model, [[batch]])
    assert measures.within == [1.0] * 4


def test_distance_and_entropy_by_hand() -> None:
    one, other = torch.tensor([[3.0, 4.0], [0.0, 5.0]]), torch.tensor([[3.0, -4.0], [0.0, 5.0]])
    assert relative_distance([one, other]) == pytest.approx((8 + 0) / 2 / 5)
    assert math.isnan(relative_distance([one]))
    weights = torch.zeros(1, 2, 1, 1, 2, 2)
    weights[0, 0, 0, 0, 1] = torch.tensor([0.5, 0.5])
    weights[0, 1, 0, 0, 0] = torch.tensor([0.25, 0.75])
    expected = (1 + -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(2)) / 2
    assert bind_entropy(weights) == pytest.approx(expected)
    assert math.isnan(bind_entropy(torch.zeros(1, 2, 1, 1, 2, 2)))


def test_what_a_model_lacks_is_empty_and_none_is_an_error() -> None:
    measures, _ = diagnose(tiny_dmpt(semantic=False, bind=False).eval(), [batches(1)])
    assert (measures.length, measures.within, measures.across, measures.entropy) == ([], [], [], [])
    bare = tiny_dmpt(semantic=False, bind=False, words=False).eval()
    with pytest.raises(ValueError, match=r"it has no prompts; switch on dmpt\.semantic"):
        diagnose(bare, [batches(1)])
