"""Every key that is off by default: another reading of the paper, or a mechanism beside it."""

from __future__ import annotations

import copy
import io

import pytest
import torch
import torchreid
from dmpt_models import ALIGNMENTS, BEYOND, READINGS, TOWER, awake, exchange, parts, tiny_dmpt, triples
from dmpt_twin import slow_twin

from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.options import CHOICES, DMPTOptions
from promptreid.methods.dmpt.prefix_cache import PrefixCache
from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.backbones.shaped_attention import Shaping
from promptreid.models.folding import fold
from promptreid.models.present_images import slots_of

PIDS = torch.tensor([0, 0, 1, 1])
EVERY = READINGS + BEYOND + ALIGNMENTS
PRESENT = torch.tensor([[True, True, True], [True, False, True], [False, True, False], [True, True, True]])
STARTS_AS_DEFAULT = [
    {"bind_keys": "all"},
    {"bind_residual": True},
    {"word_content": 3},
    {"attention_temperature": True},
    {"alignment_symmetric": True},
    {"alignment_on": "modality_prompts"},
]


def loss_of(model, batch):
    of = model.options
    criterion = DMPTLoss(
        alignment_weight=float(of.alignment), alignment_of=of.alignment_of, alignment_symmetric=of.alignment_symmetric
    )
    return criterion(model.train()(batch), PIDS)[0]


def test_every_new_choice_is_among_them():
    defaults = DMPTOptions()
    named = {name for name in CHOICES if name not in ("classifier", "frozen_dtype", "word_mapping", "prompt_init")}
    for name in named:
        tried = {options.get(name, getattr(defaults, name)) for options in EVERY}
        old = {"word_source": {"embeddings", "sentence"}, "bind_output": {"class"}}.get(name, set())
        assert tried | old == set(CHOICES[name]), name


@pytest.mark.parametrize("options", READINGS + BEYOND, ids=str)
@torch.no_grad()
def test_each_is_its_slow_twin_in_any_order_and_without_missing_images(options):
    model, batch = awake(tiny_dmpt(**options)), triples()
    complete = parts(model, batch)
    assert torch.allclose(complete, slow_twin(model, batch), atol=2e-5)
    for order in ([1, 0, 2], [2, 0, 1]):
        swapped = {**batch, "images": batch["images"][:, order], "modality": batch["modality"][:, order]}
        assert torch.allclose(parts(model, swapped), complete[:, order], atol=1e-5)
    batch["present"] = PRESENT
    batch["images"][~PRESENT] = float("nan")
    assert torch.allclose(parts(model, batch), slow_twin(model, batch), atol=2e-5)
    assert not torch.allclose(parts(model, batch), parts(awake(tiny_dmpt()), batch), atol=1e-4), "it does something"


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_all_of_it_learns_and_is_saved(options):
    model = awake(tiny_dmpt(**options))
    loss_of(model, triples()).backward()
    # Attention does not see what is added to all of its scores.
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert all(name.endswith("key.bias") for name in dead), dead
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = tiny_dmpt(**options)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again.eval()(triples()).detach(), model.eval()(triples()).detach())


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_torchreids_own_engine_takes_a_step(options):
    model, batch = tiny_dmpt("triplet", **options), triples()
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torchreid.optim.build_optimizer(model, optim="adam", lr=0.01)
    data = type("Data", (), {"num_train_pids": 5, "train_loader": [], "test_loader": {}})()
    engine = torchreid.engine.ImageTripletEngine(data, model, optimizer, use_gpu=False)
    engine.set_model_mode("train")
    summary = engine.forward_backward({"img": batch["images"], "pid": PIDS})
    assert all(value == value for value in summary.values())
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert "classifier.0.weight" in changed and model.check_unchanged()
    assert any(not name.startswith(("classifier", "necks")) for name in changed), "prompts learn in the first step"


