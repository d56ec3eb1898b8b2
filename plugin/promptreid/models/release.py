"""The authors' released MIP checkpoints, translated."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from promptreid.models.mip import MIP
from promptreid.models.weights import LoadReport, StateDict, strip_module

# Pattern of a name in the release -> name in MIP. The release counts its heads bottleneck, bottleneck_1, ...
_NAMES = (
    (r"base\.(cls_token|pos_embed)", r"backbone.\1"),
    (r"base\.sie_embed", r"sie.table"),
    (r"base\.(patch_embed\.proj\..+)", r"backbone.\1"),
    (r"base\.blocks\.(\d+)\.(.+)", r"backbone.blocks.\1.\2"),
    (r"base\.prompt_proj\.(.+)", r"modality_prompts.projection.\1"),
    (r"base\.prompt_embed", r"instance_prompts.queries"),
    (r"base\.instance_prompt_generator\.(.+)", r"instance_prompts.block.\1"),
    (r"(b[12])\.0\.(.+)", r"head.\1.block.\2"),
    (r"(b[12])\.1\.(.+)", r"head.\1.norm.\2"),
    (r"classifier(?:_(\d+))?\.weight", r"classifier.{\1}.weight"),
    (r"bottleneck(?:_(\d+))?\.(.+)", r"necks.{\1}.\2"),
    (r"classifiers_ins_prompts\.(.+)", r"prompt_head.classifiers.\1"),
    (r"bottlenecks_ins_prompts\.(\d+)\.(.+)", r"prompt_head.necks.\1.\2"),
)
_UNUSED = (
    (r"zero_token", "a constant of the released code"),
    (r"base\.fc\..+", "the classifier of the pretraining"),
    (r"base\.norm\..+", "not run by the released code; the heads hold copies of it"),
    (r"base\.prompt_adapters\..+", "not run by the released code"),
    (r"base\.blocks\.\d+\..+", "this model has no such block before its heads"),
    (r"base\.prompt_embed", "this model has zero queries"),
    (r"(classifiers|bottlenecks)_ins_prompts\..+", "this model has IAEL off"),
)
_LIBRARY = ("base.prompt_embeddings", "base.deep_prompt_embeddings")


def from_release(state: Mapping[str, Tensor], model: MIP) -> tuple[StateDict, LoadReport]:
    """Translate a released state dict for a model, to be loaded with ``model.load_state_dict``.

    The release has modality 0 = infrared and 1 = visible; here it is the other way round, so the library's rows are
    swapped. Its position embedding lies on the grid of its training images: build the model with
    ``image_size=(256, 128)``, ``options=mip_release()`` and the release's number of identities and cameras.

    Args:
        state: Names with or without the prefix ``module.``.
        model: What the state is for.

    Returns:
        The state dict, complete for the model, and a report of the names in the release that were used or not.

    Raises:
        ValueError: Tensors that the model needs are missing or have other shapes; all are named.
    """
    state = strip_module(state)
    wanted = model.state_dict()
    ours = {_translate(name): (name, tensor) for name, tensor in state.items() if name not in _LIBRARY}
    ours = {name: pair for name, pair in ours.items() if name in wanted}
    used = [source for source, _ in ours.values()]
    translated = {name: tensor for name, (_, tensor) in ours.items()}
    if "sie.table" in translated:
        translated["sie.table"] = translated["sie.table"].flatten(0, 1)  # (cameras, 1, D) there
    if "modality_prompts.library" in wanted and all(name in state for name in _LIBRARY):
        translated["modality_prompts.library"] = _library(state, len(wanted["modality_prompts.library"]))
        used += _LIBRARY
    _refuse_misfits(translated, wanted)
    unused = {name: _reason(name) for name in state if name not in used}
    return translated, LoadReport(used=used, unused=unused)


def _translate(name: str) -> str:
    for pattern, replacement in _NAMES:
        match = re.fullmatch(pattern, name)
        if match:
            ours = match.expand(replacement).replace("{}", "0")
            ours = re.sub(r"\{(\d+)\}", r"\1", ours)
            # A BNNeck here is a plain normalisation with a scale beside it.
            return re.sub(r"(necks\.\d+)\.(running_|num_)", r"\1.norm.\2", ours)
    return name


def _library(state: StateDict, layers: int) -> Tensor:
    """First layer (2, j, D) and deeper ones (2, 12, j, D) to (layers, 2, j, D), visible before infrared."""
    first, deep = (state[name] for name in _LIBRARY)
    release_order = torch.cat([first.unsqueeze(1), deep[:, : layers - 1]], dim=1)
    return release_order.flip(0).transpose(0, 1).contiguous()


def _refuse_misfits(translated: StateDict, wanted: StateDict) -> None:
    problems = [f"{name} is missing" for name in wanted if name not in translated]
    problems += [
        f"{name} has shape {tuple(tensor.shape)}, the model {tuple(wanted[name].shape)}"
        for name, tensor in translated.items()
        if tensor.shape != wanted[name].shape
    ]
    if problems:
        raise ValueError(f"the released state does not fit the model: {'; '.join(problems)}")


def _reason(name: str) -> str:
    for pattern, reason in _UNUSED:
        if re.fullmatch(pattern, name):
            return reason
    return "unknown name"
