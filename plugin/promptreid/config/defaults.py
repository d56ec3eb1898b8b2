"""The configuration tree: torchreid's keys verbatim, plus the ones promptreid adds.

Two values mean "not set" among the added keys: ``None``, and ``""`` for a string. The preset, the backbone or
torchreid then decides, as the comment beside the key says. ``docs/config.md`` has the same list for readers.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from yacs.config import CfgNode

from promptreid.config.host_keys import HOST_DEFAULTS

OUR_DEFAULTS: dict[str, dict[str, Any]] = {
    "mip": {
        "preset": "mip_paper",  # or mip_release: the paper's choices, or those of the authors' code
        "backbone": "",  # a timm ViT, or mini_vit (in the package); "": the one of model.name
        "weights": "",  # file with the backbone's weights; "": timm's cache, if model.pretrained
        "allow_download": False,  # may timm fetch weights that its cache lacks?
        "stride": 12,  # of the 16 x 16 patches, pixels; the authors overlap them
        "modality_prompts": True,  # MPL; off for an ablation
        "instance_prompts": True,  # IPG; off for an ablation, then IAEL must be off too
        "prompt_length": 16,  # modality prompts (MPL) per layer, and as many instance prompts (IPG)
        "depth": None,  # prompted blocks; None: the preset's (paper: all before the head block, release: 10)
        "query": "",  # learned or zero queries of the generator; "": the preset's (paper: learned, release: zero)
        "iael": None,  # identity heads on the instance prompts; None: the preset's (paper: on, release: off)
        "iael_pooling": "",  # mean, query or flatten over the instance prompts; "": the preset's
        "sie_weight": 3.0,  # of the camera embedding added to every token; 0 switches it off
        "jpm": True,  # the four local features of TransReID's head beside the global one
        "after_bn": False,  # descriptors from features after the BNNecks; also of TransReID and the plain ViT
        # Variants that the authors' code has beside the method; models/variants.py says what is reconstructed.
        "generator": "ipg",  # of the instance prompts; bank: 64 entries fused by softmax weights
        "instance_depth": None,  # blocks with instance prompts; None: as many as mip.depth; 1: the first alone
        "naive_prompts": False,  # one set of modality prompts for all modalities
        "modality_embedding": False,  # a vector per modality on every token, with modality_prompts off
        "prompt_adapters": False,  # a residual adapter on the prompts of each layer
        "modality_bn": False,  # a BNNeck per modality
        "drop_path": 0.1,  # of the last block, rising linearly from 0
        # A small ViT of one's own, for tests and demonstrations; None: as mip.backbone has it.
        "vit": {"depth": None, "embed_dim": None, "num_heads": None, "patch_size": None},
    },
    "dmpt": {
        "preset": "dmpt",  # or dmpt_s_bind_m, dmpt_s_bind, dmpt_s: the steps of the paper's ablation
        "backbone": "",  # ViT-B-16-quickgelu:openai or another of open_clip, one of timm, mini_clip; "": model.name's
        "weights": "",  # file with its pretrained weights; "": open_clip's or timm's cache, if model.pretrained
        "allow_download": False,  # may they be fetched where the cache lacks them?
        "stride": None,  # of the patches, pixels; None: their size
        "object": "person",  # what the sentences say is in the photos; vehicle
        "semantic": True,  # S_p; off for an ablation
        "semantic_length": 8,  # S; the paper sweeps 2 to 32
        "deep": True,  # a set of semantic prompts for each block; off: one, put in once
        "words": None,  # M_p from the modalities' words; None: the preset's
        "word_length": 4,  # M
        "word_source": "states",  # of the text tower; or embeddings, sentence, or learned (no text at all)
        "word_mapping": "mlp",  # P; or linear
        "bind": None,  # PromptIBind; None: the preset's
        "bind_length": 4,  # bind prompts
        "interaction_layers": [],  # blocks, from 1, after which modalities exchange; []: 4 and 8 of 12
        "bind_source": "semantic",  # what is read of the others; or modality, both
        "bind_output": "tokens",  # where the result goes; or semantic, class
        "alignment": None,  # the loss against the sentences W_t; None: the preset's
        "context_words": 0,  # learned words before each sentence
        "temperature": 0.01,  # of the alignment
        "prompt_std": 0.02,  # of the prompts' initialisation
        "first_layer": 1,  # first prompted block
        "prompt_depth": None,  # prompted blocks from there; None: all
        "classifier": "joint",  # on the modalities' joined features; or single: one for each
        "sie_weight": 0.0,  # of a camera embedding on the class token; 0: none
        "after_bn": False,  # descriptors from features after the BNNecks
        "frozen": True,  # off: the whole tower is trained
        "frozen_dtype": "float32",  # or bfloat16: what the frozen tower is kept as and computes in
        "prefix_cache": 0,  # MiB for what the blocks before first_layer compute of each image; 0: computed each time
    },
    "loss": {
        # loss.name: prompt. Cross-entropy and triplet as in the paper, IAEL on the prompts, MSEL as in the release.
        "prompt": {
            "weight_x": 1.0,
            "weight_t": 1.0,
            "weight_iael": 0.5,  # the released code's; the paper's own is not known
            "weight_alignment": 1.0,  # DMPT's, against the modalities' sentences
            "label_smoothing": 0.0,  # of the cross-entropy, 0.1 in DMPT's recipe
            "margin": 0.0,  # of the triplet; 0: the soft margin log(1 + exp(d_ap - d_an))
            "use_msel": False,  # only the released code trains with it
            "weight_msel": 0.5,
            "msel_start_epoch": 10,  # first epoch with MSEL, counted from 1
        },
    },
    "train": {
        # Factors on train.lr for parts of promptreid's models; a torchreid model trains with train.lr alone.
        "lr_mult": {"prompts": 5.0, "generator": 15.0, "bias": 2.0},
        # Linear warm-up of the schedules warmup_cosine and mip_cosine, the same start for every parameter group.
        "warmup_epochs": 5,
        "warmup_lr": 1e-4,
        # Cosine of the same two. mip_cosine restarts every `cycle` epochs, peak and floor `decay` times as high.
        "cosine": {"cycle": 30, "decay": 0.1, "min_lr": 1e-7},
        "amp": False,  # autocast
        "amp_dtype": "bfloat16",  # or float16, with a scaled loss
        "accumulation": 1,  # batches per optimisation step
        "clip_norm": 0.0,  # largest L2 norm of all gradients together; 0: any
        "ema": 0.0,  # decay of the averaged weights that are tested; 0: those of the last step are
        "checkpoint_blocks": False,  # recompute activations in the backward pass: less memory, more time
        "checkpoint_steps": 0,  # batches between checkpoints within an epoch; 0: only at its end
        "patience": 0,  # tests without improvement after which training ends; 0: never
        "compile": False,  # torch.compile, which takes a while at the first batch of every shape
        "gather": True,  # under torchrun: the loss of the whole batch; off: the mean of each process's own
        "sync_bn": False,  # under torchrun: batch normalisation over all processes' images; GPUs only
        "distributed_timeout": 1800.0,  # seconds that a process waits for the others
        "deterministic": False,  # only deterministic kernels, and no cuDNN benchmark: slower
    },
    "data": {
        # Names of augmentations for each modality, in their order; []: torchreid's, from data.transforms.
        "augment": {
            "visible": [],
            "infrared": [],  # of every modality but the first
            "near_infrared": [],  # []: that of infrared
            "thermal_infrared": [],  # []: that of infrared
            "interpolation": "bilinear",  # filter of these chains; torchreid's own is bilinear
            "aligned": False,  # crop, flip, erase, ... all images of a sample alike
            "drop_modality": 0.0,  # probability with which each modality of a train sample is left out
            "second_visible": False,  # add a channel-exchanged copy of each visible image to the batch (CAJ)
            "second_exchange": "channel_exchange",  # or caj_exchange, of that copy
        },
        "pack": "",  # file of tools/pack_dataset.py with the images at this size; "": each file is decoded
        "incomplete": "skip",  # or keep: samples that lack a modality, in data sets that have such
        "decoder": "pillow",  # or simplejpeg, if installed: faster, the same pixels
        "range_16bit": "full",  # levels of a 16-bit image that become 0 to 255: all; or minmax of each image, or fixed
        "limits_16bit": [],  # lowest and highest of fixed
        "persistent_workers": False,  # keep the training workers from epoch to epoch
        # Images rendered by tools/train_net.py where data.root has none, so that nothing must be downloaded.
        "synthetic": {
            "like": "",  # the data set whose layout is rendered; "": nothing is rendered
            "ids": 16,
            "frames": 4,  # images per identity and camera
            "size": [],  # height and width in pixels; []: the data set's own
            "seed": 0,
        },
    },
    "test": {
        "protocols": [],  # names; []: those of the target data set
        "chance": True,  # print what random features would score beside each result
        "select": "last",  # which epoch's weights a run ends with; or dev, test: the best on a data set
        "select_metric": "mAP",  # or rank1, of its first protocol
        "select_target": "",  # that data set; "": the first of data.targets
    },
}

NULLABLE: dict[str, type] = {
    "dmpt.alignment": bool,
    "dmpt.bind": bool,
    "dmpt.prompt_depth": int,
    "dmpt.stride": int,
    "dmpt.words": bool,
    "mip.depth": int,
    "mip.iael": bool,
    "mip.instance_depth": int,
    "mip.vit.depth": int,
    "mip.vit.embed_dim": int,
    "mip.vit.num_heads": int,
    "mip.vit.patch_size": int,
}
"""The type of each key whose default ``None`` doesn't show it."""

LISTS_OF_NUMBERS = frozenset({"data.limits_16bit", "data.synthetic.size", "dmpt.interaction_layers"})
"""Lists of whole numbers that are empty by default; the other empty ones hold names."""


def default_config() -> CfgNode:
    """A new tree with every key at its default; it may be changed freely."""
    nodes = {**HOST_DEFAULTS, **OUR_DEFAULTS}
    return CfgNode(deepcopy({node: {**HOST_DEFAULTS.get(node, {}), **OUR_DEFAULTS.get(node, {})} for node in nodes}))
