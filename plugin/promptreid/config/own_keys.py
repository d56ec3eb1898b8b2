"""The keys that promptreid adds, whatever the method. A method brings its own node."""

from __future__ import annotations

from promptreid.config.schema import COUNT, DECAY, FROM_ZERO, POSITIVE, SHARE, Key, Range, Section

AUGMENTATIONS = (
    "resize",
    "random_flip",
    "pad_crop",
    "jitter",
    "blur",
    "jitter_or_blur",
    "random_grey",
    "channel_exchange",
    "channel_grey",
    "normalize",
    "pixel_erase",
    "channel_erase",
    "caj_exchange",
    "caj_grey",
    "caj_erase",
)
EXCHANGES = ("channel_exchange", "caj_exchange")
"""What the second copy of a visible image ends with."""
RANGES_16BIT = ("full", "minmax", "fixed")
"""Which levels of a 16-bit image become 0 to 255."""
"""Names of augmentations; ``promptreid.data.transforms`` says what each does."""
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")
"""Filters of the augmentations' resizing."""
INCOMPLETE = ("skip", "keep")
"""What may become of samples that lack a modality."""
BAD_IMAGE = ("stop", "skip")
"""What may become of images that cannot be read."""
START_METHODS = ("", "fork", "spawn", "forkserver")
"""How worker processes start; the first is the platform's way."""
DECODERS = ("pillow", "simplejpeg")
"""What decodes JPEG files."""

PLUGINS = Section(
    "Plugins",
    (
        Key("plugins", [], "modules (`my_package.reid`) or files (`my_reid.py`) to import first; they add methods,"
            " data sets, losses and protocols. They run as programs: name only files that you trust"),
    ),
)  # fmt: skip

BACKBONE = Section(
    "Backbone",
    (
        Key("backbone.name", "", "name of a ViT in timm or open_clip ([towers.md](towers.md)), with an optional tag of"
            " weights, or the package's own `mini_vit`, `mini_lit` or `mini_clip`; not set: the backbone of"
            " `model.name`"),
        Key("backbone.weights", "", "file with the backbone's pretrained weights; not set: the cache of timm or"
            " open_clip, if `model.pretrained`"),
        Key("backbone.allow_download", False, "download weights that the cache lacks"),
        Key("backbone.stride", None, "stride of the patches, in pixels; not set: the method's (MIP and the"
            " baselines 12, which overlaps patches of 16; DMPT the size of the patches)", kind=int, range=COUNT),
        Key("backbone.drop_path", None, "stochastic-depth rate of the last block; earlier blocks rise linearly"
            " from 0. Not set: the method's (MIP and the baselines 0.1)", kind=float, range=SHARE),
        Key("backbone.vit.depth", None, "number of blocks of a small ViT of your own; not set: the backbone's",
            kind=int, range=COUNT),
        Key("backbone.vit.embed_dim", None, "width of the small ViT; not set: the backbone's", kind=int, range=COUNT),
        Key("backbone.vit.num_heads", None, "attention heads of the small ViT; not set: the backbone's", kind=int,
            range=COUNT),
        Key("backbone.vit.patch_size", None, "size of the small ViT's patches, in pixels; not set: the backbone's",
            kind=int, range=COUNT),
    ),
    shared=True,
)  # fmt: skip

LOSSES = Section(
    "Losses",
    (
        Key("loss.prompt.weight_x", 1.0, "weight of the cross-entropy", range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.weight_t", 1.0, "weight of the triplet loss", range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.weight_iael", 0.5, "weight of IAEL; the default is the released code's, the paper's value"
            " is not known", range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.weight_alignment", 1.0, "weight of DMPT's alignment loss", range=FROM_ZERO,
            needs="loss.name=prompt"),
        Key("loss.prompt.label_smoothing", 0.0, "label smoothing of the cross-entropy; DMPT's recipe uses 0.1",
            range=SHARE, needs="loss.name=prompt"),
        Key("loss.prompt.margin", 0.0, "margin of the triplet loss; 0: the soft margin log(1 + exp(d_ap - d_an))",
            range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.use_msel", False, "add MSEL, as the released code does; the paper does not",
            needs="loss.name=prompt"),
        Key("loss.prompt.weight_msel", 0.5, "weight of MSEL", range=FROM_ZERO, needs="loss.prompt.use_msel"),
        Key("loss.prompt.msel_start_epoch", 10, "first epoch with MSEL, counted from 1", range=COUNT,
            needs="loss.prompt.use_msel"),
    ),
)  # fmt: skip

