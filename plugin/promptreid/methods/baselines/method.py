"""The baselines as methods: ViTs without prompts, and torchreid's backbones side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from promptreid.config.schema import FROM_ZERO, Key
from promptreid.methods.base import Builder, DataFacts, Method
from promptreid.methods.baselines.multi_stream import MultiStream
from promptreid.methods.baselines.torchreid_backbones import HOST_MODELS
from promptreid.methods.baselines.vits import transreid, vit_reid
from promptreid.methods.mip.keys import RENAMED
from promptreid.methods.mip.method import CAMERAS, criterion_of, vit_arguments
from promptreid.methods.mip.model import BACKBONE, build_mip
from promptreid.methods.mip.options import MIPOptions
from promptreid.models.backbones.vit_by_name import VIT_SMALL, VIT_TINY

TRIPLE = ("visible", "near_infrared", "thermal_infrared")
SIZES = {"base": BACKBONE, "small": VIT_SMALL, "tiny": VIT_TINY}
_transreid = partial(build_mip, cameras=CAMERAS, options=transreid())
_vit = partial(build_mip, options=vit_reid())
_shared_vit = partial(build_mip, options=vit_reid(), modalities=TRIPLE, images_per_sample=len(TRIPLE), stride=16)


class BaselineMethod(Method):
    """TransReID (side information and JPM) and a plain ViT, the latter also shared by the images of triples."""

    name = "baselines"
    title = "Baselines"
    keys = (
        Key("jpm", None, "four local features beside the global one; not set: those of `transreid_*` alone", kind=bool),
        Key("sie_weight", None, "of the camera embedding added to every token, 0 for none; not set: 3 for `transreid_*`"
            " and none for the others", kind=float, range=FROM_ZERO),
        Key("after_bn", False, "descriptors from features after the BNNecks"),
        Key("frozen", False, "freeze the whole tower, the heads' blocks included: a linear probe"),
    )  # fmt: skip
    reads = ("backbone.",)
    #: Release 0.1 configured the baselines by MIP's node.
    renamed: Mapping[str, tuple[str, Any]] = {**RENAMED, "mip.after_bn": ("baselines.after_bn", False)}
    models: Mapping[str, Builder] = {
        **{f"transreid_vit_{size}_patch16": partial(_transreid, backbone=name) for size, name in SIZES.items()},
        **{f"vit_{size}_patch16_reid": partial(_vit, backbone=name) for size, name in SIZES.items()},
        # The same plain ViT, shared by the three images of RGB + NIR + TIR triples.
        **{f"shared_vit_{size}_patch16": partial(_shared_vit, backbone=name) for size, name in SIZES.items()},
    }

    def arguments(self, cfg: Any, data: DataFacts, weights_follow: bool) -> dict[str, Any]:
        """See the base class."""
        return {**vit_arguments(cfg, data), "options": self._options(cfg)}

    def checkpoint_is_whole(self, cfg: Any) -> bool:
        """A frozen tower is in no checkpoint."""
        return not cfg.baselines.frozen

    def criterion(self, cfg: Any, model: Any) -> nn.Module:
        """MIP's, of whose parts those on prompts have nothing to count."""
        return criterion_of(cfg, model)

    def _options(self, cfg: Any) -> MIPOptions:
        builder: Any = self.models[cfg.model.name]
        options: MIPOptions = replace(builder.keywords["options"], after_bn=cfg.baselines.after_bn)
        if cfg.baselines.frozen:
            options = replace(options, frozen=True, frozen_heads=True)
        if cfg.baselines.jpm is not None:
            options = replace(options, jpm=cfg.baselines.jpm)
        weight = cfg.baselines.sie_weight
        if weight is None:
            return options
        return replace(options, sie="camera", sie_weight=weight) if weight else replace(options, sie="none")


class ThreeStreams(Method):
    """Three of torchreid's backbones, one for each modality of a triple."""

    name = "three"
    title = "Three streams"
    models = HOST_MODELS
    model_types = (MultiStream,)

    def arguments(self, cfg: Any, data: DataFacts, weights_follow: bool) -> dict[str, Any]:
        """See the base class."""
        return {"strict_pretrained": True}
