"""The authors' released MIP checkpoints, translated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from promptreid.methods.mip.model import MIP
from promptreid.models.records import is_record
from promptreid.models.weights import LoadReport, StateDict, strip_module

Shape = tuple[int, ...]

# Pattern of a name in MIP -> name in the release, which counts its heads bottleneck, bottleneck_1, ... A BNNeck here
# is a plain normalisation with a scale beside it.
_NAMES = (
    (r"backbone\.(.+)", r"base.\1"),
    (r"sie\.table", r"base.sie_embed"),
    (r"modality_prompts\.projection\.(.+)", r"base.prompt_proj.\1"),
    (r"instance_prompts\.queries", r"base.prompt_embed"),
    (r"instance_prompts\.block\.(.+)", r"base.instance_prompt_generator.\1"),
    (r"prompt_adapters\.(.+)", r"base.prompt_adapters.\1"),
    (r"head\.(b[12])\.block\.(.+)", r"\1.0.\2"),
    (r"head\.(b[12])\.norm\.(.+)", r"\1.1.\2"),
    (r"classifier\.0\.(.+)", r"classifier.\1"),
    (r"classifier\.(\d+)\.(.+)", r"classifier_\1.\2"),
    (r"necks\.0\.(?:norm\.)?(.+)", r"bottleneck.\1"),
    (r"necks\.(\d+)\.(?:norm\.)?(.+)", r"bottleneck_\1.\2"),
    (r"prompt_head\.classifiers\.(.+)", r"classifiers_ins_prompts.\1"),
    (r"prompt_head\.query", r"zero_token"),
    (r"prompt_head\.reader\.block\.(.+)", r"b3.0.\1"),
    (r"prompt_head\.reader\.norm\.(.+)", r"b3.1.\1"),
    (r"prompt_head\.necks\.(\d+)\.(?:norm\.)?(.+)", r"bottlenecks_ins_prompts.\1.\2"),
)
_UNUSED = (
    (r"zero_token", "this model does not pool its instance prompts by a query"),
    (r"base\.fc\..+", "the classifier of the pretraining"),
    (r"base\.norm\..+", "not run by the released code; the heads hold copies of it"),
    (r"base\.prompt_adapters\..+", "not run by the released code"),
    (r"base\.blocks\.\d+\..+", "this model has no such block before its heads"),
    (r"base\.prompt_embed", "this model has zero queries"),
    (r"(classifiers|bottlenecks)_ins_prompts\..+", "this model has IAEL off"),
    (r"b3\..+", "the pooling of the instance prompts, which this model has not"),
)
_LIBRARY, _SIDE = "modality_prompts.library", "sie.table"
_FIRST, _DEEP = "base.prompt_embeddings", "base.deep_prompt_embeddings"


def from_release(
    state: Mapping[str, Tensor], model: MIP, camera_order: Sequence[int] | None = None
) -> tuple[StateDict, LoadReport]:
    """Translate a released state dict for a model, to be loaded with ``model.load_state_dict``.

    The release has modality 0 = infrared and 1 = visible; here it is the other way round, so the library's rows are
    swapped. Its position embedding lies on the grid of its training images: build the model with
    ``image_size=(256, 128)``, ``options=mip_release()`` and the release's number of identities and cameras, or let
    :func:`~promptreid.methods.mip.released_model.mip_from_release` build it.

    Args:
        state: Names with or without the prefix ``module.``.
        model: What the state is for.
        camera_order: For each camera id here, its id in the release, where they differ: (1, 0) for RegDB, whose
            thermal camera is 0 there and 1 here. SYSU-MM01 has the same ids in both.

    Returns:
        The state dict, complete for the model, and a report of the names in the release that were used or not.

    Raises:
        ValueError: Tensors that the model needs are missing or have other shapes; all are named, as in the release.
    """
    state = strip_module(state)
    entries = model.state_dict()
    wanted = {name: value for name, value in entries.items() if not is_record(name)}
    origins = {name: _origins(name, tuple(value.shape)) for name, value in wanted.items()}
    needed = {name: shape for shapes in origins.values() for name, shape in shapes.items()}
    usable = _cut_to_layers(state, needed)
    _refuse_misfits(usable, needed)
    translated = {}
    for name, sources in origins.items():
        tensor = _assemble(name, [usable[source] for source in sources], camera_order)
        translated[name] = tensor if tensor.is_floating_point() else tensor.to(wanted[name].dtype)
    translated |= {name: value for name, value in entries.items() if is_record(name)}
    unused = {name: _reason(name) for name in state if name not in needed}
    return translated, LoadReport(used=[name for name in state if name in needed], unused=unused)


def release_pooling(state: Mapping[str, Tensor]) -> str:
    """How a released model pools a layer's prompts for IAEL: by a ``query`` where it has a block (b3) for that, else by
    their ``mean``."""
    return "query" if any(name.startswith("b3.") for name in strip_module(state)) else "mean"


def _origins(name: str, shape: Shape) -> dict[str, Shape]:
    """The released tensors, with their shapes, that an entry of a MIP is made of."""
    if name == _LIBRARY:
        layers, modalities, length, dim = shape
        return {_FIRST: (modalities, length, dim), _DEEP: (modalities, layers - 1, length, dim)}
    if name == _SIDE:
        return {_translate(name): (shape[0], 1, shape[1])}
    return {_translate(name): shape}


def _translate(name: str) -> str:
    for pattern, replacement in _NAMES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    return name


def _cut_to_layers(state: StateDict, needed: Mapping[str, Shape]) -> StateDict:
    """The release allocates more layers of deep prompts than it runs."""
    if _DEEP not in needed or _DEEP not in state or state[_DEEP].ndim != len(needed[_DEEP]):
        return state
    return {**state, _DEEP: state[_DEEP][:, : needed[_DEEP][1]]}


def _refuse_misfits(state: StateDict, needed: Mapping[str, Shape]) -> None:
    problems = [f"{name} is missing" for name in needed if name not in state]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, the model needs {shape}"
        for name, shape in needed.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if problems:
        raise ValueError(f"the released state does not fit the model: {'; '.join(problems)}")


def _assemble(name: str, parts: Sequence[Tensor], camera_order: Sequence[int] | None) -> Tensor:
    if name == _LIBRARY:  # (2, j, D) and (2, layers - 1, j, D) to (layers, 2, j, D), visible before infrared
        first, deep = parts
        return torch.cat([first.unsqueeze(1), deep], dim=1).flip(0).transpose(0, 1).contiguous()
    if name == _SIDE:  # (cameras, 1, D) there
        table = parts[0].flatten(0, 1)
        return table if camera_order is None else table[list(camera_order)]
    return parts[0]


def _reason(name: str) -> str:
    for pattern, reason in _UNUSED:
        if re.fullmatch(pattern, name):
            return reason
    return "unknown name"