@pytest.mark.parametrize("options", EVERY, ids=str)
@torch.no_grad()
def test_kept_prefixes_and_folded_prompts_change_no_descriptor(options):
    late = {"word_first_layer": 3} if "word_first_layer" in options else {}
    layers = {"interaction_layers": (2, 3)} if options.get("interaction_layers") is None else {}
    settings = {"first_layer": 2, **options, **late, **(layers if options.get("bind", True) else {})}
    model, batch = awake(tiny_dmpt(**settings)).eval(), triples()
    expected = model(batch)
    model.prefix_cache = PrefixCache(2**20)
    for _ in range(2):
        assert torch.allclose(model(batch), expected, atol=1e-6)
    assert (model.prefix_cache.hits, model.prefix_cache.misses) == (12, 12)
    assert ("word_prompts" in fold(model)) == (options.get("word_source") != "learned")
    assert torch.allclose(model(batch), expected, atol=1e-6)


@pytest.mark.parametrize("options", STARTS_AS_DEFAULT, ids=str)
@torch.no_grad()
def test_it_starts_as_the_default_does(options):
    batch = triples()
    assert torch.allclose(parts(tiny_dmpt(**options), batch), parts(tiny_dmpt(), batch), atol=1e-6)


@torch.no_grad()
def test_apart_prompts_start_as_an_untouched_tower():
    batch, apart = triples(), {"prompt_attention": "apart"}
    probe = tiny_dmpt(semantic=False, words=False, bind=False, alignment=False)
    assert torch.allclose(parts(tiny_dmpt(**apart), batch), parts(probe, batch), atol=1e-6)
    added = tiny_dmpt(word_output="semantic", word_deep=True, word_length=8)
    without = tiny_dmpt(words=False)
    for name in ("semantic_prompts", "bind"):
        without.get_submodule(name).load_state_dict(added.get_submodule(name).state_dict())
    assert torch.allclose(parts(added, batch), parts(without, batch), atol=1e-6)


@torch.no_grad()
def test_a_medium_starts_without_exchange_and_then_tells():
    batch = triples()
    changed = copy.deepcopy(batch)
    changed["images"][:, 1] += 1
    for keys in ("others", "all"):
        model = tiny_dmpt(bind_direction="medium", bind_keys=keys)
        assert torch.equal(parts(model, batch)[:, 0], parts(model, changed)[:, 0])
        exchange(model)
        assert not torch.allclose(parts(model, batch)[:, 0], parts(model, changed)[:, 0], atol=1e-4)
        assert [bound.shape for bound in model.outputs(batch)["prompts"]] == [(12, 4, 32)] * 2


@torch.no_grad()
def test_all_keys_make_one_set_of_bind_prompts_for_a_sample():
    for options in ({}, {"bind_residual": True}):
        model = exchange(tiny_dmpt(bind_keys="all", **options))
        for bound in model.outputs(triples())["prompts"]:
            of_slots = bound.unflatten(0, (4, 3))
            assert torch.allclose(of_slots[:, 0], of_slots[:, 1], atol=1e-5)
            assert torch.allclose(of_slots[:, 0], of_slots[:, 2], atol=1e-5)
    for bound in exchange(tiny_dmpt()).outputs(triples())["prompts"]:
        assert not torch.allclose(bound[0], bound[1], atol=1e-4)


@torch.no_grad()
def test_copies_among_the_prompts_of_a_short_phrase():
    """The word "visible" is one piece: its other prompts stay copies through all blocks, unless told apart."""

    def different(**options):
        model, images = tiny_dmpt(**options), triples()["images"][:, 0]
        slots = slots_of(images, model.modalities, model.images_per_sample)
        words = model.encode(model.tower.embed(images), 0, slots, words=True).words
        return float((words[:, 1] - words[:, 3]).abs().max())

    assert different() < 1e-5
    assert different(word_offsets=True) > 1e-4
    assert different(word_source="end") > 1e-3


