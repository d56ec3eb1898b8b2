from __future__ import annotations

import copy
import pickle

import pytest
import torch

from promptreid.methods.mip.model import build_mip, mip_paper, mip_release
from promptreid.models.backbones.vit import import_timm
from promptreid.models.outputs import PromptOutput

PRESETS = {"paper": mip_paper, "release": mip_release}


@pytest.fixture(params=sorted(PRESETS))
def preset(request):
    return PRESETS[request.param]


def relative_difference(a, b):
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item()


def outputs_and_gradients(model, batch, pids):
    if model.prompt_head is not None:
        model.prompt_head.necks.eval()  # batch statistics would make the gradient of any shift before them zero
    output = model(batch)
    named = {f"feature {i}": tensor for i, tensor in enumerate(output["features"])}
    named |= {f"logits {i}": tensor for i, tensor in enumerate(output["logits"] + output["prompt_logits"])}
    named |= {f"prompts {i}": tensor for i, tensor in enumerate(output["prompts"])}
    loss = sum(torch.nn.functional.cross_entropy(one, pids) for one in output["logits"] + output["prompt_logits"])
    (loss + sum(one.square().mean() for one in output["features"])).backward()
    return {name: tensor.detach() for name, tensor in named.items()} | {
        name: parameter.grad for name, parameter in model.named_parameters()
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float32, 2e-4)])
@pytest.mark.parametrize("sie", ["camera", "none"])
@pytest.mark.parametrize("jpm", [True, False])
def test_the_fast_form_equals_the_reference(tiny_mip, batch, preset, sie, jpm, dtype, tolerance):
    options = preset(sie=sie, jpm=jpm, prompt_dropout=0.0)
    fast, slow = (tiny_mip(options=options, reference=reference).to(dtype) for reference in (False, True))
    slow.load_state_dict(fast.state_dict())
    batch["images"] = batch["images"].to(dtype)
    pids = torch.tensor([0, 1, 2, 3, 4, 5])
    results = [outputs_and_gradients(model, batch, pids) for model in (fast, slow)]
    worst = {name: relative_difference(results[0][name], results[1][name]) for name in results[1]}
    assert max(worst.values()) <= tolerance, max(worst, key=worst.__getitem__)


@pytest.mark.parametrize("pooling", ["mean", "flatten", "query"])
def test_the_fast_form_equals_the_reference_for_zero_queries_under_iael(tiny_mip, batch, pooling):
    options = mip_release(iael=True, iael_pooling=pooling, prompt_dropout=0.0)
    fast, slow = (tiny_mip(options=options, reference=reference).double() for reference in (False, True))
    batch["images"] = batch["images"].double()
    results = [outputs_and_gradients(model, batch, torch.arange(6)) for model in (fast, slow)]
    assert max(relative_difference(results[0][name], results[1][name]) for name in results[1]) <= 1e-5


def test_training_outputs_by_loss(tiny_mip, batch, preset):
    logits = tiny_mip("softmax", options=preset())(batch)
    assert [tuple(one.shape) for one in logits] == [(6, 7)] * 5
    logits, features = tiny_mip("triplet", options=preset())(batch)
    assert [tuple(one.shape) for one in features] == [(6, 32)] * 5
    assert len(logits) == 5


@pytest.mark.parametrize(("options", "layers"), [(mip_paper(), 3), (mip_release(iael=True), 2), (mip_release(), 0)])
def test_the_prompt_output(tiny_mip, batch, options, layers):
    model = tiny_mip(options=options)
    output = model(batch)
    assert isinstance(output, PromptOutput)
    assert [tuple(one.shape) for one in output["prompt_logits"]] == [(6, 7)] * layers
    assert [tuple(one.shape) for one in output["prompts"]] == [(6, 16, 32)] * model.prompt_depth
    assert not any(one.requires_grad for one in output["prompts"])
    assert torch.equal(output["modality"], batch["modality"][:, 0])


def test_every_parameter_is_trained(tiny_mip, batch, preset):
    """So that DistributedDataParallel need not look for unused ones."""
    model = tiny_mip(options=preset())
    output = model(batch)
    sum(one.sum() for one in output["logits"] + output["prompt_logits"]).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_no_parameter_hangs_on_the_root(tiny_mip):
    model = tiny_mip()
    assert list(model.parameters(recurse=False)) == []
    assert {"backbone", "modality_prompts", "instance_prompts", "head", "necks", "classifier"} <= {
        name for name, _ in model.named_children()
    }


def test_the_descriptor_is_the_global_feature_and_the_locals_shared_out(tiny_mip, batch):
    model = tiny_mip().eval()
    features = model.outputs(batch)["features"]
    expected = torch.cat([features[0], *(local / 4 for local in features[1:])], dim=1)
    assert torch.equal(model(batch), expected)


def test_the_descriptor_after_the_necks(tiny_mip, batch):
    model = tiny_mip(options=mip_paper(after_bn=True, jpm=False))
    for _ in range(3):
        model(batch)
    model.eval()
    torch.testing.assert_close(model(batch), model.necks[0](model.outputs(batch)["features"][0]))


def test_descriptors_are_float32_whatever_the_precision(tiny_mip, batch):
    model = tiny_mip().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(batch)
    batch["images"] = batch["images"].bfloat16()
    half = model.bfloat16()(batch)
    assert mixed.dtype == half.dtype == torch.float32
    torch.testing.assert_close(mixed, half, rtol=0.1, atol=0.1)


def test_samples_do_not_see_each_other(tiny_mip, batch):
    model = tiny_mip().eval()
    order = torch.tensor([3, 0, 5])
    part = {name: tensor[order] for name, tensor in batch.items()}
    torch.testing.assert_close(model(part), model(batch)[order], rtol=1e-4, atol=1e-5)


