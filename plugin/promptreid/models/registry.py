"""All models of this package, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from promptreid.methods.baselines.vits import transreid, vit_reid
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.mip.model import BACKBONE, build_mip

# torchreid gives a builder no camera count, so these names have room for the largest of the usual sets (MSMT17: 15).
# Rows of cameras that a set lacks stay as initialised. A run that knows its data binds the exact count.
CAMERAS = 16
SMALL = "vit_small_patch16_224.augreg_in21k_ft_in1k"
TINY = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
TRIPLE = ("visible", "near_infrared", "thermal_infrared")

_shared_vit = partial(build_mip, options=vit_reid(), modalities=TRIPLE, images_per_sample=len(TRIPLE), stride=16)
# CLIP's architecture, small enough for a quickstart: nobody has trained such a tower, so it is random.
CLIP_TINY = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 128, "layers": 4, "width": 96, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 3, "layers": 2},
}

#: name -> build(num_classes, loss="softmax", pretrained=True, use_gpu=True); MIP is the paper's, not the release's.
#: DMPT takes samples of three images unless it is told otherwise.
MODELS: dict[str, Callable[..., nn.Module]] = {
    "dmpt_clip_tiny": partial(build_dmpt, tower=CLIP_TINY, cameras=CAMERAS, strict_pretrained=False),
    "dmpt_vit_base_patch16": partial(build_dmpt, cameras=CAMERAS),
    "mip_vit_base_patch16": partial(build_mip, backbone=BACKBONE, cameras=CAMERAS),
    "mip_vit_small_patch16": partial(build_mip, backbone=SMALL, cameras=CAMERAS),
    "mip_vit_tiny_patch16": partial(build_mip, backbone=TINY, cameras=CAMERAS),
    "transreid_vit_base_patch16": partial(build_mip, backbone=BACKBONE, cameras=CAMERAS, options=transreid()),
    "transreid_vit_small_patch16": partial(build_mip, backbone=SMALL, cameras=CAMERAS, options=transreid()),
    "transreid_vit_tiny_patch16": partial(build_mip, backbone=TINY, cameras=CAMERAS, options=transreid()),
    "vit_base_patch16_reid": partial(build_mip, backbone=BACKBONE, options=vit_reid()),
    "vit_small_patch16_reid": partial(build_mip, backbone=SMALL, options=vit_reid()),
    "vit_tiny_patch16_reid": partial(build_mip, backbone=TINY, options=vit_reid()),
    # The same plain ViT, shared by the three images of RGB + NIR + TIR triples.
    "shared_vit_base_patch16": partial(_shared_vit, backbone=BACKBONE),
    "shared_vit_small_patch16": partial(_shared_vit, backbone=SMALL),
    "shared_vit_tiny_patch16": partial(_shared_vit, backbone=TINY),
}