@pytest.mark.parametrize(
    "options", [{"bind_keys": "all"}, {"bind_direction": "medium"}, {"bind_residual": True}], ids=str
)
def test_samples_of_one_image(options):
    model = awake(tiny_dmpt(images_per_sample=1, **options))
    batch = triples(count=1)
    assert torch.allclose(parts(model, batch), slow_twin(model, batch), atol=2e-5)
    loss_of(model, batch).backward()


def test_a_timm_tower_shapes_its_attention_as_clips_does():
    torch.manual_seed(0)
    tower = tiny_dmpt(
        backbone="vit_tiny_patch16_224", word_source="learned", alignment=False, bind=False,
        tower={"depth": 1, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)},
    ).tower  # fmt: skip
    tokens = torch.randn(2, 9, 32)
    plain = tower.run(0, tokens)

    def shaped(reads: int, *shaping: torch.Tensor | None) -> torch.Tensor:
        return tower.run(0, tokens, reads, BlockForm(shaping=Shaping(6, *shaping)))

    assert torch.allclose(shaped(9, None, torch.tensor(1.0)), plain, atol=1e-6)
    closed = shaped(9, torch.tensor(0.0))
    assert torch.allclose(closed[:, :6], tower.run(0, tokens[:, :6]), atol=1e-6), "without a prompt in sight"
    assert torch.allclose(closed[:, 6:], plain[:, 6:], atol=1e-6), "prompts attend as always"
    opened = shaped(3, torch.tensor(0.5))
    assert torch.allclose(opened, shaped(9, torch.tensor(0.5))[:, :3], atol=1e-6)
    assert not torch.allclose(opened, closed[:, :3], atol=1e-4)


MANY = {
    "bind_direction": "medium", "bind_keys": "all", "bind_residual": True, "word_offsets": True, "word_content": 2,
    "prompt_attention": "apart", "attention_temperature": True, "prompt_gates": True,
}  # fmt: skip
SHORT = {**TOWER, "vision_cfg": {**TOWER["vision_cfg"], "layers": 2}}
BLOCKS = {"word_deep": True, "word_source": "layers", "word_maps": "low_rank", "bind_keys": "all"}


@pytest.mark.slow
@torch.no_grad()
def test_exported_descriptors_are_the_plain_ones():
    model, batch = awake(tiny_dmpt(**MANY, tower=SHORT)).eval(), triples()
    batch["present"] = PRESENT
    expected = model(batch)
    size = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (batch,), dynamic_shapes=({key: {0: size} for key in batch},)).module()
    few = {key: value[1:3] for key, value in batch.items()}
    torch.testing.assert_close(program(batch), expected, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(program(few), expected[1:3], atol=2e-5, rtol=1e-4)


@pytest.mark.slow
def test_a_compiled_training_is_the_same():
    options = {**BLOCKS, "alignment_of": "identity", "context_words": 2, "alignment_symmetric": True, "tower": SHORT}
    batch = triples()
    batch["present"] = PRESENT
    plain, compiled = (awake(tiny_dmpt(**options)) for _ in range(2))
    compiled.compile(backend="eager")
    losses = [loss_of(model, batch) for model in (plain, compiled)]
    torch.testing.assert_close(losses[1], losses[0], atol=2e-5, rtol=1e-4)
    for loss in losses:
        loss.backward()
    for (name, one), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, atol=1e-4, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")
    torch._dynamo.reset()


def test_recomputed_blocks_give_the_same_gradients():
    plain, saving = (awake(tiny_dmpt(**MANY)) for _ in range(2))
    saving.checkpoint_blocks = True
    for model in (plain, saving):
        loss_of(model, triples()).backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)


def test_low_precision():
    for options in (MANY, {**BLOCKS, "alignment_on": "modality_prompts"}):
        model = awake(tiny_dmpt(frozen_dtype="bfloat16", **options))
        with torch.autocast("cpu", torch.bfloat16):
            loss_of(model, triples()).backward()
        assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}
        half, full = model.eval()(triples()), awake(tiny_dmpt(**options)).eval()(triples())
        assert torch.nn.functional.cosine_similarity(half, full).min() > 0.98
