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
        Key(
            "plugins", [], "modules (`my_package.reid`) or files (`my_reid.py`) to import first; they bring methods,"
            " data sets, losses and protocols, and run as programs: name only files that you trust"
        ),
    ),
)  # fmt: skip

BACKBONE = Section(
    "Backbone",
    (
        Key("backbone.name", "", "timm's or open_clip's name of a ViT ([towers.md](towers.md)), with an optional tag of"
            " weights, or `mini_vit` or `mini_clip`, the package's own; not set: the one of `model.name`"),
        Key("backbone.weights", "", "file with its pretrained weights; not set: the cache of timm or open_clip, if"
            " `model.pretrained`"),
        Key("backbone.allow_download", False, "may weights that the cache lacks be fetched?"),
        Key("backbone.stride", None, "of the patches, in pixels; not set: the method's (MIP and the baselines 12, which"
            " overlaps patches of 16; DMPT the patches' size)", kind=int, range=COUNT),
        Key("backbone.drop_path", None, "of the last block, rising linearly from 0; not set: the method's (MIP and the"
            " baselines 0.1)", kind=float, range=SHARE),
        Key("backbone.vit.depth", None, "blocks of a small ViT of your own; not set: the backbone's", kind=int,
            range=COUNT),
        Key("backbone.vit.embed_dim", None, "its width; not set: the backbone's", kind=int, range=COUNT),
        Key("backbone.vit.num_heads", None, "its attention heads; not set: the backbone's", kind=int, range=COUNT),
        Key("backbone.vit.patch_size", None, "its patches, in pixels; not set: the backbone's", kind=int, range=COUNT),
    ),
    shared=True,
)  # fmt: skip

