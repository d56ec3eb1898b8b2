"""Looking into DMPT changes nothing, and shows what modalities exchange."""

from __future__ import annotations

import pytest
import torch
from dmpt_models import exchange, tiny_dmpt, triples

from promptreid.methods.dmpt.model import DMPT
from promptreid.models.inspection import Inspectable, rollout


@pytest.fixture
def model() -> DMPT:
    return exchange(tiny_dmpt()).eval()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bind_output": "class"},
        {"bind_output": "semantic", "bind_length": 8},
        {"deep": False},
        {"first_layer": 2, "prompt_depth": 2, "interaction_layers": (2,)},
        {"bind_source": "both"},
    ],
    ids=str,
)
def test_every_reconstruction_can_be_looked_into(options: dict[str, object]) -> None:
    model, batch = exchange(tiny_dmpt(**options)).eval(), triples()
    batch["present"][1, 2] = False
    with torch.no_grad():
        before = model(batch)
        inspection = model.inspect(batch, "all")
        assert torch.equal(model(batch), before)
    assert isinstance(model, Inspectable)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert [layer.layer for layer in inspection.layers] == [1, 2, 3, 4]
    for layer in inspection.layers:
        assert torch.allclose(layer.weights.sum(dim=-1), torch.ones(layer.weights.shape[:-1]), atol=1e-5)
    assert rollout(inspection).shape == (11, 4, 2) and inspection.sample.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3]


def test_three_of_the_four_visible_words_are_copies(model: DMPT) -> None:
    """ "visible" is one word piece, and phrases are filled up with the end of the text."""
    words = {each.modality: each.copies for each in model.inspect(triples()).prompts if each.family == "words"}
    assert words == {"visible": [[1, 2, 3]], "near_infrared": [], "thermal_infrared": []}


def test_the_exchange_is_what_the_bind_adds(model: DMPT) -> None:
    """Image by image, from the recorded weights and the sources' values."""
    batch = triples(3)
    batch["present"][1, 0] = False
    batch["present"][2, 1:] = False  # alone
    attention = model.bind.attentions[0]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hook = attention.register_forward_hook(lambda _, inputs, output: seen.append((inputs[1], output)))
    with torch.no_grad():
        model(batch)
    hook.remove()
    (sources, output), weights = seen[0], model.inspect(batch).exchanges[0].weights
    places = batch["present"].nonzero().tolist()
    with torch.no_grad():
        values = attention.value(attention.norm_sources(sources)).unflatten(-1, (2, 16)).transpose(1, 2)
        for row, (sample, slot) in enumerate(places):
            mixed = torch.zeros(2, 4, 16)
            for other, (theirs, source) in enumerate(places):
                if theirs == sample and source != slot:
                    mixed += weights[sample, slot, :, :, source] @ values[other]
            learned = attention.output(mixed.transpose(0, 1).flatten(1)) if sample != 2 else 0
            assert torch.allclose(output[row], model.bind.prompts + learned, atol=1e-5)
    total = weights.sum(dim=(-1, -2))
    assert (
        torch.allclose(total[0], torch.ones(3, 2, 4), atol=1e-5) and (total[2] == 0).all() and (total[1, 0] == 0).all()
    )


@pytest.mark.parametrize("family", ["semantic", "words", "bind"])
def test_without_a_family(model: DMPT, family: str) -> None:
    """Words and the bind go alone; without semantic prompts the bind has nothing to read."""
    options = {"words": {"words": False}, "bind": {"bind": False}, "semantic": {"semantic": False, "bind": False}}
    other = tiny_dmpt(**options[family]).eval()
    theirs = other.state_dict()
    other.load_state_dict({name: model.state_dict()[name] for name in theirs})
    batch = triples()
    with torch.no_grad():
        before = model(batch)
        changed = model.without([family])
        assert torch.equal(changed(batch), other(batch)) and not torch.equal(changed(batch), before)
        assert torch.equal(model(batch), before)
    assert changed.prompt_families == other.prompt_families
    with pytest.raises(ValueError, match="has no 'modality' prompts"):
        model.without(["modality"])


def test_image_features_are_f_m(model: DMPT) -> None:
    batch = triples()
    with torch.no_grad():
        found = model.image_features(batch)
        joined = torch.cat(model.outputs(batch)["features"], dim=1)
    assert torch.allclose(found.features.reshape(4, -1), joined, atol=1e-6)
    assert found.modality.tolist() == [0, 1, 2] * 4
