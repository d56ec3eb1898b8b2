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
        "backbone": "",  # a timm ViT; "": the one of model.name
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
    "loss": {
        # loss.name: prompt. Cross-entropy and triplet as in the paper, IAEL on the prompts, MSEL as in the release.
        "prompt": {
            "weight_x": 1.0,
            "weight_t": 1.0,
            "weight_iael": 0.5,  # the released code's; the paper's own is not known
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
        "amp": False,  # autocast: bfloat16 where the device has it
        "compile": False,  # torch.compile, which takes a while at the first batch of every shape
        "deterministic": False,  # only deterministic kernels, and no cuDNN benchmark: slower
    },
    "data": {
        # Names of augmentations for each modality, in their order; []: torchreid's, from data.transforms.
        "augment": {
            "visible": [],
            "infrared": [],  # of every modality but the first
            "interpolation": "bilinear",  # filter of both chains; torchreid's own is bilinear
            "second_visible": False,  # add a channel-exchanged copy of each visible image to the batch (CAJ)
        },
        "pack": "",  # file of tools/pack_dataset.py with the images at this size; "": each file is decoded
        "persistent_workers": False,  # keep the training workers from epoch to epoch
        # Images rendered by tools/train_net.py where data.root has none, so that nothing must be downloaded.
        "synthetic": {
            "like": "",  # the data set whose layout is rendered; "": nothing is rendered
            "ids": 16,
            "frames": 4,  # images per identity and camera
            "size": [128, 64],  # height and width in pixels
            "seed": 0,
        },
    },
    "test": {
        "protocols": [],  # names; []: those of the target data set
        "chance": True,  # print what random features would score beside each result
    },
}

NULLABLE: dict[str, type] = {
    "mip.depth": int,
    "mip.iael": bool,
    "mip.instance_depth": int,
    "mip.vit.depth": int,
    "mip.vit.embed_dim": int,
    "mip.vit.num_heads": int,
    "mip.vit.patch_size": int,
}
"""The type of each key whose default ``None`` doesn't show it."""


def default_config() -> CfgNode:
    """A new tree with every key at its default; it may be changed freely."""
    nodes = {**HOST_DEFAULTS, **OUR_DEFAULTS}
    return CfgNode(deepcopy({node: {**HOST_DEFAULTS.get(node, {}), **OUR_DEFAULTS.get(node, {})} for node in nodes}))
