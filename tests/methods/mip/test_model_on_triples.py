"""MIP and its baselines on samples of several images."""

from __future__ import annotations

import pytest
import torch

from promptreid.methods.base import MODELS
from promptreid.methods.mip.loss import MIPLoss
from promptreid.methods.mip.model import mip_paper

TRIPLE = ("visible", "near_infrared", "thermal_infrared")
WIDTH = 5 * 32  # of one image's descriptor: a global and four local features


@pytest.fixture
def triples():
    generator = torch.Generator().manual_seed(1)
    return {
        "images": torch.randn(4, 3, 3, 64, 32, generator=generator),
        "modality": torch.arange(3).expand(4, 3).clone(),
        "camera": torch.arange(4),
        "present": torch.ones(4, 3, dtype=torch.bool),
    }


@pytest.fixture
def triple_mip(tiny_mip):
    def build(**settings):
        return tiny_mip(**{"modalities": TRIPLE, "images_per_sample": 3, **settings})

    return build


def slot_of(batch, slot):
    return {
        name: value if name == "camera" else value[:, slot : slot + 1] for name, value in batch.items()
    }  # one image per sample


def test_a_triple_is_described_by_its_images_side_by_side(triple_mip, tiny_mip, triples):
    model = triple_mip().eval()
    single = tiny_mip(modalities=TRIPLE).eval()
    own = {name: value for name, value in model.state_dict().items() if value.shape == single.state_dict()[name].shape}
    single.load_state_dict({**single.state_dict(), **own})
    together = model(triples)
    assert together.shape == (4, 3 * WIDTH)
    for slot, place in enumerate(model.modality_slices(3)):
        assert torch.allclose(together[:, place], single(slot_of(triples, slot)), atol=1e-5)


def test_every_modality_has_its_own_prompts(triple_mip, triples):
    model = triple_mip().eval()
    before = model(triples)
    with torch.no_grad():
        model.modality_prompts.library[:, 1] += 1
    changed = [(model(triples)[:, place] != before[:, place]).any().item() for place in model.modality_slices(3)]
    assert changed == [False, True, False]


def test_exchanging_modalities_with_their_ids_exchanges_the_parts(triple_mip, triples):
    model = triple_mip().eval()
    order = [2, 0, 1]
    exchanged = {**triples, "images": triples["images"][:, order], "modality": triples["modality"][:, order]}
    parts = [model(triples)[:, place] for place in model.modality_slices(3)]
    assert torch.allclose(model(exchanged), torch.cat([parts[slot] for slot in order], dim=1), atol=1e-6)


@pytest.mark.parametrize("after_bn", [False, True])
def test_a_missing_image_has_zeros_and_no_influence(triple_mip, triples, after_bn):
    model = triple_mip(options=mip_paper(after_bn=after_bn)).eval()
    triples["present"][1, 2] = triples["present"][3, 0] = False
    there = model(triples)
    triples["images"][1, 2] = triples["images"][3, 0] = 100.0
    assert torch.equal(model(triples), there)
    assert (there[1, 2 * WIDTH :] == 0).all()
    assert (there[3, :WIDTH] == 0).all()
    assert (there[1, : 2 * WIDTH] != 0).any()


def test_training_outputs_and_loss_with_missing_images(triple_mip, triples):
    model = triple_mip(loss="prompt")
    triples["present"][1, 2] = False
    output = model(triples)
    assert [tuple(one.shape) for one in output["logits"]] == [(4, 7)] * 5
    assert [tuple(one.shape) for one in output["features"]] == [(4, 96)] * 5
    assert {tuple(one.shape) for one in output["prompt_logits"]} == {(11, 7)}
    pids = torch.tensor([0, 0, 1, 1])
    total, parts = MIPLoss.paper()(output, pids)
    of_images = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    layers = [torch.nn.functional.cross_entropy(layer, of_images) for layer in output["prompt_logits"]]
    assert parts["iael"] == pytest.approx(torch.stack(layers).mean().item())
    total.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_one_image_per_sample_is_refused_by_a_model_of_triples(triple_mip, triples):
    with pytest.raises(ValueError, match="takes 3 images per sample, got 1"):
        triple_mip()(slot_of(triples, 0))


def test_bn_by_modality_is_refused_for_triples(triple_mip):
    with pytest.raises(ValueError, match="modality_bn"):
        triple_mip(options=mip_paper(modality_bn=True))


def test_the_shared_vit_of_the_tables_takes_triples(triples):
    vit = {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
    model = MODELS["shared_vit_tiny_patch16"](7, "triplet", pretrained=False, vit=vit, stride=8)
    logits, features = model(triples)
    assert [tuple(one.shape) for one in (logits, features)] == [(4, 7), (4, 96)]
    assert model.eval()(triples).shape == (4, 96)
