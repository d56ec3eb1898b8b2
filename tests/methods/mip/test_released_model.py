"""Models made from released checkpoints agree with the authors' released code.

The golden numbers are outputs of the released code (https://github.com/wurqjackey/MIP) in float64, evaluation mode, on
weights and images drawn by ``released.py``; ``release_twin.py`` says the same once more, for other sizes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import release_twin
import torch
from released import TINY, as_batch, draw_images, draw_state, release_shapes
from torch import Tensor

from promptreid.methods.mip.options import mip_paper, mip_release
from promptreid.methods.mip.released_model import mip_from_release, release_size

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mip_release.json").read_text())
CASES: dict[str, dict[str, Any]] = {"release": {}, "learned_query_iael_mean": {"queries": "learned", "iael": True}}
TINY_SETTINGS: dict[str, Any] = {"num_heads": 2, "stride": 8, "image_size": (56, 32)}


@pytest.fixture(scope="module")
def released() -> dict[str, Tensor]:
    return draw_state(GOLDEN["salt"], release_shapes())


def as_in_golden(descriptor: Tensor, logits: list[Tensor], prompted: list[Tensor]) -> dict[str, Tensor]:
    """The numbers that the golden file holds."""
    numbers = {
        "descriptor_l2": descriptor.norm(dim=1),
        "descriptor_every_480th": descriptor[:, ::480],
        "logits_global_first8": logits[0][:, :8],
        "logits_local4_first8": logits[4][:, :8],
        "logits_l2": torch.stack([one.norm() for one in logits]),
    }
    if prompted:
        numbers["iael_logits_l2_per_layer"] = torch.stack([one.norm() for one in prompted])
        numbers["iael_logits_layer1_first8"] = prompted[0][:, :8]
        numbers["iael_logits_layer10_first8"] = prompted[9][:, :8]
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_agreement_with_the_released_code(released: dict[str, Tensor], case: str) -> None:
    golden = GOLDEN[case]
    images = draw_images(GOLDEN["salt"], (4, 3, 256, 128))
    model, _ = mip_from_release(released, **CASES[case])
    batch = as_batch(images, golden["modality"], golden["camera"])
    with torch.no_grad():
        descriptor, output = model(batch), model.outputs(batch)
    ours = as_in_golden(descriptor, output["logits"], output["prompt_logits"])
    assert set(ours) == set(golden) - {"camera", "modality"}
    for name, value in ours.items():
        torch.testing.assert_close(value, torch.tensor(golden[name], dtype=torch.double), rtol=0, atol=1e-8)


@pytest.mark.slow
def test_the_twin_agrees_with_the_released_code(released: dict[str, Tensor]) -> None:
    golden = GOLDEN["learned_query_iael_mean"]
    images = draw_images(GOLDEN["salt"], (4, 3, 256, 128))
    twin = release_twin.outputs(released, images, golden["modality"], golden["camera"], 12, 12, learned=True)
    numbers = as_in_golden(twin["descriptor"], list(twin["logits"]), list(twin["prompt_logits"]))
    for name, value in numbers.items():
        torch.testing.assert_close(value, torch.tensor(golden[name], dtype=torch.double), rtol=0, atol=1e-8)


@pytest.mark.parametrize("queries", ["zero", "learned"])
@pytest.mark.parametrize(
    ("salt", "modality", "camera"),
    [
        ("a", [0, 1, 0], [2, 0, 1]),
        ("b", [1, 1, 1], [0, 0, 2]),
        ("c", [0, 0, 1], [1, 1, 1]),
        ("d", [1, 0, 0], [2, 2, 0]),
    ],
)
def test_agreement_with_the_twin(salt: str, modality: list[int], camera: list[int], queries: str) -> None:
    state, images = draw_state(salt, release_shapes(**TINY)), draw_images(salt, (3, 3, 56, 32))
    twin = release_twin.outputs(state, images, modality, camera, 2, 8, learned=queries == "learned")
    model, _ = mip_from_release(state, queries=queries, iael=True, **TINY_SETTINGS)
    batch = as_batch(images, modality, camera)
    output = model.outputs(batch)
    ours = {"descriptor": model(batch), **{name: torch.stack(output[name]) for name in ("logits", "prompt_logits")}}
    for name, value in ours.items():
        torch.testing.assert_close(value, twin[name], rtol=0, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


def test_pooling_by_a_block_is_the_release_s_where_the_checkpoint_has_it() -> None:
    """The slow way: the query in front of the prompts of a layer, through the whole block and norm."""
    state, images = draw_state("e", release_shapes(**TINY, pooled=True)), draw_images("e", (3, 3, 56, 32))
    model, report = mip_from_release(state, queries="learned", iael=True, **TINY_SETTINGS)
    assert model.options.iael_pooling == "query" and "zero_token" in report.used
    output = model.outputs(as_batch(images, [0, 1, 0], [2, 0, 1]))
    for number, (prompts, logits) in enumerate(zip(output["prompts"], output["prompt_logits"], strict=True)):
        sequence = torch.cat([state["zero_token"].expand(3, -1, -1), prompts], dim=1)
        pooled = release_twin.norm(state, "b3.1", release_twin.block(state, "b3.0", sequence, 2))[:, 0]
        name = f"bottlenecks_ins_prompts.{number}"
        scale = (state[f"{name}.running_var"] + 1e-5).sqrt()
        neck = (pooled - state[f"{name}.running_mean"]) / scale * state[f"{name}.weight"] + state[f"{name}.bias"]
        expected = neck @ state[f"classifiers_ins_prompts.{number}.weight"].T
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("preset", [mip_release, mip_paper])
def test_the_release_trains_the_bias_of_its_instance_heads(preset: Any, tiny_mip: Any) -> None:
    model = tiny_mip(options=preset(iael=True))
    trained = [name for name, _ in model.named_parameters() if "necks" in name and name.endswith("bias")]
    assert all(name.startswith("prompt_head.necks.") for name in trained)
    assert len(trained) == (len(model.prompt_head.necks) if preset is mip_release else 0)
    assert {name for name in model.state_dict() if "necks" in name and name.endswith("bias")} > set(trained)
    state = draw_state("a", release_shapes(**TINY))
    converted, _ = mip_from_release(state, iael=True, **TINY_SETTINGS)
    assert torch.equal(converted.prompt_head.necks[1].bias, state["bottlenecks_ins_prompts.1.bias"])


def test_sizes_are_read_off_the_shapes() -> None:
    shapes = {f"module.{name}": torch.empty(shape, device="meta") for name, shape in release_shapes().items()}
    size = release_size(shapes)
    assert (size.classes, size.cameras, size.dim, size.depth) == (395, 6, 768, 12)
    assert (size.patch, size.prompt_length, size.patches, size.heads()) == (16, 16, 210, 12)


def test_a_full_size_checkpoint_fills_a_full_size_model() -> None:
    """By shapes alone, with the largest learning switch on."""
    state = {name: torch.empty(shape, device="meta") for name, shape in release_shapes().items()}
    model, report = mip_from_release(state, queries="learned", iael=True)
    assert len(model.backbone.blocks) == len(model.prompt_head.classifiers) == 10
    assert model.sie.table.shape == (6, 768)
    assert len(report.used) + len(report.unused) == len(state)
    assert not model.training


def test_heads_are_not_guessed() -> None:
    state = draw_state("a", release_shapes(**TINY))
    with pytest.raises(ValueError, match="num_heads: 16 channels cannot be split into heads of 64"):
        mip_from_release(state, stride=8, image_size=(56, 32))
    with pytest.raises(ValueError, match="num_heads: 16 channels cannot be split into heads by 3"):
        mip_from_release(state, stride=8, image_size=(56, 32), num_heads=3)


def without(prefix: str) -> dict[str, Tensor]:
    return {
        name: value for name, value in draw_state("a", release_shapes(**TINY)).items() if not name.startswith(prefix)
    }


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"conv1.weight": torch.ones(1)}, "not a released MIP checkpoint: base.cls_token is missing; base.pos_embed"),
        (without("base.sie_embed"), "base.sie_embed is missing"),
        ({**without("classifier.weight"), "classifier.weight": torch.ones(4)}, "classifier.weight has shape"),
        (without("base.blocks.3"), "has 3 blocks .* heads for 2"),
        (without("base.blocks.0"), "base.blocks.0.norm1.weight is missing"),
        (without("b1.0.attn"), "b1.0.attn.qkv.weight is missing"),
    ],
)
def test_what_is_wrong_is_named(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mip_from_release(state, **TINY_SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 4}, "base.pos_embed is for 28 patches, but images of 56 x 32 at stride 4 have 13 x 7"),
        ({"image_size": (64, 32)}, "at stride 8 have 8 x 4"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"queries": "none"}, "queries must be one of"),
    ],
)
def test_other_settings_than_the_checkpoints_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mip_from_release(draw_state("a", release_shapes(**TINY)), **{**TINY_SETTINGS, **change})
