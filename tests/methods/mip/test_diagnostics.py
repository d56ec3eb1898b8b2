"""The measures of prompts: by hand, against slow twins, and what may not change them."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway
from torch import Tensor

from promptreid.methods.mip.diagnostics import (
    RelativeSpread,
    identity_variance_ratio,
    instance_prompt_spread,
    modality_prompt_cosine,
    modality_prompt_distance,
    prompt_accuracy,
    relative_spread,
)
from promptreid.methods.mip.model import MIP, mip_paper, mip_release
from promptreid.models.backbones.partial_block import Context

PIDS = torch.tensor([4, 0, 4, 7, 0, 4, 7, 2])  # one identity, 2, has a single image
seeds = settings(max_examples=20, deadline=None)(given(seed=st.integers(0, 10**6)))


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def one_dimensional(values: list[float]) -> list[Tensor]:
    return [torch.tensor(values)[:, None, None]]


def projected(model: MIP, modality: int) -> list[Tensor]:
    """The prompts of one modality in each layer as the forward pass makes them, (j, D)."""
    assert model.modality_prompts is not None
    prompts = [layer[0] for layer in model.modality_prompts.eval()(torch.tensor([modality]))]
    if model.prompt_adapters is None:
        return prompts
    pairs = zip(model.prompt_adapters, prompts, strict=True)
    return [adapter(Context(layer[None])).tokens[0] for adapter, layer in pairs]


def test_distance_by_hand(tiny_mip: Any) -> None:
    model = tiny_mip(options=mip_paper(prompt_length=2))
    mpl = model.modality_prompts
    with torch.no_grad():
        mpl.projection.weight.copy_(2 * torch.eye(32))
        mpl.library.fill_(1.0)
        mpl.library[1, 0, 0, :2] += torch.tensor([3.0, 4.0])  # layer 2, visible, the first of two prompts
    assert modality_prompt_distance(model) == pytest.approx([0, 2 * 5 / 2, 0])


@pytest.mark.parametrize("adapters", [False, True])
@pytest.mark.parametrize("modalities", [("visible", "infrared"), ("RGB", "NIR", "TIR")])
def test_distance_is_that_of_the_prompts_in_the_forward_pass(
    tiny_mip: Any, adapters: bool, modalities: tuple[str, ...]
) -> None:
    model = tiny_mip(options=mip_paper(prompt_adapters=adapters, prompt_length=3), modalities=modalities)
    for adapter in model.prompt_adapters or ():
        torch.nn.init.normal_(adapter.fc2.weight)
    found = modality_prompt_distance(model.train())  # dropout is on in the model, off in the measure
    sets = [projected(model, modality) for modality in range(len(modalities))]
    for layer, distance in enumerate(found):
        expected = [
            (a[layer][t] - b[layer][t]).square().sum().sqrt().item() for a, b in combinations(sets, 2) for t in range(3)
        ]
        assert distance == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_cosine_by_hand(tiny_mip: Any) -> None:
    model = tiny_mip(options=mip_paper(prompt_length=2))
    mpl = model.modality_prompts
    with torch.no_grad():
        mpl.projection.weight.copy_(2 * torch.eye(32))
        mpl.projection.bias.zero_()
        mpl.library.zero_()
        mpl.library[:, :, :, 0] = 1.0  # the same direction in both modalities
        mpl.library[1, 1] = 0.0
        mpl.library[1, 1, :, 1] = 5.0  # another one
        mpl.library[2, 1] = 0.0
        mpl.library[2, 1, 0, 0], mpl.library[2, 1, 1, 1] = 3.0, 3.0  # a mean between both
    assert modality_prompt_cosine(model) == pytest.approx([1, 0, 0.5**0.5], abs=1e-6)


def test_the_order_of_prompts_does_not_matter_to_the_cosine(tiny_mip: Any) -> None:
    model = tiny_mip(options=mip_paper(prompt_length=4))
    with torch.no_grad():
        model.modality_prompts.library[:, 1] = model.modality_prompts.library[:, 0].flip(1)
    assert modality_prompt_cosine(model) == pytest.approx([1, 1, 1])
    assert min(modality_prompt_distance(model)) > 0.1


@pytest.mark.parametrize(
    "options", [mip_paper(naive_prompts=True), mip_paper(modality_prompts=False)], ids=["naive", "none"]
)
def test_without_a_pair_of_modalities_there_is_no_distance(tiny_mip: Any, options: Any) -> None:
    assert (
        modality_prompt_distance(tiny_mip(options=options)) == modality_prompt_cosine(tiny_mip(options=options)) == []
    )
    assert modality_prompt_distance(tiny_mip(modalities=("visible",))) == []


def test_spread_by_hand() -> None:
    image = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])  # distances 5, 0, 5
    prompts = [torch.stack([image, torch.ones(3, 2)])]
    assert instance_prompt_spread(prompts) == pytest.approx([(10 / 3 + 0) / 2])
    assert relative_spread([image[None]]) == pytest.approx([(10 / 3) / (5 / 3)])


def test_zero_queries_have_no_spread_at_all(tiny_mip: Any, batch: dict[str, Tensor]) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            copies, different = (tiny_mip(options=o())(batch)["prompts"] for o in (mip_release, mip_paper))
        assert instance_prompt_spread(copies) == relative_spread(copies) == [0.0, 0.0]
        assert min(relative_spread(different)) > 0.1


def test_more_copies_than_inner_products_would_take() -> None:
    prompts = [10 + draw(0, 2, 1, 768).float().repeat(1, 40, 1)]
    assert instance_prompt_spread(prompts) == [0.0]


def test_one_prompt_has_no_spread_and_zero_prompts_are_copies() -> None:
    assert math.isnan(instance_prompt_spread([torch.ones(2, 1, 3)])[0])
    assert math.isnan(relative_spread([torch.zeros(2, 1, 3)])[0])
    assert relative_spread([torch.zeros(2, 4, 3)]) == [0.0]


@seeds
def test_spread_against_its_slow_twin(seed: int) -> None:
    prompts = draw(seed, 3, 4, 5)
    pairs = [(a - b).norm().item() for image in prompts for a, b in combinations(image, 2)]
    assert instance_prompt_spread([prompts]) == pytest.approx([sum(pairs) / len(pairs)], rel=1e-5)
    assert relative_spread([prompts])[0] == pytest.approx(
        sum(pairs) / len(pairs) / prompts.norm(dim=-1).mean().item(), rel=1e-5
    )


@seeds
def test_what_does_not_change_the_spread(seed: int) -> None:
    prompts, order = draw(seed, 3, 4, 5), torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    spread = instance_prompt_spread([prompts])
    assert instance_prompt_spread([prompts[:, order].flip(0)]) == pytest.approx(spread, rel=1e-5)
    assert instance_prompt_spread([prompts + draw(seed + 1, 3, 1, 5)]) == pytest.approx(spread, rel=1e-5)
    assert instance_prompt_spread([-3 * prompts]) == pytest.approx([3 * spread[0]], rel=1e-5)
    assert relative_spread([-3 * prompts]) == pytest.approx(relative_spread([prompts]), rel=1e-5)
    assert 0 < relative_spread([prompts])[0] <= 2


def test_variance_ratio_by_hand() -> None:
    """Means 1 and 5 around 3: between (2 * 4 + 2 * 4) / 1; within (1 + 1 + 1 + 1) / 2."""
    assert identity_variance_ratio(one_dimensional([0, 4, 2, 6]), torch.tensor([9, 3, 9, 3])) == [8.0]


def test_the_ratio_is_one_of_the_mean_prompt() -> None:
    mean = draw(0, 8, 1, 6)
    apart = 100 * draw(1, 8, 1, 6)
    prompts = [mean, torch.cat([mean + apart, mean - apart], dim=1)]
    first, second = identity_variance_ratio(prompts, PIDS)
    assert first == pytest.approx(second)


@seeds
def test_variance_ratio_against_scipy_and_a_slow_twin(seed: int) -> None:
    prompts = draw(seed, 8, 1, 1)
    groups = [prompts[pid == PIDS, 0, 0].tolist() for pid in PIDS.unique()]
    assert identity_variance_ratio([prompts], PIDS) == pytest.approx([f_oneway(*groups).statistic])

    vectors = draw(seed, 8, 5)
    between = within = 0.0
    for pid in PIDS.unique():
        own = vectors[pid == PIDS]
        between += len(own) * (own.mean(0) - vectors.mean(0)).square().sum().item() / (4 - 1)
        within += sum((one - own.mean(0)).square().sum().item() for one in own) / (8 - 4)
    assert identity_variance_ratio([vectors[:, None]], PIDS) == pytest.approx([between / within])


@seeds
def test_what_does_not_change_the_ratio(seed: int) -> None:
    prompts, order = draw(seed, 8, 3, 5), torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    ratio = pytest.approx(identity_variance_ratio([prompts], PIDS))
    assert identity_variance_ratio([prompts[order]], PIDS[order]) == ratio
    assert identity_variance_ratio([prompts], 100 - PIDS) == ratio
    assert identity_variance_ratio([prompts * -7 + draw(seed + 1, 5)], PIDS) == ratio


def test_prompts_that_know_no_identity_have_ratio_one() -> None:
    assert identity_variance_ratio([draw(0, 64, 4, 512)], torch.arange(64) // 8) == pytest.approx([1], abs=0.1)


def test_prompts_that_show_the_modality_alone_have_ratio_zero() -> None:
    modality = torch.arange(8) % 2
    assert identity_variance_ratio([modality[:, None, None].double()], torch.arange(8) // 2) == [0.0]


def test_variances_of_zero_and_batches_without_one() -> None:
    same = [draw(0, 1, 3, 5).float().expand(4, -1, -1)]
    pairs = torch.tensor([0, 0, 1, 1])
    per_identity = [draw(0, 2, 3, 5).float().repeat_interleave(2, dim=0)]
    assert identity_variance_ratio(same, pairs) == [0.0]
    assert identity_variance_ratio([draw(0, 1, 3, 50).expand(21, -1, -1)], torch.arange(21) // 7) == [0.0]
    assert identity_variance_ratio(per_identity, pairs) == [math.inf]
    undefined = [
        identity_variance_ratio(per_identity, torch.zeros(4)),
        identity_variance_ratio(per_identity, torch.arange(4)),
        identity_variance_ratio([per_identity[0] * math.nan], pairs),
    ]
    assert all(math.isnan(value) for (value,) in undefined)


def test_accuracy_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0], [0.0, 0.0, 1.0]], requires_grad=True)
    assert prompt_accuracy([logits, -logits, logits], torch.tensor([1, 0, 0])) == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    assert prompt_accuracy([], torch.tensor([1])) == []


def test_pids_of_another_batch_are_refused() -> None:
    for measure in (identity_variance_ratio, prompt_accuracy):
        with pytest.raises(ValueError, match="layer 2 has 3 images, but there are 2 pids"):
            measure([torch.ones(2, 1), torch.ones(3, 1)], torch.tensor([0, 1]))


@seeds
def test_the_spread_of_batches_is_that_of_all_images(seed: int) -> None:
    prompts = [draw(seed, 7, 3, 4), 5 * draw(seed + 1, 7, 3, 4)]
    batches = RelativeSpread()
    for rows in (slice(0, 2), slice(2, 3), slice(3, 7)):
        batches.add([layer[rows] for layer in prompts])
    assert batches.of_layers() == pytest.approx(relative_spread(prompts), rel=1e-5)