_WARM = "train.lr_scheduler=warmup_cosine|mip_cosine"
TRAINING = Section(
    "Training",
    (
        Key("train.lr_mult.prompts", 5.0, "factor on `train.lr` for the modality prompts", range=FROM_ZERO),
        Key("train.lr_mult.generator", 15.0, "factor on `train.lr` for the instance prompt generator and its"
            " biases", range=FROM_ZERO),
        Key("train.lr_mult.adapters", 1.0, "factor on `train.lr` for adapters and low-rank changes inside blocks,"
            " and their biases", range=FROM_ZERO),
        Key("train.lr_mult.bias", 2.0, "factor on `train.lr` for all other biases", range=FROM_ZERO),
        Key("train.warmup_epochs", 5, "epochs of warm-up, in `warmup_cosine` and `mip_cosine`", range=FROM_ZERO,
            needs=_WARM),
        Key("train.warmup_lr", 1e-4, "learning rate at the start of the warm-up, the same for every parameter"
            " group", range=FROM_ZERO, needs=_WARM),
        Key("train.cosine.cycle", 30, "epochs from one restart of `mip_cosine` to the next", range=COUNT,
            needs="train.lr_scheduler=mip_cosine"),
        Key("train.cosine.decay", 0.1, "factor on the peak and the floor of `mip_cosine` from one cycle to the"
            " next", range=DECAY, needs="train.lr_scheduler=mip_cosine"),
        Key("train.cosine.min_lr", 1e-7, "lowest learning rate of `warmup_cosine` and `mip_cosine`",
            range=FROM_ZERO, needs=_WARM),
        Key("train.amp", False, "train in mixed precision"),
        Key("train.amp_dtype", "bfloat16", "number type of mixed precision; `float16` uses a scaled loss",
            choices=("bfloat16", "float16"), needs="train.amp"),
        Key("train.accumulation", 1, "batches per optimisation step; the step uses the mean of their losses",
            range=COUNT),
        Key("train.clip_norm", 0.0, "largest L2 norm of all gradients together; 0: no limit", range=FROM_ZERO),
        Key("train.ema", 0.0, "decay of the moving average of the weights; the average is tested; 0: no average",
            range=SHARE),
        Key("train.checkpoint_blocks", False, "recompute the blocks' activations in the backward pass, to save memory"),
        Key("train.checkpoint_steps", 0, "batches between checkpoints within an epoch; 0: only at its end",
            range=FROM_ZERO),
        Key("train.patience", 0, "tests without improvement before training ends (needs `test.select`); 0: no"
            " limit", range=FROM_ZERO),
        Key("train.compile", False, "compile the model with `torch.compile`; this needs a C++ compiler, and takes"
            " time at the first batches"),
        Key("train.gather", True, "under torchrun: compute the loss over the whole batch, as one process does;"
            " off: the mean of the losses of each process's own share"),
        Key("train.sync_bn", False, "under torchrun: normalise batches over the images of all processes; GPUs only"),
        Key("train.distributed_timeout", 1800.0, "seconds that a process waits for the others before it ends",
            range=POSITIVE),
        Key("train.deterministic", False, "use deterministic kernels only; slower"),
    ),
)  # fmt: skip

_SHOWN = "train.tensorboard.pictures"
WATCHING = Section(
    "Loggers",
    (
        Key("train.loggers", ["tensorboard"], "loggers that record the training, also a plugin's; `[]`: none, and"
            " the keys below have no effect", choices=("tensorboard", "mlflow"), free=True),
        Key(_SHOWN, True, "record curves, histograms, pictures, the projector and the run's parameters; off:"
            " scalars only", needs="train.loggers", free=True),
        Key("train.tensorboard.histograms", True, "record histograms of prompts and of their gradients after each"
            " epoch", needs=_SHOWN, free=True),
        Key("train.tensorboard.cosines", True, "record a map of the prompts' cosines between modalities and layers"
            " after each epoch", needs=_SHOWN, free=True),
        Key("train.tensorboard.batches", 1, "number of batches of the first epoch to show band by band, after"
            " augmentation; 0: none", range=FROM_ZERO, needs=_SHOWN, free=True),
        Key("train.tensorboard.images", 8, "images of each band to show per batch", range=COUNT, needs=_SHOWN,
            free=True),
        Key("train.tensorboard.queries", 10, "number of queries, always the same, whose ranked lists are shown at"
            " each test; 0: none", range=FROM_ZERO, needs=_SHOWN, free=True),
        Key("train.tensorboard.ranks", 5, "gallery images to show per ranked list", range=COUNT, needs=_SHOWN,
            free=True),
        Key("train.tensorboard.objects", 1000, "largest number of samples in the projector; 0: no projector",
            range=FROM_ZERO, needs=_SHOWN, free=True),
        Key("train.tensorboard.thumbnail", 64, "side of the projector's thumbnails, in pixels", range=COUNT,
            needs=_SHOWN, free=True),
    ),
)  # fmt: skip