def test_modality_and_camera_matter(tiny_mip, batch):
    model = tiny_mip().eval()
    base = model(batch)
    assert (model({**batch, "modality": 1 - batch["modality"]}) - base).abs().max() > 1e-4
    assert (model({**batch, "camera": batch["camera"].flip(0)}) - base).abs().max() > 1e-4


def test_the_side_information_can_be_the_modality(tiny_mip, batch):
    model = tiny_mip(options=mip_paper(sie="modality")).eval()
    assert model.sie.table.shape == (2, 32)
    assert torch.equal(model(batch), model({**batch, "camera": batch["camera"].flip(0)}))


def test_plain_images_are_visible_from_an_unknown_camera(tiny_mip, batch):
    model = tiny_mip().eval()
    visible = {**batch, "modality": torch.zeros(6, 1, dtype=torch.long), "camera": torch.full((6,), -1)}
    assert torch.equal(model(batch["images"][:, 0]), model(visible))


@pytest.mark.parametrize("size", [(256, 128), (128, 256), (384, 144)])
@pytest.mark.parametrize("stride", [12, 16])
def test_one_model_for_every_image_size(size, stride):
    vit = {"depth": 3, "embed_dim": 16, "num_heads": 2}
    model = build_mip(3, pretrained=False, stride=stride, vit=vit).eval()
    assert model(torch.randn(1, 3, *size)).shape == (1, 80)


def test_images_too_small_for_jpm_are_refused(tiny_mip):
    with pytest.raises(ValueError, match="JPM cannot split 3 patch tokens"):
        tiny_mip(stride=8).eval()(torch.randn(1, 3, 24, 8))


def test_prompts_can_stop_early(tiny_mip, batch):
    model = tiny_mip(options=mip_paper(prompt_depth=1))
    output = model(batch)
    assert len(output["prompts"]) == len(output["prompt_logits"]) == len(model.modality_prompts.library) == 1
    assert len(model.backbone.blocks) == 3


@pytest.mark.parametrize("options", [mip_paper(modality_prompts=False), mip_paper(instance_prompts=False, iael=False)])
def test_either_prompt_set_alone(tiny_mip, batch, options):
    model = tiny_mip(options=options)
    assert torch.isfinite(model(batch)["logits"][0]).all()
    assert (model.modality_prompts is None) != (model.instance_prompts is None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"options": mip_paper(prompt_depth=4)}, "prompt_depth=4 is more than the 3 blocks"),
        ({"options": mip_paper(skipped_blocks=3)}, "skipped_blocks=3 leaves no block"),
        ({"vit": {"depth": 1}}, "leaves no block"),
        ({"cameras": 0}, "count=0"),
    ],
)
def test_bad_settings_are_refused(tiny_mip, settings, message):
    with pytest.raises(ValueError, match=message):
        tiny_mip(**settings)


def test_it_survives_torchreids_open_all_layers(tiny_mip, batch):
    """torchreid turns on the gradient of every parameter each epoch; the necks' biases must stay fixed."""
    model = tiny_mip()
    for parameter in model.parameters():
        parameter.requires_grad = True
    sum(one.square().sum() for one in model(batch)["logits"]).backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert all(not neck.bias.any() for neck in model.necks)


def test_dropout_acts_in_training_only(tiny_mip, batch):
    model = tiny_mip(options=mip_paper(prompt_dropout=0.5))
    assert not torch.equal(model(batch)["features"][0], model(batch)["features"][0])
    assert torch.equal(model.eval()(batch), model(batch))


def test_it_can_be_copied_and_pickled(tiny_mip, batch):
    model = tiny_mip().eval()
    expected = model(batch)
    assert torch.equal(copy.deepcopy(model)(batch), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model))(batch), expected)


@pytest.mark.slow
def test_it_can_be_exported(tiny_mip, batch):
    model = tiny_mip().eval()
    exported = torch.export.export(model, (batch,)).module()
    torch.testing.assert_close(exported(batch), model(batch))


def test_heads_start_from_the_pretrained_last_block_and_the_generator_does_not(tmp_path, tiny_mip):
    from safetensors.torch import save_file

    from promptreid.models.backbones.vit import create_vit

    size = {"depth": 3, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
    state = create_vit("vit_tiny_patch16_224", **size).state_dict()
    save_file(state, tmp_path / "vit.safetensors")
    options = mip_paper(iael_pooling="query")
    model = build_mip(4, weights=str(tmp_path / "vit.safetensors"), vit=size, options=options, stride=8)
    last = state["blocks.2.attn.qkv.weight"]
    for head in (model.head.b1, model.head.b2, model.prompt_head.reader):
        assert torch.equal(head.block.attn.qkv.weight, last)
    assert torch.equal(model.backbone.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])
    generated = model.instance_prompts.block.attn.qkv.weight
    assert not any(torch.equal(generated, state[f"blocks.{i}.attn.qkv.weight"]) for i in range(3))


def test_parameter_counts_of_vit_base():
    import_timm()
    with torch.device("meta"):
        release = build_mip(395, pretrained=False, options=mip_release(iael=True, iael_pooling="mean"))
        paper = build_mip(395, pretrained=False)

    def millions(module):
        return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 2)

    assert len(release.backbone.blocks) == 10
    assert release.modality_prompts.library.numel() == 2 * 10 * 16 * 768
    assert millions(release.modality_prompts.projection) == 0.59
    assert millions(release.instance_prompts) == 7.09
    assert millions(release.head) == 14.18
    assert millions(release.classifier) == 1.52
    assert millions(release.prompt_head.classifiers) == 3.03
    assert len(paper.backbone.blocks) == len(paper.prompt_head.necks) == 11
