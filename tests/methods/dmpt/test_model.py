from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from dmpt_models import PEOPLE, exchange, parts, tiny_dmpt, triples
from dmpt_twin import slow_twin
from torch import nn

from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.models.outputs import PromptOutput

PIDS = torch.tensor([0, 0, 1, 1])
VARIANTS = [
    {},
    {"deep": False},
    {"words": False},
    {"bind": False},
    {"semantic": False, "bind_source": "modality"},
    {"bind_source": "both"},
    {"bind_output": "semantic", "bind_length": 8},
    {"bind_output": "semantic", "bind_length": 8, "deep": False},
    {"bind_output": "class"},
    {"first_layer": 3},
    {"first_layer": 2, "prompt_depth": 2},
    {"first_layer": 2, "prompt_depth": 2, "deep": False},
    {"interaction_layers": (1, 2, 3)},
    {"semantic": False, "bind": False},
    {"semantic": False, "bind": False, "words": False},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@torch.no_grad()
def test_every_variant_is_its_slow_twin(options):
    model, batch = tiny_dmpt(**options), triples()
    if model.bind is not None:
        exchange(model)
    assert torch.allclose(parts(model, batch), slow_twin(model, batch), atol=2e-5)
    batch["present"] = torch.tensor([[True, True, True], [True, False, True], [False, True, False], [True, True, True]])
    assert torch.allclose(parts(model, batch), slow_twin(model, batch), atol=2e-5)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_prompt_learns(options):
    model = tiny_dmpt(**options).train()
    if model.bind is not None:
        exchange(model)
    DMPTLoss()(model(triples()), PIDS)[0].backward()
    # Attention does not see what is added to all of its scores.
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert all(name.endswith("key.bias") for name in dead), dead


def test_what_it_returns_by_loss():
    batch, width = triples(), 3 * 24
    logits = tiny_dmpt("softmax").train()(batch)
    assert logits.shape == (4, PEOPLE), "of one head a tensor, as torchreid's own models return it"
    logits, features = tiny_dmpt("triplet", classifier="single").train()(batch)
    assert [tensor.shape for tensor in logits] == [(4, PEOPLE)] * 3
    assert [tensor.shape for tensor in features] == [(4, 24)] * 3
    output = tiny_dmpt().train()(batch)
    assert isinstance(output, PromptOutput)
    assert [tensor.shape for tensor in output["features"]] == [(4, width)]
    assert output["alignment_logits"].shape == (12, 3)
    assert output["modality"].tolist() == [0, 1, 2] * 4
    assert [tensor.shape for tensor in output["prompts"]] == [(12, 4, 32)] * 2
    assert not any(tensor.requires_grad for tensor in output["prompts"])
    assert "alignment_logits" not in tiny_dmpt(alignment=False).train()(batch)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("classifier", ["joint", "single"])
def test_descriptors_for_any_number_of_images(count, classifier):
    model = tiny_dmpt(images_per_sample=count, classifier=classifier)
    batch = triples(count=count)
    DMPTLoss()(model.train()(batch), PIDS)[0].backward()
    with torch.no_grad():
        descriptor = model.eval()(batch)
    assert descriptor.shape == (4, count * 24)
    assert descriptor.dtype == torch.float32
    assert torch.allclose(descriptor.norm(dim=1), torch.ones(4))
    assert torch.allclose(descriptor, F.normalize(parts(model, batch).flatten(1), dim=1))
    assert len(model.classifier) == (1 if classifier == "joint" else count)


@torch.no_grad()
def test_plain_tensors_are_complete_samples():
    model, batch = tiny_dmpt().eval(), triples()
    assert torch.equal(model(batch["images"]), model(batch))


@torch.no_grad()
def test_at_the_start_modalities_do_not_exchange_and_after_some_steps_they_do():
    model, batch = tiny_dmpt().train(), triples()
    changed = copy.deepcopy(batch)
    changed["images"][:, 1] += torch.randn_like(changed["images"][:, 1])
    before, after = parts(model, batch), parts(model, changed)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]]), "bit by bit"
    assert not torch.allclose(before[:, 1], after[:, 1])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(3):
        with torch.enable_grad():
            optimizer.zero_grad()
            DMPTLoss()(model(batch), PIDS)[0].backward()
        optimizer.step()
    difference = (parts(model, batch) - parts(model, changed)).abs().amax(dim=(0, 2))
    assert (difference > 1e-4).all()


