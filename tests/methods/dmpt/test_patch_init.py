from __future__ import annotations

import pytest
import torch
from dmpt_models import tiny_dmpt, triples

from promptreid.methods.dmpt.patch_init import start_from_patches


def started(seed=3, batch=None, **options):
    model = tiny_dmpt(**{"word_source": "learned", "prompt_init": "patches", **options})
    start_from_patches(model, triples() if batch is None else batch, seed)
    return model


@torch.no_grad()
def entering(model, images):
    """The patch tokens before each block, without prompts, (images N, D) each."""
    tokens, found = model.tower.embed(images), []
    for layer in range(model.tower.layers):
        found.append(tokens[:, 1:].flatten(0, 1))
        tokens = model.tower.run(layer, tokens)
    return found


def among(prompts, patches):
    """Whether each prompt is one of the patches, and no patch is there twice."""
    nearest = (prompts[:, None] - patches).norm(dim=-1)
    return bool((nearest.amin(dim=1) < 1e-5).all()) and len(nearest.argmin(dim=1).unique()) == len(prompts)


@pytest.mark.parametrize("options", [{}, {"word_deep": True}, {"first_layer": 2, "word_first_layer": 3}], ids=str)
@torch.no_grad()
def test_prompts_are_patches_where_they_enter(options):
    model, batch = started(**options), triples()
    every = entering(model, batch["images"].flatten(0, 1))
    first = options.get("first_layer", 1)
    for number, prompts in enumerate(model.semantic_prompts.prompts):
        assert among(prompts, every[first - 1 + number]), number
    words = model.word_prompts.prompts
    for number, table in enumerate(words if words.ndim == 4 else words[None]):
        for modality, prompts in enumerate(table):
            block = options.get("word_first_layer", first) - 1 + number
            assert among(prompts, entering(model, batch["images"][:, modality])[block]), (number, modality)


@torch.no_grad()
def test_it_depends_on_the_seed_alone_and_survives_in_the_state_dict():
    one, same, other = started(), started(), started(seed=4)
    assert torch.equal(one.semantic_prompts.prompts, same.semantic_prompts.prompts)
    assert not torch.equal(one.semantic_prompts.prompts, other.semantic_prompts.prompts)
    again = tiny_dmpt(word_source="learned")
    again.load_state_dict(one.state_dict())
    assert torch.equal(again.eval()(triples()), one.eval()(triples()))


@torch.no_grad()
def test_prompts_from_words_and_bind_prompts_stay_as_they_are():
    plain = tiny_dmpt(prompt_init="patches")
    model = tiny_dmpt(prompt_init="patches")
    start_from_patches(model, triples(), 0)
    changed = {name for name, value in plain.named_parameters() if not torch.equal(value, model.state_dict()[name])}
    assert changed == {"semantic_prompts.prompts"}


@torch.no_grad()
def test_shallow_prompts_and_missing_images():
    batch = triples()
    batch["present"][:, 1:] = False
    batch["present"][0] = True
    batch["images"][~batch["present"]] = float("nan")
    model = started(batch=batch, deep=False)
    assert model.semantic_prompts.prompts.shape[0] == 1 and model.semantic_prompts.prompts.isfinite().all()
    assert among(model.word_prompts.prompts[1], entering(model, batch["images"][:1, 1])[0])


def test_batches_that_are_too_small():
    batch = triples()
    batch["present"][:, 2] = False
    with pytest.raises(ValueError, match=r"none of the training images drawn is thermal_infrared; raise train\.batch_"):
        started(batch=batch)
    with pytest.raises(ValueError, match=r"semantic_length=200 prompts want as many patches, and the images have 96"):
        started(semantic_length=200)