LOSSES = Section(
    "Losses",
    (
        Key("loss.prompt.weight_x", 1.0, "of the cross-entropy", range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.weight_t", 1.0, "of the triplet", range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.weight_iael", 0.5, "of IAEL; the released code's, the paper's own is not known",
            range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.weight_alignment", 1.0, "of DMPT's alignment", range=FROM_ZERO, needs="loss.name=prompt"),
        Key("loss.prompt.label_smoothing", 0.0, "of the cross-entropy; 0.1 in DMPT's recipe", range=SHARE,
            needs="loss.name=prompt"),
        Key("loss.prompt.margin", 0.0, "of the triplet; 0: the soft margin log(1 + exp(d_ap - d_an))", range=FROM_ZERO,
            needs="loss.name=prompt"),
        Key("loss.prompt.use_msel", False, "add MSEL, as the released code does and the paper doesn't",
            needs="loss.name=prompt"),
        Key("loss.prompt.weight_msel", 0.5, "of MSEL", range=FROM_ZERO, needs="loss.prompt.use_msel"),
        Key("loss.prompt.msel_start_epoch", 10, "first epoch with MSEL, counted from 1", range=COUNT,
            needs="loss.prompt.use_msel"),
    ),
)  # fmt: skip

_WARM = "train.lr_scheduler=warmup_cosine|mip_cosine"
TRAINING = Section(
    "Training",
    (
        Key("train.lr_mult.prompts", 5.0, "factor on `train.lr` for the modality prompts", range=FROM_ZERO),
        Key("train.lr_mult.generator", 15.0, "factor for the instance prompt generator, its biases included",
            range=FROM_ZERO),
        Key("train.lr_mult.adapters", 1.0, "factor for adapters and low-rank changes inside blocks, their biases"
            " included", range=FROM_ZERO),
        Key("train.lr_mult.bias", 2.0, "factor for the other biases", range=FROM_ZERO),
        Key("train.warmup_epochs", 5, "of the two schedules above", range=FROM_ZERO, needs=_WARM),
        Key("train.warmup_lr", 1e-4, "where the warm-up starts, the same for every parameter group", range=FROM_ZERO,
            needs=_WARM),
        Key("train.cosine.cycle", 30, "epochs from one restart of `mip_cosine` to the next", range=COUNT,
            needs="train.lr_scheduler=mip_cosine"),
        Key("train.cosine.decay", 0.1, "factor on its peak and its floor from one cycle to the next", range=DECAY,
            needs="train.lr_scheduler=mip_cosine"),
        Key("train.cosine.min_lr", 1e-7, "floor of both schedules", range=FROM_ZERO, needs=_WARM),
        Key("train.amp", False, "mixed precision"),
        Key("train.amp_dtype", "bfloat16", "its type, or `float16`, with a scaled loss",
            choices=("bfloat16", "float16"), needs="train.amp"),
        Key("train.accumulation", 1, "batches per optimisation step, their losses averaged", range=COUNT),
        Key("train.clip_norm", 0.0, "largest L2 norm of all gradients together; 0: any", range=FROM_ZERO),
        Key("train.ema", 0.0, "decay of the moving average of the weights that is tested; 0: none", range=SHARE),
        Key("train.checkpoint_blocks", False, "recompute the blocks' activations in the backward pass, to save memory"),
        Key("train.checkpoint_steps", 0, "batches between checkpoints within an epoch; 0: only at its end",
            range=FROM_ZERO),
        Key("train.patience", 0, "tests without improvement after which training ends (needs `test.select`); 0: never",
            range=FROM_ZERO),
        Key("train.compile", False, "compile the model with `torch.compile`; needs a C++ compiler, and time at the"
            " first batches"),
        Key("train.gather", True, "under torchrun: the loss of the whole batch, as one process has it; off: the mean of"
            " each process's own"),
        Key("train.sync_bn", False, "under torchrun: batch normalisation over the images of all processes; GPUs only"),
        Key("train.distributed_timeout", 1800.0, "seconds that a process waits for the others before it ends",
            range=POSITIVE),
        Key("train.deterministic", False, "deterministic kernels only; slower"),
    ),
)  # fmt: skip

_SHOWN = "train.tensorboard.pictures"
WATCHING = Section(
    "Loggers",
    (
        Key("train.loggers", ["tensorboard"], "who is told what a training does, also one that a plugin brings; `[]`:"
            " nobody, and nothing of the next keys has an effect", choices=("tensorboard", "mlflow"), free=True),
        Key(_SHOWN, True, "curves, histograms, pictures, the projector and the run's parameters; off: scalars alone",
            needs="train.loggers", free=True),
        Key("train.tensorboard.histograms", True, "histograms of prompts and of their gradients, after each epoch",
            needs=_SHOWN, free=True),
        Key("train.tensorboard.cosines", True, "map of the prompts' cosines between modalities and layers, after each"
            " epoch", needs=_SHOWN, free=True),
        Key("train.tensorboard.batches", 1, "batches of the first epoch that are shown band by band, after"
            " augmentation; 0: none", range=FROM_ZERO, needs=_SHOWN, free=True),
        Key("train.tensorboard.images", 8, "images of each band in one of them", range=COUNT, needs=_SHOWN, free=True),
        Key("train.tensorboard.queries", 10, "queries, always the same, whose ranked lists are shown at each test; 0:"
            " none", range=FROM_ZERO, needs=_SHOWN, free=True),
        Key("train.tensorboard.ranks", 5, "gallery images in one of them", range=COUNT, needs=_SHOWN, free=True),
        Key("train.tensorboard.objects", 1000, "most samples in the projector; 0: none", range=FROM_ZERO,
            needs=_SHOWN, free=True),
        Key("train.tensorboard.thumbnail", 64, "side of the projector's thumbnails, in pixels", range=COUNT,
            needs=_SHOWN, free=True),
    ),
)  # fmt: skip

_LIKE = "data.synthetic.like"
DATA = Section(
    "Data",
    (
        Key("data.augment.visible", [], "augmentations of visible images, by the names above; not set:"
            " `data.transforms`", choices=AUGMENTATIONS),
        Key("data.augment.infrared", [], "augmentations of all other modalities; not set: `data.transforms`",
            choices=AUGMENTATIONS),
        Key("data.augment.near_infrared", [], "augmentations of near-infrared images; not set:"
            " `data.augment.infrared`", choices=AUGMENTATIONS),
        Key("data.augment.thermal_infrared", [], "augmentations of thermal images; not set: `data.augment.infrared`",
            choices=AUGMENTATIONS),
        Key("data.augment.interpolation", "bilinear", "filter of these chains' resizing", choices=INTERPOLATIONS),
        Key("data.augment.aligned", False, "crop, flip, erase, ... all images of a sample alike"),
        Key("data.augment.drop_modality", 0.0, "probability with which each modality of a train sample is left out",
            range=SHARE),
        Key("data.augment.second_visible", False, "add a channel-exchanged copy of each visible image to the batch"
            " (CAJ)"),
        Key("data.augment.second_exchange", "channel_exchange", "what that copy ends with; `caj_exchange` is the"
            " released code's", choices=EXCHANGES, needs="data.augment.second_visible"),
        Key("data.augment.amplitude_swap", 0.0, "probability with which a train image gets the low-frequency amplitude"
            " of an image of its identity in another band, from the same batch; its phase stays (FDA)",
            range=Range(0, 1)),
        Key("data.augment.amplitude_window", 0.05, "low are frequencies below this, in cycles per pixel; FDA's own are"
            " 0.01 to 0.09", range=Range(0, 0.5), needs="data.augment.amplitude_swap"),
        Key("data.range_16bit", "full", "levels of a 16-bit image that become 0 to 255: `full` all of them, `minmax`"
            " those of each image, `fixed` those of the next key", choices=RANGES_16BIT),
        Key("data.limits_16bit", [], "lowest and highest level of `fixed`, such as `[7000, 9500]`", kind=int,
            range=Range(0, 65535), needs="data.range_16bit=fixed"),
        Key("data.pack", "", "file of `promptreid pack`; not set: images are decoded"),
        Key("data.table", "", "CSV or Parquet file of the data set `table`, one's own images"
            " ([datasets.md](datasets.md))"),
        Key("data.incomplete", "skip", "samples that lack a modality: `skip` them or `keep` them with that modality"
            " marked missing; for data sets that have such", choices=INCOMPLETE),
        Key("data.decoder", "pillow", "what decodes JPEG files; `simplejpeg` (a package to install) is faster and gives"
            " the same pixels", choices=DECODERS),
        Key("data.on_bad_image", "stop", "at an image that cannot be read: `stop`, or `skip` it: in training another"
            " one of its identity stands for it, in tests it is left out and counted"
            " ([reliability.md](reliability.md))", choices=BAD_IMAGE, free=True),
        Key("data.start_method", "", "how loader workers start; not set: the platform's way, `fork` on Linux before"
            " Python 3.14", choices=START_METHODS, free=True),
        Key("data.persistent_workers", False, "keep the training workers from epoch to epoch"),
        Key("data.synthetic.like", "", "data set whose layout is rendered where `data.root` lacks it; not set: nothing"
            " is rendered"),
        Key("data.synthetic.ids", 16, "identities to render", range=COUNT, needs=_LIKE),
        Key("data.synthetic.frames", 4, "images per identity and camera", range=COUNT, needs=_LIKE),
        Key("data.synthetic.size", [], "height and width, in pixels; empty: the data set's own, 128 x 64 for persons,"
            " 128 x 256 for vehicles", kind=int, range=COUNT, needs=_LIKE),
        Key("data.synthetic.test_ids", 0, "identities to test on; 0: the data set's own share of them",
            range=FROM_ZERO, needs=_LIKE),
        Key("data.synthetic.seed", 0, "the same seed renders the same images", range=FROM_ZERO, needs=_LIKE),
        Key("data.synthetic.renderer", 1, "how the bands hang together: 1, which older configurations mean, or 2, as in"
            " real triples ([mini.md](mini.md))", range=COUNT, needs=_LIKE),
    ),
)  # fmt: skip

_SELECT = "test.select=dev|test"
TESTING = Section(
    "Testing",
    (
        Key("test.protocols", [], "names of protocols to evaluate; not set: the data set's own"),
        Key("test.allow_differences", False, "test weights as another model, or on other input, than they were trained"
            " as and on"),
        Key("test.flip", False, "the descriptor of a sample is the mean of its own and of its mirror image's; twice the"
            " time"),
        Key("test.rerank_distances", "squared", "the original distances in `test.rerank`: `squared`, as torchreid, or"
            " `plain`, as TransReID and DeMo", choices=("squared", "plain"), needs="test.rerank"),
        Key("test.chance", True, "print what random features would score beside each result"),
        Key("test.select", "last", "which epoch's weights a run ends with; `dev` or `test`: the best on a data set"
            " ([training.md](training.md))", choices=("last", "dev", "test")),
        Key("test.select_metric", "mAP", "what they are the best in, of its first protocol", choices=("mAP", "rank1"),
            needs=_SELECT),
        Key("test.select_target", "", "that data set; not set: the first of `data.targets`", needs=_SELECT),
    ),
)  # fmt: skip

OWN = (BACKBONE, LOSSES, TRAINING, WATCHING, DATA, TESTING, PLUGINS)
"""promptreid's keys."""
