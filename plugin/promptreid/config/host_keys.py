"""torchreid's own configuration keys with torchreid's own defaults, as its launcher has them (release 1.4.0).

Nothing of ours belongs here but what its values may be: torchreid's YAML files load unchanged because this tree is
exactly its tree.
"""

from __future__ import annotations

from promptreid.config.schema import COUNT, DECAY, FROM_ZERO, POSITIVE, SHARE, Key, Range, Section

_SAMPLERS = (
    "RandomIdentitySampler",
    "SequentialSampler",
    "RandomSampler",
    "RandomDomainSampler",
    "RandomDatasetSampler",
)
# torchreid skips a name it doesn't know, and trains without that augmentation.
_TRANSFORMS = ("random_flip", "random_crop", "random_patch", "color_jitter", "random_erase")
_OPTIMIZERS = ("adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw")
_SCHEDULES = ("single_step", "multi_step", "cosine", "warmup_cosine", "mip_cosine")

HOST = (
    Section(
        "torchreid: model",
        (
            Key("model.name", "resnet50", "a model of torchreid, of promptreid or of a plugin"),
            Key("model.pretrained", True, "start from pretrained weights, where the model has some"),
            Key("model.load_weights", "", "file of weights; the layers that fit are loaded"),
            Key("model.resume", "", "checkpoint to continue from"),
        ),
        owner="torchreid",
    ),
    Section(
        "torchreid: data",
        (
            Key("data.type", "image", "kind of the data: image or video", choices=("image", "video")),
            Key("data.root", "reid-data", "folder of the data sets"),
            Key("data.sources", ["market1501"], "data sets to train on"),
            Key("data.targets", ["market1501"], "data sets to test on"),
            Key("data.workers", 4, "number of processes that read images", range=FROM_ZERO),
            Key("data.split_id", 0, "number of the data set's split, from 0", range=FROM_ZERO),
            Key("data.height", 256, "height of the images, in pixels", range=COUNT),
            Key("data.width", 128, "width of the images, in pixels", range=COUNT),
            Key("data.combineall", False, "train on train, query and gallery together"),
            Key("data.transforms", ["random_flip"], "torchreid's augmentations of train images", choices=_TRANSFORMS),
            Key("data.k_tfm", 1, "augmented copies per image; only 1 works here", range=COUNT),
            Key("data.norm_mean", [0.485, 0.456, 0.406], "mean to subtract from R, G, B in 0..1"),
            Key(
                "data.norm_std",
                [0.229, 0.224, 0.225],
                "standard deviation that divides R, G, B after the mean is subtracted",
                range=POSITIVE,
            ),
            Key("data.save_dir", "log", "folder of the run"),
            Key("data.load_train_targets", False, "also load the targets' train images"),
        ),
        owner="torchreid",
    ),
    Section(
        "torchreid: single data sets",
        (
            Key("market1501.use_500k_distractors", False, "add Market-1501's distractors to the gallery"),
            Key("cuhk03.labeled_images", False, "use labelled boxes instead of detected ones"),
            Key("cuhk03.classic_split", False, "use the classic split"),
            Key("cuhk03.use_metric_cuhk03", False, "evaluate with single-gallery-shot"),
        ),
        owner="torchreid",
    ),
    Section(
        "torchreid: samplers",
        (
            Key(
                "sampler.train_sampler",
                "RandomSampler",
                "sampler that draws the train batches",
                choices=(*_SAMPLERS, "CrossModalSampler", "IdentitySampler"),
            ),
            Key("sampler.train_sampler_t", "RandomSampler", "sampler for the targets' train images", choices=_SAMPLERS),
            Key("sampler.num_instances", 4, "images per identity in a batch", range=COUNT),
            Key("sampler.num_cams", 1, "cameras per batch, for `RandomDomainSampler`", range=COUNT),
            Key("sampler.num_datasets", 1, "data sets per batch, for `RandomDatasetSampler`", range=COUNT),
        ),
        owner="torchreid",
    ),
    Section(
        "torchreid: video",
        (
            Key("video.seq_len", 15, "frames per tracklet", range=COUNT, needs="data.type=video"),
            Key(
                "video.sample_method",
                "evenly",
                "method that chooses the frames",
                choices=("evenly", "random", "all"),
                needs="data.type=video",
            ),
            Key("video.pooling_method", "avg", "pooling over frames", choices=("avg", "max"), needs="data.type=video"),
        ),
        owner="torchreid",
    ),
    Section(
        "torchreid: training",
        (
            Key("train.optim", "adam", "name of the optimiser", choices=_OPTIMIZERS),
            Key("train.lr", 0.0003, "base learning rate", range=POSITIVE),
            Key("train.weight_decay", 5e-4, "weight decay of all parameters", range=FROM_ZERO),
            Key("train.max_epoch", 60, "number of epochs", range=COUNT),
            Key("train.start_epoch", 0, "first epoch, from 0", range=FROM_ZERO),
            Key("train.batch_size", 32, "samples per batch", range=COUNT),
            Key("train.fixbase_epoch", 0, "epochs in which only `train.open_layers` are trained", range=FROM_ZERO),
            Key(
                "train.open_layers",
                ["classifier"],
                "children of the model that are trained in the first `train.fixbase_epoch` epochs",
                needs="train.fixbase_epoch",
            ),
            Key("train.staged_lr", False, "apply `train.base_lr_mult` to every layer outside `train.new_layers`"),
            Key(
                "train.new_layers",
                ["classifier"],
                "children of the model that keep the full rate",
                needs="train.staged_lr",
            ),
            Key(
                "train.base_lr_mult",
                0.1,
                "factor on the learning rate of base layers",
                range=FROM_ZERO,
                needs="train.staged_lr",
            ),
            Key("train.lr_scheduler", "single_step", "schedule of the learning rate", choices=_SCHEDULES),
            Key(
                "train.stepsize",
                [20],
                "epochs at which the learning rate falls",
                range=COUNT,
                needs="train.lr_scheduler=single_step|multi_step",
            ),
            Key(
                "train.gamma",
                0.1,
                "factor by which the learning rate falls",
                range=DECAY,
                needs="train.lr_scheduler=single_step|multi_step",
            ),
            Key("train.print_freq", 20, "batches between log lines", range=COUNT),
            Key("train.seed", 1, "seed of everything random", range=FROM_ZERO),
            Key("sgd.momentum", 0.9, "momentum of SGD and RMSprop", range=SHARE, needs="train.optim=sgd|rmsprop"),
            Key("sgd.dampening", 0.0, "dampening of the momentum", range=Range(0, 1), needs="train.optim=sgd"),
            Key("sgd.nesterov", False, "use Nesterov's momentum", needs="train.optim=sgd"),
            Key("rmsprop.alpha", 0.99, "smoothing constant of RMSprop", range=SHARE, needs="train.optim=rmsprop"),
            Key(
                "adam.beta1",
                0.9,
                "decay of the first moment",
                range=SHARE,
                needs="train.optim=adam|amsgrad|radam|adamw",
            ),
            Key(
                "adam.beta2",
                0.999,
                "decay of the second moment",
                range=SHARE,
                needs="train.optim=adam|amsgrad|radam|adamw",
            ),
        ),
        owner="torchreid",
    ),
    Section(
        "torchreid: losses",
        (
            Key("loss.name", "softmax", "name of the loss, also a plugin's", choices=("softmax", "triplet", "prompt")),
            Key("loss.softmax.label_smooth", True, "smooth the labels by 0.1", needs="loss.name=softmax|triplet"),
            Key("loss.triplet.margin", 0.3, "margin of the triplet loss", range=FROM_ZERO, needs="loss.name=triplet"),
            Key("loss.triplet.weight_t", 1.0, "weight of the triplet loss", range=FROM_ZERO, needs="loss.name=triplet"),
            Key(
                "loss.triplet.weight_x", 0.0, "weight of the cross-entropy", range=FROM_ZERO, needs="loss.name=triplet"
            ),
        ),
        owner="torchreid",
    ),
    Section(
        "torchreid: testing",
        (
            Key("test.batch_size", 100, "images per batch", range=COUNT),
            Key("test.dist_metric", "euclidean", "distance between descriptors", choices=("euclidean", "cosine")),
            Key("test.normalize_feature", False, "scale descriptors to unit length"),
            Key("test.ranks", [1, 5, 10, 20], "ranks of the CMC to print", range=COUNT),
            Key("test.evaluate", False, "test only, without training"),
            Key("test.eval_freq", -1, "epochs between tests; -1: only after training", range=Range(-1)),
            Key("test.start_eval", 0, "first epoch after which tests run", range=FROM_ZERO),
            Key("test.rerank", False, "apply k-reciprocal re-ranking"),
            Key("test.visrank", False, "draw ranked lists"),
            Key("test.visrank_topk", 10, "gallery images per ranked list", range=COUNT, needs="test.visrank"),
        ),
        owner="torchreid",
    ),
)
"""torchreid's keys."""