_LIKE = "data.synthetic.like"
DATA = Section(
    "Data",
    (
        Key("data.augment.visible", [], "augmentations of visible images, by the names above this table; not set:"
            " `data.transforms`", choices=AUGMENTATIONS),
        Key("data.augment.infrared", [], "augmentations of all other modalities; not set: `data.transforms`",
            choices=AUGMENTATIONS),
        Key("data.augment.near_infrared", [], "augmentations of near-infrared images; not set:"
            " `data.augment.infrared`", choices=AUGMENTATIONS),
        Key("data.augment.thermal_infrared", [], "augmentations of thermal images; not set: `data.augment.infrared`",
            choices=AUGMENTATIONS),
        Key("data.augment.interpolation", "bilinear", "resizing filter of the augmentations in `data.augment`",
            choices=INTERPOLATIONS),
        Key("data.augment.aligned", False, "apply the same crop, flip, erasing, ... to all images of a sample"),
        Key("data.augment.drop_modality", 0.0, "probability that a modality of a train sample is left out, drawn"
            " for each modality", range=SHARE),
        Key("data.augment.second_visible", False, "add a channel-exchanged copy of each visible image to the batch"
            " (CAJ)"),
        Key("data.augment.second_exchange", "channel_exchange", "last augmentation of the second visible copy;"
            " `caj_exchange` is the released code's", choices=EXCHANGES, needs="data.augment.second_visible"),
        Key("data.augment.amplitude_swap", 0.0, "probability that a train image gets the low-frequency amplitude"
            " of an image of its identity in another band, from the same batch; its phase stays (FDA)",
            range=Range(0, 1)),
        Key("data.augment.amplitude_window", 0.05, "upper limit of the low frequencies, in cycles per pixel; FDA"
            " uses 0.01 to 0.09", range=Range(0, 0.5), needs="data.augment.amplitude_swap"),
        Key("data.range_16bit", "full", "levels of a 16-bit image that map to 0 to 255: `full` all levels,"
            " `minmax` the levels of each image, `fixed` those of `data.limits_16bit`", choices=RANGES_16BIT),
        Key("data.limits_16bit", [], "lowest and highest level for `data.range_16bit: fixed`, such as `[7000,"
            " 9500]`", kind=int, range=Range(0, 65535), needs="data.range_16bit=fixed"),
        Key("data.pack", "", "file that `promptreid pack` wrote; not set: images are decoded"),
        Key("data.table", "", "CSV or Parquet file of the data set `table`, which reads your own images"
            " ([datasets.md](datasets.md))"),
        Key("data.incomplete", "skip", "what happens to samples that lack a modality: `skip` leaves them out,"
            " `keep` keeps them and marks that modality missing; for data sets with such samples",
            choices=INCOMPLETE),
        Key("data.decoder", "pillow", "decoder of JPEG files; `simplejpeg` (a package to install) is faster and"
            " gives the same pixels", choices=DECODERS),
        Key("data.on_bad_image", "stop", "what happens at an image that cannot be read: `stop` ends the run;"
            " `skip` replaces it by another image of its identity in training, and leaves it out and counts it in"
            " tests ([reliability.md](reliability.md))", choices=BAD_IMAGE, free=True),
        Key("data.start_method", "", "start method of the loader workers; not set: the platform's, `fork` on Linux"
            " before Python 3.14", choices=START_METHODS, free=True),
        Key("data.persistent_workers", False, "keep the training workers from epoch to epoch"),
        Key("data.synthetic.like", "", "data set whose layout is rendered if `data.root` lacks it; not set:"
            " nothing is rendered"),
        Key("data.synthetic.ids", 16, "number of identities to render", range=COUNT, needs=_LIKE),
        Key("data.synthetic.frames", 4, "images per identity and camera", range=COUNT, needs=_LIKE),
        Key("data.synthetic.size", [], "height and width of the images, in pixels; empty: the data set's own, 128"
            " x 64 for persons, 128 x 256 for vehicles", kind=int, range=COUNT, needs=_LIKE),
        Key("data.synthetic.test_ids", 0, "number of identities to test on; 0: the data set's own share",
            range=FROM_ZERO, needs=_LIKE),
        Key("data.synthetic.seed", 0, "seed of the rendering; the same seed renders the same images",
            range=FROM_ZERO, needs=_LIKE),
        Key("data.synthetic.renderer", 1, "version of the renderer, which decides how the bands relate: 1, the"
            " value that older configurations mean, or 2, where they relate as in real triples"
            " ([mini.md](mini.md))", range=COUNT, needs=_LIKE),
    ),
)  # fmt: skip

_SELECT = "test.select=dev|test"
TESTING = Section(
    "Testing",
    (
        Key("test.protocols", [], "names of the protocols to evaluate; not set: the data set's own"),
        Key("test.allow_differences", False, "test weights even if the model or its input differs from the"
            " training"),
        Key("test.flip", False, "average the descriptor of each sample with that of its mirror image; takes twice"
            " the time"),
        Key("test.rerank_distances", "squared", "original distances in `test.rerank`: `squared`, as torchreid"
            " uses, or `plain`, as TransReID and DeMo use", choices=("squared", "plain"), needs="test.rerank"),
        Key("test.chance", True, "print the score of random features beside each result"),
        Key("test.select", "last", "epoch whose weights a run ends with: the `last`, or, with `dev` or `test`, the"
            " best on a data set ([training.md](training.md))", choices=("last", "dev", "test")),
        Key("test.select_metric", "mAP", "metric that selects the best epoch, in the data set's first protocol",
            choices=("mAP", "rank1"), needs=_SELECT),
        Key("test.select_target", "", "data set that selects the best epoch; not set: the first of `data.targets`",
            needs=_SELECT),
    ),
)  # fmt: skip

OWN = (BACKBONE, LOSSES, TRAINING, WATCHING, DATA, TESTING, PLUGINS)
"""promptreid's keys."""