@torch.no_grad()
def test_a_missing_image_has_no_influence_whatever_its_pixels():
    model, batch = exchange(tiny_dmpt(after_bn=True)), triples()
    batch["present"][0, 1] = batch["present"][2, 0] = batch["present"][2, 2] = False
    changed = copy.deepcopy(batch)
    changed["images"][~batch["present"]] = float("nan")
    for training in (True, False):
        model.train(training)
        one, two = model.outputs(batch), model.outputs(changed)
        for key in ("logits", "features", "prompts"):
            assert all(torch.equal(a, b) for a, b in zip(one[key], two[key], strict=True))
        descriptor = model.descriptor(batch)
        assert torch.equal(descriptor, model.descriptor(changed))
        assert descriptor[0, 24:48].abs().max() == 0
        assert descriptor[2, :24].abs().max() == descriptor[2, 48:].abs().max() == 0


@torch.no_grad()
def test_only_present_images_are_computed():
    model, batch = tiny_dmpt().eval(), triples()
    batch["present"][0, 1] = False
    seen = []
    model.tower.visual.conv1.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    model(batch)
    assert seen == [11], "one call of the tower, for the images that are there"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
@torch.no_grad()
def test_swapping_images_with_their_ids_swaps_the_parts(order):
    model, batch = exchange(tiny_dmpt()), triples()
    swapped = {**batch, "images": batch["images"][:, order], "modality": batch["modality"][:, order]}
    assert torch.allclose(parts(model, swapped), parts(model, batch)[:, order], atol=1e-5)
    renamed = {**batch, "modality": batch["modality"][:, order]}
    assert not torch.allclose(parts(model, renamed), parts(model, batch), atol=1e-4), "the words tell modalities apart"


@torch.no_grad()
def test_each_interaction_replaces_the_bind_tokens():
    model = tiny_dmpt(interaction_layers=(1, 2, 3))
    lengths = []
    for block in model.tower.visual.transformer.resblocks:
        block.ln_1.register_forward_hook(lambda module, inputs, output: lengths.append(inputs[0].shape[1]))
    model.eval()(triples())
    base = 1 + 4 * 2 + 4 + 8  # class, patches, words, semantic
    assert lengths == [base, base + 4, base + 4, base + 4]


def test_missing_modalities_in_training_count_in_no_head():
    model = tiny_dmpt(classifier="single").train()
    batch = triples(6)
    batch["present"][:3, 0] = False
    output = model(batch)
    assert output["logits"][0][:3].abs().max() == 0
    alone = tiny_dmpt(classifier="single").train()
    alone(triples(6))
    neck = tiny_dmpt(classifier="single").necks[0]
    expected = neck(output["features"][0][3:].detach())
    assert torch.allclose(output["logits"][0][3:], model.classifier[0](expected), atol=1e-6)
    batch["present"][:5, 0] = False
    statistics = model.necks[0].norm.running_mean.clone()
    output = model(batch)
    alone = model.necks[0].eval()(output["features"][0][5:].detach())
    assert torch.allclose(output["logits"][0][5:], model.classifier[0](alone), atol=1e-6), "of the running statistics"
    assert torch.equal(model.necks[0].norm.running_mean, statistics), "which one image does not change"
    DMPTLoss()(output, torch.tensor([0, 0, 1, 1, 2, 2]))[0].backward()
    model.necks[0].train()
    batch["present"][:, 0] = False
    DMPTLoss()(model(batch), torch.tensor([0, 0, 1, 1, 2, 2]))[0].backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b["present"][1].fill_(False), r"samples \[1\] of the batch have no image"),
        (lambda b: b["modality"].add_(1), r"modality ids must be in 0\.\.2, got 1\.\.3"),
        (lambda b: b.update(triples(count=2)), "takes 3 images per sample, got 2"),
        (lambda b: b.pop("present"), r"the batch lacks \['present'\]"),
    ],
)
def test_batches_that_do_not_fit(change, message):
    batch = triples()
    change(batch)
    with pytest.raises(ValueError, match=message):
        tiny_dmpt()(batch)


def test_the_camera_embedding():
    model, batch = tiny_dmpt(sie_weight=1.0, cameras=2), triples()
    other = {**batch, "camera": 1 - batch["camera"]}
    assert not torch.allclose(parts(model, batch), parts(model, other), atol=1e-4)
    model.train()
    with pytest.raises(ValueError, match="camera ids"):
        model({**batch, "camera": batch["camera"] + 2})
    assert tiny_dmpt().sie is None


@torch.no_grad()
def test_after_bn():
    torch.manual_seed(0)
    for classifier in ("joint", "single"):
        model = tiny_dmpt(after_bn=True, classifier=classifier)
        for neck in model.necks:
            neck.norm.running_mean.normal_()
            neck.norm.running_var.uniform_(0.5, 2)
        model.eval()
        features = model.outputs(batch := triples())["features"]
        joined = torch.cat([neck(feature) for neck, feature in zip(model.necks, features, strict=True)], dim=1)
        assert torch.allclose(model(batch), F.normalize(joined, dim=1), atol=1e-6)


