"""MIP as a method: from its node of the configuration to a model and its loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from promptreid.config.schema import Flat
from promptreid.methods.base import DataFacts, Method, StepReport
from promptreid.methods.mip.keys import KEYS, RENAMED
from promptreid.methods.mip.loss import MIPLoss
from promptreid.methods.mip.model import BACKBONE, MIP, build_mip
from promptreid.methods.mip.options import MIPOptions, mip_paper, mip_release
from promptreid.methods.mip.prompt_report import diagnose, learned_prompts, report_step
from promptreid.models.backbones.vit_by_name import VIT_SMALL, VIT_TINY

# torchreid gives a builder no camera count, so these names have room for the largest of the usual sets (MSMT17: 15).
# Rows of cameras that a set lacks stay as initialised. A run that knows its data binds the exact count.
CAMERAS = 16
STRIDE, DROP_PATH = 12, 0.1
PRESETS = {"mip_paper": mip_paper, "mip_release": mip_release}


class MIPMethod(Method):
    """MIP, and what its ViT, heads and loss need to know of a configuration."""

    name = "mip"
    title = "MIP"
    keys = KEYS
    reads = ("backbone.",)
    renamed = RENAMED
    #: The paper's, not the release's.
    models = {
        "mip_vit_base_patch16": partial(build_mip, backbone=BACKBONE, cameras=CAMERAS),
        "mip_vit_small_patch16": partial(build_mip, backbone=VIT_SMALL, cameras=CAMERAS),
        "mip_vit_tiny_patch16": partial(build_mip, backbone=VIT_TINY, cameras=CAMERAS),
    }
    model_types = (MIP,)
    losses = {"mip": MIPLoss}

    def arguments(self, cfg: Any, data: DataFacts, weights_follow: bool) -> dict[str, Any]:
        """See the base class."""
        return {**vit_arguments(cfg, data), "options": mip_options(cfg)}

    def criterion(self, cfg: Any, model: Any) -> nn.Module:
        """See :func:`criterion_of`."""
        return criterion_of(cfg, model)

    def learning_rates(self, cfg: Any) -> dict[str, float]:
        """See the base class; learned queries may have a factor of their own."""
        own = cfg.mip.query_lr_mult
        return {**super().learning_rates(cfg), **({} if own is None else {"generator.queries": own})}

    def contradictions(self, flat: Flat) -> Iterator[str]:
        """See the base class."""
        if flat["mip.generator"] == "bank" and flat["mip.query"]:
            yield f"mip.query {flat['mip.query']!r}: a bank (mip.generator) has no queries; set mip.query ''"

    def checkpoint_is_whole(self, cfg: Any) -> bool:
        """A frozen tower is in no checkpoint."""
        return not cfg.mip.frozen

    def every_step_uses_all(self, model: Any, criterion: Any) -> bool:
        """It is certain where all parts of the loss count; but a batch may lack a modality that has its BNNeck."""
        if not isinstance(criterion, MIPLoss):
            return False
        parts = ("identity", "triplet", *(["iael"] if model.options.iael else []))
        return not model.options.modality_bn and all(criterion.weights[name] > 0 for name in parts)

    def report_step(self, model: Any, output: Mapping[str, Any], pids: Tensor) -> StepReport | None:
        """See the base class."""
        return report_step(model, output, pids)

    def prompts(self, model: Any) -> Mapping[str, Mapping[str, Tensor]]:
        """See the base class."""
        return learned_prompts(model)

    def diagnose(self, model: Any, batches: Sequence[Any]) -> Any:
        """See the base class."""
        return diagnose(model, batches)


def criterion_of(cfg: Any, model: MIP) -> MIPLoss:
    """The loss of a MIP, or of a baseline that is built of its parts.

    Raises:
        ValueError: MSEL for samples of several images.
    """
    loss = cfg.loss.prompt
    if loss.use_msel and model.images_per_sample > 1:
        raise ValueError(
            "loss.prompt.use_msel: MSEL pulls samples of different modalities together, and here each sample has all "
            "of them; set it False"
        )
    return MIPLoss(
        identity_weight=loss.weight_x,
        triplet_weight=loss.weight_t,
        iael_weight=loss.weight_iael if model.options.iael else 0.0,
        msel_weight=loss.weight_msel if loss.use_msel else 0.0,
        msel_start_epoch=loss.msel_start_epoch,
        margin=loss.margin or None,
        label_smoothing=loss.label_smoothing,
    )


def vit_arguments(cfg: Any, data: DataFacts) -> dict[str, Any]:
    """Arguments of :func:`~promptreid.methods.mip.model.build_mip` but its options: the ViT's, and the data's."""
    backbone = cfg.backbone
    arguments: dict[str, Any] = {
        **vars(data),
        "strict_pretrained": True,
        "stride": backbone.stride or STRIDE,
        "drop_path": DROP_PATH if backbone.drop_path is None else backbone.drop_path,
        "weights": backbone.weights or None,
        "allow_download": backbone.allow_download,
        "vit": {name: value for name, value in backbone.vit.items() if value is not None},
    }
    return {**arguments, "backbone": backbone.name} if backbone.name else arguments


def mip_options(cfg: Any) -> MIPOptions:
    """The options of ``cfg.mip``: those of its preset, with the keys that are set replacing the preset's.

    Raises:
        ValueError: keys that contradict each other.
    """
    mip = cfg.mip
    given = {
        "modality_prompts": mip.modality_prompts,
        "instance_prompts": mip.instance_prompts,
        "prompt_length": mip.prompt_length,
        "prompt_depth": mip.depth,
        "queries": mip.query or None,
        "iael": mip.iael,
        "iael_pooling": mip.iael_pooling or None,
        "jpm": mip.jpm,
        "sie": "camera" if mip.sie_weight else "none",
        "sie_weight": mip.sie_weight or None,
        "generator": mip.generator,
        "instance_depth": mip.instance_depth,
        "naive_prompts": mip.naive_prompts,
        "modality_embedding": mip.modality_embedding,
        "prompt_adapters": mip.prompt_adapters,
        "modality_bn": mip.modality_bn,
        "after_bn": mip.after_bn,
        "frozen": mip.frozen,
        "frozen_heads": mip.frozen_heads,
    }
    try:
        return PRESETS[mip.preset](**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise ValueError(f"mip: {error}") from None
