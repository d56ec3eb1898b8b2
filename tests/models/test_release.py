"""Agreement with the authors' released code, and the translation of its checkpoints.

The golden numbers are outputs of the released code (https://github.com/wurqjackey/MIP) in float64, evaluation mode, on
weights and images drawn as below.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from promptreid.models.mip import build_mip, mip_release
from promptreid.models.release import from_release
from promptreid.models.vit import import_timm

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mip_release.json").read_text())


def release_shapes(classes=395, cameras=6, dim=768, blocks=12, patches=210, patch=16, deep=12):
    """Every name of the released model with its shape."""

    def block(prefix):
        for name, size in (("norm1", 1), ("attn.qkv", 3), ("attn.proj", 1), ("norm2", 1), ("mlp.fc1", 4)):
            yield f"{prefix}.{name}.weight", (size * dim,) if "norm" in name else (size * dim, dim)
            yield f"{prefix}.{name}.bias", (size * dim,)
        yield from ((f"{prefix}.mlp.fc2.weight", (dim, 4 * dim)), (f"{prefix}.mlp.fc2.bias", (dim,)))

    def norm(prefix, running=False):
        yield from ((f"{prefix}.{part}", (dim,)) for part in ("weight", "bias"))
        if running:
            yield from ((f"{prefix}.{part}", (dim,)) for part in ("running_mean", "running_var"))
            yield f"{prefix}.num_batches_tracked", ()

    shapes = {
        "zero_token": (1, 1, dim),
        "base.cls_token": (1, 1, dim),
        "base.pos_embed": (1, patches + 1, dim),
        "base.sie_embed": (cameras, 1, dim),
        "base.prompt_embeddings": (2, 16, dim),
        "base.deep_prompt_embeddings": (2, deep, 16, dim),
        "base.prompt_embed": (1, 16, dim),
        "base.patch_embed.proj.weight": (dim, 3, patch, patch),
        "base.patch_embed.proj.bias": (dim,),
        "base.fc.weight": (1000, dim),
        "base.fc.bias": (1000,),
        "base.prompt_proj.weight": (dim, dim),
        "base.prompt_proj.bias": (dim,),
    }
    shapes |= norm("base.norm")
    for prefix in (*(f"base.blocks.{i}" for i in range(blocks)), "base.instance_prompt_generator", "b1.0", "b2.0"):
        shapes |= block(prefix)
    for i in range(11):
        shapes |= {f"base.prompt_adapters.{i}.fc1.weight": (64, dim), f"base.prompt_adapters.{i}.fc1.bias": (64,)}
        shapes |= {f"base.prompt_adapters.{i}.fc2.weight": (dim, 64), f"base.prompt_adapters.{i}.fc2.bias": (dim,)}
    shapes |= dict([*norm("b1.1"), *norm("b2.1")])
    for suffix in ("", "_1", "_2", "_3", "_4"):
        shapes |= {f"classifier{suffix}.weight": (classes, dim)} | dict(norm(f"bottleneck{suffix}", running=True))
    for i in range(blocks - 2):
        shapes |= {f"classifiers_ins_prompts.{i}.weight": (classes, dim)}
        shapes |= norm(f"bottlenecks_ins_prompts.{i}", running=True)
    return shapes


def draw(salt, name, shape):
    """The value of a tensor, by its name."""
    a = np.random.default_rng(zlib.crc32(f"{salt}:{name}".encode())).standard_normal(shape)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(a)
    if name.endswith("running_mean"):
        return 0.1 * a
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if len(shape) == 1 and name.endswith(".weight"):
        return 1 + 0.1 * a
    scale = {"prompt_embeddings": 0.5, "sie_embed": 0.1}
    return next((value for part, value in scale.items() if part in name), 0.02) * a


def draw_state(salt, shapes):
    return {name: torch.as_tensor(draw(salt, name, shape)) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def released():
    return draw_state(GOLDEN["salt"], release_shapes())


CASES = {
    "release": mip_release(),
    "learned_query_iael_mean": mip_release(queries="learned", iael=True, iael_pooling="mean"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_agreement_with_the_released_code(released, case):
    import_timm()
    with torch.device("meta"):
        model = build_mip(395, "prompt", False, options=CASES[case], image_size=(256, 128)).eval()
    state, _ = from_release(released, model)
    model.load_state_dict(state, assign=True)
    model.double()

    golden = GOLDEN[case]
    rng = np.random.default_rng(zlib.crc32(f"{GOLDEN['salt']}:images".encode()))
    batch = {
        "images": torch.from_numpy(rng.uniform(-1, 1, (4, 3, 256, 128)))[:, None],
        "modality": 1 - torch.tensor(golden["modality"])[:, None],  # theirs: 0 infrared, 1 visible
        "camera": torch.tensor(golden["camera"]),
        "present": torch.ones(4, 1, dtype=torch.bool),
    }
    with torch.no_grad():
        output = model.outputs(batch)
    features, logits, prompted = (output[name] for name in ("features", "logits", "prompt_logits"))
    descriptor = torch.cat([features[0], *(local / 4 for local in features[1:])], dim=1)
    ours = {
        "descriptor_l2": descriptor.norm(dim=1),
        "descriptor_every_480th": descriptor[:, ::480],
        "logits_global_first8": logits[0][:, :8],
        "logits_local4_first8": logits[4][:, :8],
        "logits_l2": torch.stack([one.norm() for one in logits]),
    }
    if prompted:
        ours["iael_logits_l2_per_layer"] = torch.stack([one.norm() for one in prompted])
        ours["iael_logits_layer1_first8"] = prompted[0][:, :8]
        ours["iael_logits_layer10_first8"] = prompted[9][:, :8]
    assert set(ours) == set(golden) - {"camera", "modality"}
    for name, value in ours.items():
        torch.testing.assert_close(value, torch.tensor(golden[name], dtype=torch.double), rtol=0, atol=1e-8)


TINY = {"classes": 5, "cameras": 3, "dim": 16, "blocks": 4, "patches": 28, "patch": 8, "deep": 4}


def tiny_pair(**options):
    vit = {"depth": 4, "embed_dim": 16, "num_heads": 2, "patch_size": 8, "img_size": 32}
    settings = {"image_size": (56, 32), "stride": 8, "cameras": 3, "vit": vit}
    model = build_mip(5, "prompt", False, options=mip_release(**options), **settings)
    return model, draw_state("tiny", release_shapes(**TINY))


def test_the_release_is_translated_completely():
    model, state = tiny_pair()
    ours, report = from_release({f"module.{name}": tensor for name, tensor in state.items()}, model)
    assert set(ours) == set(model.state_dict())
    model.load_state_dict(ours)
    assert set(report.used) | set(report.unused) == set(state)
    assert not set(report.used) & set(report.unused)
    families = {re.match(r"zero_token|b\w+?\.[a-z_]+|[a-z_]+", name).group() for name in report.unused}
    assert families == {
        "zero_token",
        "base.blocks",
        "base.fc",
        "base.norm",
        "base.prompt_adapters",
        "base.prompt_embed",
        "bottlenecks_ins_prompts",
        "classifiers_ins_prompts",
    }
    assert {name.split(".")[2] for name in report.unused if "blocks" in name} == {"2", "3"}
    assert "unknown name" not in report.unused.values()


def test_the_switches_decide_what_is_used():
    model, state = tiny_pair(queries="learned", iael=True, iael_pooling="mean")
    _, report = from_release(state, model)
    assert "base.prompt_embed" in report.used
    assert not [name for name in report.unused if "ins_prompts" in name]


def test_modality_rows_are_swapped():
    """Theirs is infrared, visible; ours visible, infrared."""
    model, state = tiny_pair()
    library = from_release(state, model)[0]["modality_prompts.library"]
    first, deep = state["base.prompt_embeddings"], state["base.deep_prompt_embeddings"]
    assert torch.equal(library[0, 0], first[1])
    assert torch.equal(library[0, 1], first[0])
    assert torch.equal(library[1, 0], deep[1, 0])


def test_strange_names_are_reported():
    model, state = tiny_pair()
    _, report = from_release({**state, "extra": torch.ones(1)}, model)
    assert report.unused["extra"] == "unknown name"


def test_missing_and_misshapen_tensors_are_named():
    model, state = tiny_pair()
    del state["base.cls_token"], state["base.deep_prompt_embeddings"]
    state["base.pos_embed"] = torch.zeros(1, 17, 16)
    with pytest.raises(ValueError) as caught:
        from_release(state, model)
    message = str(caught.value)
    assert "backbone.cls_token is missing" in message
    assert "modality_prompts.library is missing" in message
    assert "backbone.pos_embed has shape (1, 17, 16), the model (1, 29, 16)" in message
