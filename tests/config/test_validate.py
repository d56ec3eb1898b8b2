from __future__ import annotations

import re
from typing import Any

import pytest
from yacs.config import CfgNode

from promptreid import host
from promptreid.config.defaults import default_config
from promptreid.config.keys import flatten
from promptreid.config.load import load_config
from promptreid.config.merge import merged
from promptreid.config.sections import all_keys
from promptreid.config.validate import validate

KEYS = all_keys()
RANGES = {name: key.range for name, key in KEYS.items() if key.range is not None}
CHOICES = {name: key.choices for name, key in KEYS.items() if key.choices}
PROMPT = {"loss.name": "prompt", "sampler.train_sampler": "RandomIdentitySampler"}
CROSS_MODAL = {**PROMPT, "sampler.train_sampler": "CrossModalSampler"}
IDENTITY = {**PROMPT, "sampler.train_sampler": "IdentitySampler"}
WARMUP = {"train.lr_scheduler": "mip_cosine"}


def config(*values: dict[str, Any]) -> CfgNode:
    return merged(default_config(), {key: value for some in values for key, value in some.items()})


def test_the_defaults_are_valid(caplog: pytest.LogCaptureFixture) -> None:
    validate(default_config())
    assert not caplog.records


def test_a_torchreid_file_is_valid(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> None:
    validate(load_config(request.path.with_name("osnet_softmax.yaml")), host.model_names(), host.dataset_names())
    assert not caplog.records


@pytest.mark.parametrize(
    "values",
    [
        PROMPT,
        CROSS_MODAL,
        {**IDENTITY, "sampler.num_instances": 16},
        {**PROMPT, **WARMUP},
        {"train.optim": "adamw"},
        {"loss.name": "triplet"},
    ],
)
def test_ordinary_settings_are_valid(values: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    validate(config(values))
    assert not caplog.records


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.transforms": ["random_flip", "random_erasing"]}, "data.transforms: unknown name 'random_erasing'; did "
         "you mean 'random_erase'? (one of random_flip, random_crop, random_patch, color_jitter, random_erase)"),
        ({"train.optim": "adamW"}, "train.optim: unknown name 'adamW'; did you mean 'adamw'?"),
        ({"train.lr_scheduler": "step"}, "train.lr_scheduler: unknown name 'step'"),
        ({"loss.name": "prompts"}, "loss.name: unknown name 'prompts'; did you mean 'prompt'?"),
        ({"sampler.train_sampler": "RandomIdentitySample"}, "did you mean 'RandomIdentitySampler'?"),
        ({"test.dist_metric": "cos"}, "test.dist_metric: unknown name 'cos'"),
        ({"mip.preset": "mip"}, "mip.preset: unknown name 'mip' (one of mip_paper, mip_release)"),
        ({"mip.query": "none"}, 'mip.query: unknown name \'none\' (one of "", learned, zero)'),
        ({"train.batch_size": 0}, "train.batch_size 0 is out of range: it must be at least 1"),
        ({"train.lr": 0.0}, "train.lr 0.0 is out of range: it must be above 0"),
        ({"train.lr": float("nan")}, "train.lr nan is out of range"),
        ({"train.lr": float("inf")}, "train.lr inf is out of range"),
        ({"train.max_epoch": 0}, "train.max_epoch 0"),
        ({"train.stepsize": [0]}, "train.stepsize 0 is out of range"),
        ({"train.gamma": 0.0}, "train.gamma 0.0 is out of range: it must be above 0 and at most 1"),
        ({"adam.beta1": 1.0}, "adam.beta1 1.0 is out of range: it must be at least 0 and below 1"),
        ({"backbone.drop_path": 1.0}, "backbone.drop_path 1.0"),
        ({"backbone.vit.depth": 0}, "backbone.vit.depth 0"),
        ({"data.workers": -1}, "data.workers -1 is out of range: it must be at least 0"),
        ({"train.stepsize": []}, "train.stepsize is empty"),
        ({"data.sources": []}, "data.sources is empty"),
        ({"data.type": "video"}, "promptreid host"),
        ({"data.k_tfm": 2}, "data.k_tfm 2"),
        ({"data.augment.visible": ["random_flip", "random_gray"]}, "data.augment.visible: unknown name 'random_gray'; "
         "did you mean 'random_grey'?"),
        ({"data.augment.near_infrared": ["flip"]}, "data.augment.near_infrared: unknown name 'flip'"),
        ({"data.augment.thermal_infrared": ["blurr"]}, "data.augment.thermal_infrared: unknown name 'blurr'; did you "
         "mean 'blur'?"),
        ({"data.augment.drop_modality": 1.0}, "data.augment.drop_modality 1.0 is out of range: it must be at least 0 "
         "and below 1"),
        ({"data.incomplete": "drop"}, "data.incomplete: unknown name 'drop' (one of skip, keep)"),
        ({"data.decoder": "pil"}, "data.decoder: unknown name 'pil'"),
        ({"data.augment.interpolation": "cubic"}, "data.augment.interpolation: unknown name 'cubic'; did you mean "
         "'bicubic'?"),
        ({"data.persistent_workers": True, "data.workers": 0}, "data.persistent_workers True keeps workers"),
        ({"data.norm_mean": [0.5]}, "data.norm_mean [0.5] has 1 values: it needs 3"),
        ({"data.norm_std": [0.5, 0.5, 0.0]}, "data.norm_std 0.0 is out of range"),
        ({"data.synthetic.size": [64]}, "data.synthetic.size [64] has 1 values: it needs 2"),
        ({"data.load_train_targets": True}, "data.load_train_targets: ['market1501'] is both in"),
        ({**PROMPT, "train.batch_size": 30, "sampler.num_instances": 8},
         "train.batch_size 30 is not a multiple of sampler.num_instances 8: choose e.g. 24 or 32"),
        ({**PROMPT, "train.batch_size": 6, "sampler.num_instances": 8}, "choose e.g. 8"),
        ({**CROSS_MODAL, "train.batch_size": 30, "sampler.num_instances": 8},
         "train.batch_size 30 is not a multiple of sampler.num_instances 8: choose e.g. 24 or 32"),
        ({**IDENTITY, "train.batch_size": 30, "sampler.num_instances": 8}, "choose e.g. 24 or 32"),
        ({**IDENTITY, "train.batch_size": 8, "sampler.num_instances": 8}, "choose at least 16"),
        ({**CROSS_MODAL, "sampler.num_instances": 5}, "sampler.num_instances 5 can't be half visible, half infrared: "
         "choose 6"),
        ({**CROSS_MODAL, "train.batch_size": 8, "sampler.num_instances": 8}, "choose at least 16"),
        ({**PROMPT, "train.batch_size": 8, "sampler.num_instances": 8}, "choose at least 16"),
        ({"loss.name": "prompt"}, "sampler.train_sampler RandomSampler groups no identities"),
        ({"train.start_epoch": 60}, "train.start_epoch 60"),
        ({"train.fixbase_epoch": 61}, "train.fixbase_epoch 61 is above train.max_epoch 60"),
        ({"train.stepsize": [20, 40]}, "train.stepsize [20, 40]: single_step takes one"),
        ({"train.lr_scheduler": "multi_step", "train.stepsize": [40, 20]}, "train.stepsize [40, 20] must rise"),
        ({**WARMUP, "train.max_epoch": 5}, "train.warmup_epochs 5 must be below train.max_epoch 5"),
        ({**WARMUP, "train.warmup_lr": 1.0}, "train.warmup_lr 1.0 is above train.lr 0.0003"),
        ({**WARMUP, "train.cosine.min_lr": 0.1}, "train.cosine.min_lr 0.1 is above train.lr 0.0003"),
        ({"train.optim": "sgd", "sgd.nesterov": True, "sgd.dampening": 0.1}, "sgd.nesterov needs"),
        ({"loss.name": "triplet", "train.fixbase_epoch": 5}, "train.fixbase_epoch: loss.triplet.weight_x 0 gives the "
         "classifier no gradient"),
        ({**PROMPT, "loss.prompt.weight_x": 0.0, "loss.prompt.weight_t": 0.0}, "nothing would be learnt"),
        ({"model.pretrained": False, "backbone.weights": "vit.pth"}, "model.pretrained False wouldn't read it"),
        ({"backbone.vit.embed_dim": 100, "backbone.vit.num_heads": 3}, "backbone.vit.embed_dim 100 can't be split"),
        ({"model.name": "mip_vit_tiny_patch16", "mip.generator": "bank", "mip.query": "zero"},
        "mip.query 'zero': a bank (mip.generator) has no queries"),
        ({"test.visrank": True}, "test.visrank draws rank lists only when nothing is trained"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_key(values: dict[str, Any], message: str):
    with pytest.raises(ValueError) as caught:
        validate(config(values))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_problems_are_told_at_once():
    with pytest.raises(ValueError) as caught:
        validate(config({"train.lr": -1.0, "loss.name": "none", "model.name": "resnet5"}), models=["resnet50"])
    assert [line.split(":")[0].split()[0] for line in str(caught.value).splitlines()] == [
        "loss.name",
        "model.name",
        "train.lr",
    ]


@pytest.mark.parametrize("key", ["data.sources", "data.targets"])
def test_an_unknown_dataset_brings_the_nearest(key: str):
    cfg = config({"data.sources": ["sysu_mm01"], "data.targets": ["sysu_mm01"]}, {key: ["sysu_mm1"]})
    with pytest.raises(ValueError, match=rf"{key}: 'sysu_mm1' isn't registered; did you mean 'sysu_mm01'\?"):
        validate(cfg, datasets=["market1501", "sysu_mm01"])


def test_an_unknown_model_brings_the_nearest():
    with pytest.raises(ValueError, match=r"model\.name: 'osnet_1_0' isn't registered; did you mean 'osnet_x1_0'\?"):
        validate(config({"model.name": "osnet_1_0"}), models=host.model_names())


def test_random_sampling_needs_no_multiple(caplog: pytest.LogCaptureFixture) -> None:
    validate(config({"train.batch_size": 30, "sampler.num_instances": 8}))
    assert not caplog.records


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dmpt.first_layer": 1}, "dmpt.prefix_cache has no use with dmpt.first_layer 1: no block is before the first"),
        ({"dmpt.sie_weight": 1.0}, "with dmpt.sie_weight 1.0: a trained camera embedding enters before all blocks"),
        ({"dmpt.frozen": False}, "with dmpt.frozen False: what a trained tower computes can't be kept: set it True"),
        ({"train.compile": True}, "with train.compile True: a compiled model can't look anything up: set it False, or"),
    ],
)
def test_a_prefix_cache_that_could_never_serve_is_refused(values: dict[str, Any], message: str):
    late = {"model.name": "dmpt_vit_base_patch16", "dmpt.prefix_cache": 64, "dmpt.first_layer": 7}
    validate(config(late))
    validate(config(values))
    with pytest.raises(ValueError, match=re.escape(message)):
        validate(config(late, values))


