from __future__ import annotations

from pathlib import Path

from promptreid.config.defaults import default_config
from promptreid.config.document import with_tables
from promptreid.config.host_keys import HOST
from promptreid.config.keys import flatten
from promptreid.config.sections import all_keys, all_sections

DOCS = Path(__file__).parents[2] / "docs" / "config.md"

# torchreid 1.4.0, scripts/default_config.py.
HOST_TABLE = {
    "model.name": "resnet50",
    "model.pretrained": True,
    "model.load_weights": "",
    "model.resume": "",
    "data.type": "image",
    "data.root": "reid-data",
    "data.sources": ["market1501"],
    "data.targets": ["market1501"],
    "data.workers": 4,
    "data.split_id": 0,
    "data.height": 256,
    "data.width": 128,
    "data.combineall": False,
    "data.transforms": ["random_flip"],
    "data.k_tfm": 1,
    "data.norm_mean": [0.485, 0.456, 0.406],
    "data.norm_std": [0.229, 0.224, 0.225],
    "data.save_dir": "log",
    "data.load_train_targets": False,
    "market1501.use_500k_distractors": False,
    "cuhk03.labeled_images": False,
    "cuhk03.classic_split": False,
    "cuhk03.use_metric_cuhk03": False,
    "sampler.train_sampler": "RandomSampler",
    "sampler.train_sampler_t": "RandomSampler",
    "sampler.num_instances": 4,
    "sampler.num_cams": 1,
    "sampler.num_datasets": 1,
    "video.seq_len": 15,
    "video.sample_method": "evenly",
    "video.pooling_method": "avg",
    "train.optim": "adam",
    "train.lr": 0.0003,
    "train.weight_decay": 0.0005,
    "train.max_epoch": 60,
    "train.start_epoch": 0,
    "train.batch_size": 32,
    "train.fixbase_epoch": 0,
    "train.open_layers": ["classifier"],
    "train.staged_lr": False,
    "train.new_layers": ["classifier"],
    "train.base_lr_mult": 0.1,
    "train.lr_scheduler": "single_step",
    "train.stepsize": [20],
    "train.gamma": 0.1,
    "train.print_freq": 20,
    "train.seed": 1,
    "sgd.momentum": 0.9,
    "sgd.dampening": 0.0,
    "sgd.nesterov": False,
    "rmsprop.alpha": 0.99,
    "adam.beta1": 0.9,
    "adam.beta2": 0.999,
    "loss.name": "softmax",
    "loss.softmax.label_smooth": True,
    "loss.triplet.margin": 0.3,
    "loss.triplet.weight_t": 1.0,
    "loss.triplet.weight_x": 0.0,
    "test.batch_size": 100,
    "test.dist_metric": "euclidean",
    "test.normalize_feature": False,
    "test.ranks": [1, 5, 10, 20],
    "test.evaluate": False,
    "test.eval_freq": -1,
    "test.start_eval": 0,
    "test.rerank": False,
    "test.visrank": False,
    "test.visrank_topk": 10,
}


def test_every_torchreid_key_is_there_with_its_default():
    flat = flatten(default_config())
    assert {key: flat[key] for key in HOST_TABLE} == HOST_TABLE
    assert {key: type(flat[key]) for key in HOST_TABLE} == {key: type(value) for key, value in HOST_TABLE.items()}


def test_torchreids_tables_hold_nothing_of_ours():
    assert {key.name: key.default for section in HOST for key in section.keys} == HOST_TABLE


def test_each_key_is_in_one_table():
    names = [key.name for section in all_sections() for key in section.keys]
    assert len(names) == len(set(names)) == len(flatten(default_config()))


def test_a_tree_can_be_changed_without_changing_the_next_one():
    first = default_config()
    first.data.sources.append("regdb")
    first.backbone.vit.depth = 2
    assert default_config().data.sources == ["market1501"]
    assert default_config().backbone.vit.depth is None


def test_the_page_is_up_to_date():
    """``make docs`` makes the tables of docs/config.md anew."""
    page = DOCS.read_text(encoding="utf-8")
    assert with_tables(page) == page


def test_every_key_says_what_it_means():
    for key in all_keys().values():
        assert key.meaning and not key.meaning.endswith("."), key.name
        other = key.needs.partition("=")[0]
        assert not other or other in all_keys(), key.name