def test_slices():
    free = tiny_dmpt(bind=False)
    assert free.modality_slices(3) == [slice(0, 24), slice(24, 48), slice(48, 72)]
    assert tiny_dmpt().modality_slices(3) is None
    assert tiny_dmpt(images_per_sample=1).modality_slices(1) == [slice(0, 24)]


@torch.no_grad()
def test_precisions():
    batch = triples()
    full = tiny_dmpt().eval()(batch)
    halved = tiny_dmpt(frozen_dtype="bfloat16").eval()
    assert halved.tower.visual.proj.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        cast = tiny_dmpt().eval()(batch)
        both = halved(batch)
    for descriptor in (halved(batch), cast, both):
        assert descriptor.dtype == torch.float32
        assert F.cosine_similarity(descriptor, full).min() > 0.99
    double = tiny_dmpt().double().eval()({**batch, "images": batch["images"].double()})
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), full, atol=1e-5)


def test_low_precision_towers_train_prompts_in_full_precision():
    model = tiny_dmpt(frozen_dtype="bfloat16").train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(triples())
    DMPTLoss()(output, PIDS)[0].backward()
    assert {parameter.grad.dtype for parameter in model.parameters() if parameter.grad is not None} == {torch.float32}


def test_the_tower_is_frozen_or_not():
    frozen, tuned = tiny_dmpt(), tiny_dmpt(frozen=False)
    assert not any(name.startswith("backbone") for name, _ in frozen.named_parameters())
    assert sum(p.numel() for n, p in tuned.named_parameters() if n.startswith("backbone")) == sum(
        buffer.numel() for buffer in frozen.backbone.module.buffers()
    )
    assert torch.allclose(frozen.eval()(triples()), tuned.eval()(triples()), atol=1e-6)
    DMPTLoss()(tuned.train()(triples()), PIDS)[0].backward()
    assert all(p.grad is not None for n, p in tuned.named_parameters() if n.startswith("backbone"))
    assert tuned.check_unchanged()
    frozen.tower.visual.proj.add_(1)
    assert not frozen.check_unchanged()


def test_without_prompts_it_is_a_linear_probe_on_open_clips_features():
    model = tiny_dmpt(semantic=False, words=False, bind=False, alignment=False)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"necks", "classifier"}
    batch = triples(size=(64, 64))
    with torch.no_grad():
        theirs = model.tower.visual(batch["images"].flatten(0, 1)).unflatten(0, (4, 3))
    assert torch.allclose(parts(model, batch), theirs, atol=1e-5)


def test_the_state_dict_brings_everything_but_the_tower():
    model = exchange(tiny_dmpt(seed=0))
    twin = tiny_dmpt(seed=0)
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(twin.eval()(triples()), model.eval()(triples()))
    with pytest.raises(RuntimeError, match="trained on other frozen weights"):
        tiny_dmpt(seed=1).load_state_dict(model.state_dict())


def test_training_is_the_same_in_every_run():
    def trained():
        model = tiny_dmpt().train()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for step in range(2):
            optimizer.zero_grad()
            DMPTLoss()(model(triples(seed=step)), PIDS)[0].backward()
            optimizer.step()
        return model.state_dict()

    one, two = trained(), trained()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_dataparallel_can_gather_what_it_returns():
    """As DataParallel does: by rows, key by key and list by list, also where devices got other numbers of images."""
    model, batch = tiny_dmpt().train(), triples()
    batch["present"][0, 0] = False
    halves = [model({key: value[rows] for key, value in batch.items()}) for rows in (slice(0, 2), slice(2, 4))]
    for key in halves[0]:
        pairs = (
            zip(halves[0][key], halves[1][key], strict=True)
            if isinstance(halves[0][key], list)
            else [(halves[0][key], halves[1][key])]
        )
        for one, two in pairs:
            assert torch.cat([one, two]).shape[1:] == one.shape[1:]
    assert torch.cat([half["modality"] for half in halves]).shape == (11,)
    again = type(halves[0])((key, value) for key, value in halves[0].items())
    assert isinstance(again, PromptOutput)


def test_prompts_live_in_children_and_arguments_are_checked():
    model = tiny_dmpt()
    assert not list(model.parameters(recurse=False))
    assert isinstance(model.classifier, nn.ModuleList)
    assert model.training_only == ("classifier.", "alignment.")
    with pytest.raises(ValueError, match="images_per_sample=0"):
        tiny_dmpt(images_per_sample=0)
