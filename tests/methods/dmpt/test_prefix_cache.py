"""The cache of what a frozen tower computes before the first prompt."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from dmpt_models import exchange, parts, tiny_dmpt, triples

from promptreid.engine.weight_average import WeightAverage
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.options import DMPTOptions
from promptreid.methods.dmpt.prefix_cache import PrefixCache

PIDS = torch.tensor([0, 0, 1, 1])
MIB = 2**20
TOKENS = (1 + 4 * 2) * 32  # of an image of 64 x 32 in the tiny tower
VARIANTS = [
    {"first_layer": 2},
    {"first_layer": 3, "bind": False, "deep": False},
    {"first_layer": 2, "prompt_depth": 2, "bind_output": "semantic", "bind_length": 8},
    {"first_layer": 4, "bind": False, "words": False},
]


def cached(limit=MIB, model=None, **settings):
    model = model or tiny_dmpt(**{"first_layer": 3, **settings})
    model.prefix_cache = PrefixCache(limit)
    return model.eval()


def counts(model):
    return model.prefix_cache.hits, model.prefix_cache.misses


def blocks_run(model, *batches):
    """How many images went through each block while the model was called."""
    seen = [0] * model.tower.layers
    hooks = []
    for number, block in enumerate(model.tower.visual.transformer.resblocks):

        def count(module, inputs, output, number=number):
            seen[number] += len(output)

        hooks.append(block.ln_1.register_forward_hook(count))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for hook in hooks:
        hook.remove()
    return seen


def learnt(model, batch):
    """The loss of a batch, and every gradient."""
    model.train().zero_grad()
    loss = DMPTLoss()(model(batch), PIDS)[0]
    loss.backward()
    return {
        "loss": loss.detach(),
        **{name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None},
    }


def assert_close(first, second, tolerance):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert (value - second[name]).abs().max() <= tolerance * (1 + value.abs().max()), name


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_outputs_and_gradients_are_those_without_it(options):
    plain, model, batch = tiny_dmpt(**options), tiny_dmpt(**options), triples()
    batch["present"][1, 2] = batch["present"][3, 0] = False
    for one in (plain, model):
        if one.bind is not None:
            exchange(one)
    model.prefix_cache = PrefixCache(MIB)
    expected = learnt(plain, batch)
    features = parts(plain.eval(), batch)
    for _ in range(3):
        assert_close(expected, learnt(model, batch), 1e-6)
        assert (parts(model.eval(), batch) - features).abs().max() < 1e-6
    assert counts(model) == (50, 10)


def test_blocks_before_the_first_prompt_do_not_run_again():
    model, batch = cached(), triples()
    assert blocks_run(model, batch) == [12, 12, 12, 12]
    assert blocks_run(model, batch) == [0, 0, 12, 12]
    assert counts(model) == (12, 12)
    assert model.prefix_cache.share == 0.5
    other = triples(seed=2)
    other["images"][0] = batch["images"][3]
    assert blocks_run(model, other) == [9, 9, 12, 12]


def test_an_image_that_is_in_a_batch_twice_is_computed_once():
    model, batch = cached(), triples()
    batch["images"][2] = batch["images"][0]
    expected = tiny_dmpt(first_layer=3).eval()(batch)
    assert blocks_run(model, batch) == [9, 9, 12, 12]
    assert counts(model) == (3, 9)
    assert torch.allclose(model(batch), expected, atol=1e-6)


def test_missing_images_are_no_images():
    model, batch = cached(), triples()
    complete = blocks_run(model, batch)
    batch["present"][0, 1] = False
    batch["images"][0, 1] = 7.0
    assert blocks_run(model, batch) == [0, 0, 11, 11]
    assert complete == [12] * 4 and counts(model) == (11, 12)


def test_any_bit_dtype_or_shape_makes_another_image():
    cache, image = PrefixCache(MIB), torch.zeros(1, 3, 2, 4)
    nudged = image.clone()
    nudged[0, 2, 1, 3] = torch.finfo(torch.float32).smallest_normal
    others = [image, nudged, image.reshape(1, 3, 4, 2), image.double(), image.half(), image.bfloat16(), -image]
    for number, other in enumerate(2 * others):
        tokens = cache(other, lambda images: images.flatten(2))
        assert tokens.dtype == other.dtype and torch.equal(tokens, other.flatten(2))
        assert (cache.hits, cache.misses) == (max(0, number - 6), min(7, number + 1))
    assert cache(image[:0], lambda images: images.flatten(2)).shape == (0, 3, 8)


def test_the_layout_in_memory_does_not_matter():
    model, batch = cached(), triples()
    model(batch)
    turned = batch["images"].transpose(3, 4).contiguous().transpose(3, 4)
    spread = batch["images"].repeat_interleave(2, dim=4)[..., ::2]
    for images in (turned, spread):
        assert not images.is_contiguous()
        model({**batch, "images": images})
    assert counts(model) == (24, 12)


def test_the_limit_is_kept_and_the_first_images_stay():
    size = 4 * TOKENS
    model, first, second = cached(limit=5 * size + size // 2), triples(2), triples(2, seed=2)
    expected = [tiny_dmpt(first_layer=3).eval()(batch) for batch in (first, second)]
    for _ in range(2):
        for batch, descriptor in zip((first, second), expected, strict=True):
            assert torch.allclose(model(batch), descriptor, atol=1e-6)
            assert len(model.prefix_cache) == 5 and model.prefix_cache.nbytes == 5 * size
    assert counts(model) == (5, 7 + 12)
    held = {tokens.untyped_storage().nbytes() for tokens in model.prefix_cache._tokens.values()}
    assert held == {size}
    model.prefix_cache.clear()
    assert len(model.prefix_cache) == model.prefix_cache.nbytes == 0
    model(second)
    assert counts(model) == (5, 25)


def test_precisions_are_kept_apart():
    plain, model, batch = tiny_dmpt(first_layer=3).eval(), cached(), triples()

    def both(one):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            half = one(batch)
        return half, one(batch)

    expected = both(plain)
    assert not torch.equal(*expected)
    for known in (0, 24):
        half, full = both(model)
        assert counts(model) == (known, 24)
        assert (half - expected[0]).abs().max() < 1e-6
        assert (full - expected[1]).abs().max() < 1e-6
    with torch.autocast("cpu", torch.float16):
        model(batch)
    assert counts(model) == (24, 36)


def written(model):
    model.tower.visual.transformer.resblocks[0].ln_1.bias.add_(0.5)


def loaded(model):
    state = {name: value + 0.5 for name, value in model.tower.named_buffers()}
    for name, value in model.tower.named_buffers():
        value.copy_(state[name])


def replaced(model):
    block = model.tower.visual.transformer.resblocks[1].ln_2
    block.bias = block.bias + 0.5


def swapped(model):
    bias = model.tower.visual.transformer.resblocks[1].ln_2.bias
    bias.data = bias + 0.5


@pytest.mark.parametrize(
    "change", [written, loaded, replaced, swapped, torch.nn.Module.double, torch.nn.Module.bfloat16]
)
@torch.no_grad()
def test_a_changed_tower_forgets(change):
    plain, model, batch = tiny_dmpt(first_layer=3).eval(), cached(), triples()
    before = model(batch)
    change(plain), change(model)
    after = model(batch)
    assert torch.allclose(after, plain(batch), atol=1e-6)
    assert not torch.equal(after, before)
    assert counts(model) == (0, 24)
    assert len(model.prefix_cache) == 12
    model(batch)
    assert counts(model) == (12, 24)


def test_other_weights_in_the_same_place_are_other_weights():
    cache, memory, image = PrefixCache(MIB), np.ones(4, np.float32), torch.ones(1, 3, 2, 2)
    for factor in (1, 2, 2):
        memory[:] = factor
        weight = torch.from_numpy(memory)  # a tensor of its own each time, with nothing written to it
        assert cache(image, lambda images, weight=weight: images * weight[0], [weight]).mean() == factor
    weight = torch.full((1,), 3.0, requires_grad=True)
    tokens = cache(image, lambda images: images * weight, [weight])
    assert tokens.mean() == 3 and not tokens.requires_grad
    tokens.zero_()
    assert cache(image, lambda images: images * weight, [weight]).mean() == 3
    assert (cache.hits, cache.misses) == (1, 4)


def test_tuned_weights_may_change_and_be_loaded():
    """What is before the prompts does not depend on them: tests of averaged weights are served as well."""
    model, batch = cached(), triples()
    model(batch)
    average = WeightAverage(model, 0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    trained = model(batch)
    with average.applied(model):
        assert not torch.equal(model(batch), trained)
    model.load_state_dict(model.state_dict())
    assert torch.equal(model(batch), trained)
    assert counts(model) == (36, 12)


def test_one_by_one_a_full_and_an_empty_cache_give_the_same_bits():
    """As after a kill: the resumed run meets the images in other batches, beside other ones, and with no cache.

    At this size the tokens of an image that is alone in its batch differ from those beside others, on usual CPUs.
    """
    whole = triples(size=(32, 16))
    alone = {**triples(1, size=(32, 16)), "present": torch.tensor([[True, False, False]])}
    alone["images"][0] = whole["images"][0]
    outcomes = []
    for known in ([], [alone], [triples(3, seed=4, size=(32, 16)), alone, whole]):
        model = exchange(tiny_dmpt(first_layer=2))
        model.prefix_cache = PrefixCache(MIB, one_by_one=True)
        model.eval()
        for batch in known:
            model(batch)
        outcomes.append({**learnt(model, whole), "descriptor": model.eval()(whole).detach()})
    for outcome in outcomes[1:]:
        assert outcome.keys() == outcomes[0].keys()
        assert [name for name, value in outcome.items() if not torch.equal(value, outcomes[0][name])] == []


def test_one_by_one_each_image_is_computed_alone():
    batches = {}
    for alone in (False, True):
        model = cached()
        model.prefix_cache = PrefixCache(MIB, one_by_one=alone)
        sizes = []
        model.tower.visual.conv1.register_forward_hook(lambda *call, sizes=sizes: sizes.append(len(call[2])))
        batch = triples()
        model(batch)
        batch["images"][0] += 1
        model(batch)
        batches[alone] = sizes
    assert batches == {False: [12, 3], True: [1] * 15}


def test_training_images_can_be_left_out():
    model, batch = cached(), triples()
    model.prefix_cache = PrefixCache(MIB, in_training=False)
    learnt(model, batch)
    assert counts(model) == (0, 0) and model.prefix_cache.share == 0
    model.eval()(batch)
    learnt(model, batch)
    model.eval()(batch)
    assert counts(model) == (12, 12)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_empty_and_no_state_dict_has_it(duplicate):
    model, batch = cached(), triples()
    names = set(model.state_dict())
    model.prefix_cache = PrefixCache(MIB - 1, one_by_one=True, in_training=False)
    expected = model(batch)
    assert set(model.state_dict()) == names == set(tiny_dmpt(first_layer=3).state_dict())
    cache = duplicate(model.prefix_cache)
    assert (cache.limit, cache.one_by_one, cache.in_training) == (MIB - 1, True, False)
    assert (len(cache), cache.nbytes, cache.hits, cache.misses) == (0, 0, 0, 0)
    file = io.BytesIO()
    torch.save(model.prefix_cache, file)
    assert file.tell() < 2000
    twin = copy.deepcopy(model)
    assert twin.prefix_cache is not model.prefix_cache and len(twin.prefix_cache) == 0
    assert torch.equal(twin(batch), expected)
    assert counts(model) == (0, 12)


def test_replicas_in_threads_have_none():
    model = cached()
    cache = model.prefix_cache
    assert model._replicate_for_data_parallel().prefix_cache is None
    assert model.prefix_cache is cache


BYPASSED = {
    "prompts from the first block on": {"first_layer": 1},
    "a camera embedding": {"first_layer": 3, "sie_weight": 1.0},
    "a trained tower": {"first_layer": 3, "frozen": False},
}


@pytest.mark.parametrize("options", BYPASSED.values(), ids=BYPASSED)
def test_it_is_passed_by_where_more_than_the_image_counts(options):
    plain, model = (tiny_dmpt(cameras=2, **options).eval() for _ in range(2))
    assert model.frozen_prefix == 0
    model.prefix_cache = PrefixCache(MIB)
    for seed in (1, 1):
        assert torch.equal(model(triples(seed=seed)), plain(triples(seed=seed)))
    assert counts(model) == (0, 0)


def test_the_frozen_prefix_ends_before_the_first_prompt():
    assert [tiny_dmpt(bind=False, first_layer=first).frozen_prefix for first in (1, 2, 4)] == [0, 1, 3]


def test_images_with_gradients_pass_it_by():
    plain, model, batch = tiny_dmpt(first_layer=3).eval(), cached(), triples()
    model(batch)
    saliency = []
    for one in (plain, model):
        batch["images"] = batch["images"].detach().requires_grad_()
        one(batch).square().sum(dim=0)[0].backward()
        saliency.append(batch["images"].grad)
        batch["images"] = batch["images"].detach()
    assert saliency[0].abs().max() > 0 and torch.equal(*saliency)
    assert counts(model) == (0, 12)


@pytest.mark.slow
def test_programs_have_no_cache_in_them():
    model, images = cached(), triples()["images"]
    expected = model(images)
    exported = torch.export.export(model, (images,)).module()
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert counts(model) == (0, 12)
    other = triples(seed=2)["images"]
    for program in (exported, compiled):
        assert torch.allclose(program(images), expected, atol=1e-6)
        assert (program(other) - expected).abs().max() > 1e-3
    assert counts(model) == (0, 12)


def test_tokens_from_inference_mode_serve_in_training():
    plain, model, batch = tiny_dmpt(first_layer=3), cached(), triples()
    with torch.inference_mode():
        model(batch)
    assert_close(learnt(plain, batch), learnt(model, batch), 1e-6)
    assert counts(model) == (12, 12)


def test_recomputed_blocks_start_from_the_kept_tokens():
    plain, model, batch = tiny_dmpt(first_layer=3), cached(), triples()
    model.checkpoint_blocks = True
    expected = learnt(plain, batch)
    for _ in range(2):
        assert_close(expected, learnt(model, batch), 1e-6)
    assert counts(model) == (12, 12)


def test_timms_towers_have_a_prefix_too():
    options = DMPTOptions(first_layer=2, word_source="learned", alignment=False)
    sizes = {"depth": 3, "embed_dim": 32, "num_heads": 2}
    torch.manual_seed(0)
    model = build_dmpt(3, "prompt", pretrained=False, backbone="vit_tiny_patch16_224", options=options, tower=sizes)
    model.eval()
    expected = model(triples())
    model.prefix_cache = PrefixCache(MIB)
    for _ in range(2):
        assert torch.allclose(model(triples()), expected, atol=1e-6)
    assert counts(model) == (12, 12)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(limit):
    with pytest.raises(ValueError, match=f"limit must be at least 1 byte, got {limit}; for no cache, attach none"):
        PrefixCache(limit)