@pytest.mark.parametrize("key", sorted(RANGES))
def test_every_range_is_of_a_number_and_holds_its_default(key: str):
    value = flatten(default_config())[key]
    for number in value if isinstance(value, list) else [value]:
        assert number is None or (type(number) in (int, float) and number in RANGES[key])


def test_every_number_has_a_range():
    free = {"data.norm_mean"}
    numbers = {
        key
        for key, value in flatten(default_config()).items()
        if type(value[0] if isinstance(value, list) and value else value) in (int, float, type(None))
    }
    switches = {name for name, key in KEYS.items() if key.nullable and key.value_type is bool}
    assert numbers - set(RANGES) == free | switches
    assert set(RANGES) >= {name for name, key in KEYS.items() if key.default == [] and key.entry_type is int}


@pytest.mark.parametrize("key", sorted(CHOICES))
def test_every_choice_holds_its_default(key: str):
    value = flatten(default_config())[key]
    assert set(value if isinstance(value, list) else [value]) <= set(CHOICES[key])


def test_the_names_are_torchreids_and_ours():
    samplers = host.data.sampler.AVAI_SAMPLERS
    assert set(CHOICES["sampler.train_sampler"]) == {*samplers, "CrossModalSampler", "IdentitySampler"}
    assert set(CHOICES["sampler.train_sampler_t"]) == set(samplers)
    assert set(CHOICES["train.optim"]) == {*host.optim.optimizer.AVAI_OPTIMS, "adamw"}
    assert set(CHOICES["train.lr_scheduler"]) == {*host.optim.lr_scheduler.AVAI_SCH, "warmup_cosine", "mip_cosine"}


