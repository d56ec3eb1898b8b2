"""torchreid's own configuration keys with torchreid's own defaults, as its launcher has them (release 1.4.0).

Nothing of ours belongs here: torchreid's YAML files load unchanged because this tree is exactly its tree.
"""

from __future__ import annotations

from typing import Any

HOST_DEFAULTS: dict[str, dict[str, Any]] = {
    "model": {
        "name": "resnet50",
        "pretrained": True,  # weights trained on ImageNet, where the model has some
        "load_weights": "",  # path; layers that fit are loaded
        "resume": "",  # path of a checkpoint to go on from
    },
    "data": {
        "type": "image",  # image or video
        "root": "reid-data",
        "sources": ["market1501"],
        "targets": ["market1501"],
        "workers": 4,
        "split_id": 0,
        "height": 256,
        "width": 128,
        "combineall": False,  # train on train, query and gallery together
        "transforms": ["random_flip"],
        "k_tfm": 1,  # augmented copies per image
        "norm_mean": [0.485, 0.456, 0.406],
        "norm_std": [0.229, 0.224, 0.225],
        "save_dir": "log",
        "load_train_targets": False,
    },
    "market1501": {"use_500k_distractors": False},
    "cuhk03": {"labeled_images": False, "classic_split": False, "use_metric_cuhk03": False},
    "sampler": {
        "train_sampler": "RandomSampler",
        "train_sampler_t": "RandomSampler",  # for the targets' train loader
        "num_instances": 4,  # images per identity, RandomIdentitySampler
        "num_cams": 1,  # cameras per batch, RandomDomainSampler
        "num_datasets": 1,  # data sets per batch, RandomDatasetSampler
    },
    "video": {"seq_len": 15, "sample_method": "evenly", "pooling_method": "avg"},
    "train": {
        "optim": "adam",
        "lr": 0.0003,
        "weight_decay": 5e-4,
        "max_epoch": 60,
        "start_epoch": 0,
        "batch_size": 32,
        "fixbase_epoch": 0,  # epochs in which only open_layers are trained
        "open_layers": ["classifier"],
        "staged_lr": False,  # base_lr_mult for every layer outside new_layers
        "new_layers": ["classifier"],
        "base_lr_mult": 0.1,
        "lr_scheduler": "single_step",
        "stepsize": [20],
        "gamma": 0.1,
        "print_freq": 20,
        "seed": 1,
    },
    "sgd": {"momentum": 0.9, "dampening": 0.0, "nesterov": False},
    "rmsprop": {"alpha": 0.99},
    "adam": {"beta1": 0.9, "beta2": 0.999},
    "loss": {
        "name": "softmax",
        "softmax": {"label_smooth": True},
        "triplet": {"margin": 0.3, "weight_t": 1.0, "weight_x": 0.0},
    },
    "test": {
        "batch_size": 100,
        "dist_metric": "euclidean",
        "normalize_feature": False,
        "ranks": [1, 5, 10, 20],
        "evaluate": False,  # test only
        "eval_freq": -1,  # in epochs; -1: only after training
        "start_eval": 0,
        "rerank": False,
        "visrank": False,
        "visrank_topk": 10,
    },
}
