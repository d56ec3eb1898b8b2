"""Options beyond the paper: where they start, what they train, and what a user relies on with them on."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from dmpt_models import BESIDE, awake, parts, tiny_dmpt, triples

from promptreid.config import load_config
from promptreid.engine.optimizers import build_optimizer, parameter_groups, prompt_families
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.diagnostics import diagnose
from promptreid.methods.dmpt.keys import KEYS
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.method import dmpt_options
from promptreid.methods.dmpt.options import PLUS, DMPTOptions, dmpt_plus, dmpt_s
from promptreid.models.frozen import weights_digest
from promptreid.models.parameter_count import count_parameters

PIDS = torch.tensor([0, 0, 1, 1])
NEUTRAL = [
    {"adapter": 6},
    {"adapter": 6, "adapter_shared": False},
    {"exchange": 4},
    {"lora": 2},
    {"fusion": True},
    BESIDE,
]
BUDGET = 5_600_000  # what 6.5 % of a ViT-B/16 are, in the paper's precision
HEADS = ("necks", "classifier")


@pytest.mark.parametrize("frozen_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", NEUTRAL, ids=str)
@torch.no_grad()
def test_training_starts_as_without_bit_by_bit(options: dict[str, object], frozen_dtype: str) -> None:
    batch = triples()
    batch["present"][1, 2] = batch["present"][2, 0] = False
    one, other = (tiny_dmpt(frozen_dtype=frozen_dtype, **each).train() for each in (options, {}))
    state = one.state_dict()
    assert all(torch.equal(state[name], value) for name, value in other.state_dict().items()), "the same first weights"
    found, expected = one(batch), other(batch)
    for key in ("logits", "features", "prompts"):
        assert all(torch.equal(a, b) for a, b in zip(found[key], expected[key], strict=True)), key


@torch.no_grad()
def test_off_is_no_part_of_the_model() -> None:
    assert all(getattr(tiny_dmpt(), name) is None for name in ("adapter", "exchange", "lora", "fusion"))


@pytest.mark.parametrize("options", NEUTRAL, ids=str)
@torch.no_grad()
def test_they_change_the_prompted_blocks_alone(options: dict[str, object]) -> None:
    model = tiny_dmpt(first_layer=2, prompt_depth=2, interaction_layers=(2,), **options)
    counts = {name: len(getattr(model, name) or ()) for name in ("adapter", "exchange", "lora")}
    assert counts == {name: 2 if options.get(name) else 0 for name in counts}
    slots = SimpleNamespace()
    assert [model.beside(layer, 9, slots) == (None, None, None) for layer in (1, 4)] == [True, True]
    alone = tiny_dmpt(semantic=False, words=False, bind=False, alignment=False, first_layer=3, adapter=2)
    assert (len(alone.adapter), alone.frozen_prefix) == (2, 2), "without prompts, too"


def test_the_frozen_tower_stays_as_it_was() -> None:
    model = awake(tiny_dmpt(**BESIDE)).train()
    before = weights_digest(model.backbone.module)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(3):
        optimizer.zero_grad()
        DMPTLoss()(model(triples(seed=step)), PIDS)[0].backward()
        optimizer.step()
    assert weights_digest(model.backbone.module) == before and model.check_unchanged()


def test_a_trained_tower_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    for options in ({"adapter": 4}, {"lora": 2}, {"adapter": 4, "lora": 2}):
        caplog.clear()
        model = tiny_dmpt(frozen=False, **options)
        DMPTLoss()(model.train()(triples()), PIDS)[0].backward()
        (record,) = caplog.records
        assert record.levelno == logging.WARNING and "dmpt.frozen False trains the blocks" in record.message
        assert model.adapter is None or model.adapter[0].up.weight.grad.abs().max() > 0
    caplog.clear()
    tiny_dmpt(frozen=False, exchange=4, fusion=True)
    tiny_dmpt(adapter=4, lora=2)
    assert not caplog.records


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapter": -1}, "adapter must be at least 0, got -1"),
        ({"exchange": -8}, "exchange must be at least 0"),
        ({"lora": -2}, "lora must be at least 0"),
        ({"adapter": 4, "adapter_scale": 0.0}, "adapter_scale must be positive"),
        ({"lora": 4, "lora_alpha": -1.0}, "lora_alpha must be positive"),
        ({"adapter_shared": False}, "adapter_shared=False belongs to adapter, and adapter=0; set adapter above 0"),
        ({"adapter_scale": 1.0}, "adapter_scale=1.0 belongs to adapter"),
        ({"lora_alpha": 4.0}, "lora_alpha=4.0 belongs to lora, and lora=0"),
    ],
)
def test_bad_values(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DMPTOptions(**changes)


def trained_on_vit_b(options: DMPTOptions) -> int:
    with torch.device("meta"):
        counts = count_parameters(build_dmpt(171, pretrained=False, options=options, text_from_state=True))
    return sum(part.trainable for name, part in counts.items() if name not in HEADS)


def test_dmpt_plus_trains_no_more_than_the_paper() -> None:
    assert trained_on_vit_b(dmpt_plus()) == 5_542_368 <= BUDGET
    assert trained_on_vit_b(dmpt_plus(adapter=PLUS["adapter"] + 8)) > BUDGET, "the next multiple of eight is too wide"
    assert dmpt_plus() == dmpt_s(adapter=296)
    assert dmpt_plus(adapter=0) == dmpt_s()


def test_the_preset_is_said_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key that a preset may set is "not set" by default, so that the preset is what counts."""

    def options(**changes: object) -> DMPTOptions:
        overrides = {f"dmpt.{name}": value for name, value in changes.items()}
        return dmpt_options(load_config(None, overrides={"model.name": "dmpt_clip_tiny", **overrides}))

    defaults = {key.name: key.default for key in KEYS}
    assert {defaults[name] for name in PLUS} == {None}
    assert options() == DMPTOptions()
    assert options(preset="dmpt_plus") == dmpt_plus()
    assert options(preset="dmpt_plus", adapter=0) == dmpt_s()
    assert options(exchange=8, lora=4, lora_alpha=2.0, fusion=True) == DMPTOptions(
        exchange=8, lora=4, lora_alpha=2.0, fusion=True
    )
    chosen = {"bind": False, "words": False, "alignment": False, "adapter": 8, "adapter_shared": False,
              "adapter_scale": 1.0, "exchange": 4, "lora": 2, "lora_alpha": 1.0, "fusion": True}  # fmt: skip
    monkeypatch.setattr("promptreid.methods.dmpt.options.PLUS", chosen)
    assert options(preset="dmpt_plus") == DMPTOptions(**chosen)