@pytest.mark.parametrize("name", CHOICES["data.transforms"])
def test_torchreid_knows_each_transform(name: str):
    train, _ = host.data.transforms.build_transforms(8, 8, transforms=[name])
    plain, _ = host.data.transforms.build_transforms(8, 8, transforms=[])
    assert len(train.transforms) > len(plain.transforms)


@pytest.mark.parametrize(
    "changes",
    [
        {"train.fixbase_epoch": 5, "train.max_epoch": 2},
        {"train.start_epoch": 60},
        {**PROMPT, "train.batch_size": 30, "sampler.num_instances": 8},
    ],
)
def test_where_nothing_is_trained_training_keys_may_contradict(changes: dict[str, Any]):
    with pytest.raises(ValueError):
        validate(config(changes))
    validate(config(changes, {"test.evaluate": True}))
    validate(config(changes), training=False)


FOUND = {"sysu": "sysu_mm01, sysu_mm01_indoor", "qqq": "llcm, market1501, regdb, sysu_mm01, sysu_mm01_indoor"}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_a_name_that_is_near_to_none_brings_the_choices(name: str):
    known = ["sysu_mm01_indoor", "sysu_mm01", "regdb", "llcm", "market1501"]
    with pytest.raises(ValueError, match=rf"data\.sources: '{name}' isn't registered; there are {FOUND[name]}$"):
        validate(config({"data.sources": [name]}), datasets=known)