def test_adapters_have_a_rate_of_their_own() -> None:
    model = tiny_dmpt(**BESIDE)
    groups = {group["name"]: group for group in parameter_groups(model, 0.1, {"adapters": 3.0, "bias": 2.0})}
    of = {id(value): name for name, value in model.named_parameters()}
    names = {of[id(value)].partition(".")[0] for value in groups["adapters"]["params"]}
    assert names == {"adapter", "exchange", "lora"} and groups["adapters"]["lr"] == pytest.approx(0.3)
    every = [value for part in (model.adapter, model.exchange, model.lora) for value in part.parameters()]
    assert len(groups["adapters"]["params"]) == len(every), "biases, too"
    assert len(prompt_families(model)["adapters"]) == len(every)
    keys = {"model.name": "dmpt_clip_tiny", "train.lr_mult.adapters": 0.5, "train.lr": 0.2, "train.optim": "adam"}
    rates = {
        group["name"]: group["lr"] for group in build_optimizer(model, load_config(None, overrides=keys)).param_groups
    }
    assert rates["adapters"] == pytest.approx(0.1) and rates["base"] == pytest.approx(0.2)


@torch.no_grad()
def test_looking_into_it_shows_what_it_computes() -> None:
    """The attention of changed queries and keys, of the tokens that the changed blocks before have made."""
    model, batch = awake(tiny_dmpt(**BESIDE)).eval(), triples()
    batch["present"][1, 2] = False
    before = model(batch)
    inspection = model.inspect(batch, "all")
    assert torch.equal(model(batch), before)
    seen: list[torch.Tensor] = []
    lora, block = model.lora[1], model.tower.visual.transformer.resblocks[1]
    hook = block.ln_1.register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(batch)
    hook.remove()
    weight, bias = block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3)
    query = seen[0] @ weight[0].T + bias[0] + lora.query(seen[0])
    key = seen[0] @ weight[1].T + bias[1]
    query, key = (part.unflatten(-1, (2, 16)).transpose(1, 2) for part in (query, key))
    expected = (query @ key.transpose(-1, -2) / 4).softmax(dim=-1)
    assert torch.allclose(inspection.layers[1].weights, expected, atol=1e-5)
    found, people = diagnose(model, [[{"img": torch_batch(batch), "pid": PIDS}]])
    assert people == 2 and len(found.attention) == 4
    on_prompts = expected[:, :, 0, 9:].sum(dim=-1).mean()
    assert found.attention[1] == pytest.approx(float(on_prompts), abs=1e-5)


def torch_batch(batch: dict[str, torch.Tensor]) -> object:
    """With ``.to``, as an engine's batches."""
    from promptreid.data.batch import ModalBatch

    return ModalBatch(batch)


@torch.no_grad()
def test_without_prompts_the_rest_stays() -> None:
    model, batch = awake(tiny_dmpt(adapter=4, exchange=4, lora=2, first_layer=2)).eval(), triples()
    bare = model.without(["semantic", "words", "bind"])
    assert bare.prompt_families == ()
    plain = tiny_dmpt(semantic=False, words=False, bind=False, adapter=4, exchange=4, lora=2, first_layer=2)
    plain.load_state_dict({name: model.state_dict()[name] for name in plain.state_dict()})
    assert torch.allclose(bare(batch), plain.eval()(batch), atol=1e-6)
    assert not torch.allclose(bare(batch), model(batch), atol=1e-3)


def test_every_weight_gets_a_gradient_in_the_first_step_and_with_modalities_missing() -> None:
    """Zeros where there is nothing to learn, so that processes need not look for unused weights."""
    model, batch = tiny_dmpt(**BESIDE).train(), triples()
    batch["present"][:, 1:] = False
    DMPTLoss()(model(batch), PIDS)[0].backward()
    assert not [name for name, value in model.named_parameters() if value.grad is None]


def test_the_tower_in_low_precision_and_all_else_in_full() -> None:
    model = awake(tiny_dmpt(frozen_dtype="bfloat16", **BESIDE)).train()
    for casting in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=casting):
            DMPTLoss()(model(triples()), PIDS)[0].backward()
        assert {value.grad.dtype for value in model.parameters() if value.grad is not None} == {torch.float32}
    half, full = model.eval()(triples()), awake(tiny_dmpt(**BESIDE)).eval()(triples())
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(half, full).min() > 0.97


@torch.no_grad()
def test_double_precision_is_double_inside() -> None:
    batch = triples()
    batch["present"][0, 0] = False
    wide = {**batch, "images": batch["images"].double()}
    full, double = awake(tiny_dmpt(**BESIDE)), awake(tiny_dmpt(**BESIDE)).double()
    assert parts(double, wide).dtype == torch.float64
    assert torch.allclose(parts(double, wide).float(), parts(full, batch), atol=2e-5)
