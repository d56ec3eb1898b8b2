"""Reading weight files: the one place in this package that does."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.backbones.foreign_names import timm_names
from promptreid.models.backbones.position_embedding import resample_positions
from promptreid.models.backbones.vit import import_timm
from promptreid.models.bounds import check_allocations, check_claims, not_finite, unpacked_size
from promptreid.models.prefixes import usual_grid, without_prefix
from promptreid.models.records import fit_state, is_record
from promptreid.models.torchscript import is_torchscript, read_torchscript
from promptreid.safetensors_header import read_header

_logger = logging.getLogger(__name__)
BEYOND = "a block beyond the ViT's depth"
_PICKLED = (".pth", ".pt", ".bin", ".tar")
_WRAPPERS = ("state_dict", "model", "teacher", "student")  # of DINO's two networks the teacher is the one to use
StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a weight file.

    Attributes:
        used: Names in the file that were used.
        unused: Names in the file that were not, each with the reason.
        missing: Names in the model that the file has nothing for.
    """

    used: list[str] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{len(self.used)} tensors used, {len(self.unused)} unused, {len(self.missing)} missing"]
        lines += [f"  unused {name}: {reason}" for name, reason in self.unused.items()]
        lines += [f"  missing {name}" for name in self.missing]
        return "\n".join(lines)


def read_state_dict(path: str | Path) -> StateDict:
    """Read the tensors of a ``.safetensors`` or ``.pth`` file.

    Pickled files are read with ``weights_only=True`` and never otherwise. Of a TorchScript archive, such as OpenAI's
    CLIP models, the tensors are read and the program is not run. An outer ``state_dict``, ``model`` or ``teacher`` and
    the prefix ``module.`` of DataParallel are taken off.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another kind of file, one that is not just tensors, or one that would take far more memory than its
            size suggests.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weight file at {path}")
    if path.suffix == ".safetensors":
        return strip_module(_read_safetensors(path))
    if path.suffix not in _PICKLED and ".pth" not in path.suffixes:
        raise ValueError(f"{path}: weight files end in .safetensors, {', '.join(_PICKLED)}, or .npz for a timm ViT")
    unpacked = unpacked_size(path)
    if is_torchscript(path):
        state = _read_torchscript(path)
        check_claims(state, unpacked, path)
        return strip_module(state)
    return strip_module(_tensors(read_pickle(path), path))


def _read_torchscript(path: Path) -> StateDict:
    try:
        with zipfile.ZipFile(path) as archive:
            return read_torchscript(archive)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as the tensors of a TorchScript archive ({type(error).__name__}: {error}); copy or "
            "download it again, or save the model's state_dict() as .safetensors"
        ) from error


def _read_safetensors(path: Path) -> StateDict:
    from safetensors.torch import load_file

    read_header(path)
    try:
        return load_file(path)
    except Exception as error:  # safetensors' own, and torch's where it lacks a dtype
        raise ValueError(f"{path} is not a valid .safetensors file ({error}); copy or download it again") from error


def read_pickle(path: Path) -> Any:
    """Read a file that ``torch.save`` wrote, onto the CPU: tensors and Python primitives, never code.

    Raises:
        ValueError: The file is broken, holds other Python objects, or would take far more memory than its size
            suggests.
    """
    unpacked = unpacked_size(path)
    if unpacked:
        check_allocations(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as plain tensors ({type(error).__name__}); it is broken or holds Python objects, "
            "which are not loaded because they can run code: save its state_dict() alone, best as .safetensors"
        ) from error
    check_claims(content, unpacked, path)
    return content


def _tensors(content: Any, path: Path) -> Mapping[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} holds no state_dict: expected a mapping of names to tensors")
    return content


def strip_module(state: Mapping[str, Tensor]) -> StateDict:
    """Take the prefix ``module.`` off all names, if all have it."""
    prefix = "module."
    if state and all(name.startswith(prefix) for name in state):
        return {name[len(prefix) :]: value for name, value in state.items()}
    return dict(state)


def load_matching(
    model: nn.Module,
    state: Mapping[str, Tensor],
    source: str | Path,
    strict: bool = True,
    optional: Sequence[str] = (),
) -> LoadReport:
    """Fill a model with the tensors whose names and shapes are its own.

    Positions of another grid and camera tables of other lengths are taken on with ``strict``. Without, the model keeps
    its own sizes, and positions are resampled.

    Args:
        model: Any module.
        state: Tensors by name.
        source: Where they come from, for messages.
        strict: Refuse tensors that fit nowhere, and entries of the model that stay empty.
        optional: Prefixes of names that may stay out even so.

    Raises:
        ValueError: Nothing fits; or not everything does, if ``strict``; or a tensor is not finite.
    """
    try:
        state = fit_state(model, state, adopt=strict)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    own = model.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and _fits(value, own[name])}
    unused = {name: _misfit(name, value, own) for name, value in state.items() if name not in fitting}
    report = LoadReport(list(fitting), unused, [name for name in own if name not in fitting and not is_record(name)])
    essential = _without(report, tuple(optional))
    incomplete = bool(essential.unused or essential.missing)
    if not fitting or (strict and incomplete):
        raise ValueError(f"{source} does not fit the model; build it as it was trained. {_shortened(essential)}")
    _check_finite(fitting, own, source)
    try:
        model.load_state_dict(fitting, strict=False)
    except RuntimeError as error:  # other frozen weights
        raise ValueError(f"{source}: {str(error).splitlines()[-1].strip()}") from None
    if report.unused or report.missing:
        level = logging.WARNING if incomplete else logging.INFO
        _logger.log(level, "%s fills the model in part: %s", source, report)
    return report


def _without(report: LoadReport, prefixes: tuple[str, ...]) -> LoadReport:
    unused = {name: reason for name, reason in report.unused.items() if not name.startswith(prefixes)}
    return LoadReport(report.used, unused, [name for name in report.missing if not name.startswith(prefixes)])


def _fits(value: Tensor, own: Tensor) -> bool:
    """Whether an entry of the model can become this: of its shape, and of real numbers where it is."""
    real = value.is_floating_point() if own.is_floating_point() else value.is_complex() <= own.is_complex()
    return value.shape == own.shape and real


def _check_finite(state: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str | Path) -> None:
    bad = not_finite(state, own)
    if bad:
        raise ValueError(
            f"{source}: {bad[0]} is not finite (NaN or infinity), as {len(bad)} of {len(state)} tensors are; its "
            "training has failed or the file is damaged: take an earlier checkpoint, or download it again"
        )


def _misfit(name: str, value: Tensor, own: StateDict) -> str:
    if name not in own:
        return "no such entry in the model"
    if value.shape == own[name].shape:
        return f"{name} of dtype {value.dtype}, the model's is {own[name].dtype}"
    return f"shape {tuple(value.shape)}, the model's is {tuple(own[name].shape)}"


def _shortened(report: LoadReport, most: int = 3) -> str:
    unused = [f"{name}: {reason}" for name, reason in list(report.unused.items())[:most]]
    return f"Not fitting: {'; '.join(unused) or 'none'}. Missing: {', '.join(report.missing[:most]) or 'none'}"


def load_backbone(vit: Any, state: Mapping[str, Tensor]) -> LoadReport:
    """Copy backbone weights, named as timm or their authors name them, into a timm ViT.

    Prefixes of other programs are taken off, see :func:`~promptreid.models.prefixes.without_prefix`. Position
    embeddings of another square grid are resampled bilinearly to the ViT's own. A grid of person images, such as 16 x 8
    or 21 x 10, becomes the ViT's own, so that nothing is lost before its image size is known.

    Raises:
        ValueError: A tensor is missing or has another shape.
    """
    own: StateDict = vit.state_dict()
    state = timm_names(without_prefix(state, "patch_embed.proj.weight"), own)
    found = {name: value for name, value in state.items() if name in own}
    if "pos_embed" in found:
        found["pos_embed"] = _fit_positions(vit, found["pos_embed"])
        own = vit.state_dict()
    wrong = [f"{n} is {tuple(v.shape)}, not {tuple(own[n].shape)}" for n, v in found.items() if v.shape != own[n].shape]
    wrong += [_misfit(n, v, own) for n, v in found.items() if v.shape == own[n].shape and not _fits(v, own[n])]
    missing = [name for name in own if name not in found]
    if wrong or missing:
        raise ValueError(f"the weights do not fit the backbone; wrong shapes: {wrong}; missing: {missing}")
    bad = not_finite(found, own)
    if bad:
        raise ValueError(f"the weights are not finite (NaN or infinity): {bad[:3]}; download them again")
    vit.load_state_dict(found)
    unused = {name: _why_unused(name) for name in state if name not in own}
    left = sorted({int(name.split(".")[1]) for name, why in unused.items() if why == BEYOND})
    if left:
        _logger.warning("the ViT has %d blocks; blocks %s of the weights are left out", len(vit.blocks), left)
    return LoadReport(used=list(found), unused=unused)


def _why_unused(name: str) -> str:
    return BEYOND if name.startswith("blocks.") else "not part of a ViT without classifier"


def _fit_positions(vit: Any, positions: Tensor) -> Tensor:
    grid = tuple(vit.patch_embed.grid_size)
    prefix = vit.pos_embed.shape[1] - grid[0] * grid[1]
    if positions.ndim != 3 or positions.shape == vit.pos_embed.shape or positions.shape[1] <= prefix:
        return positions
    theirs = usual_grid(positions.shape[1] - prefix, tuple(vit.patch_embed.patch_size))
    if theirs is None or positions.shape[2] != vit.pos_embed.shape[2]:
        return positions
    _logger.info("the positions of the weights are taken for %d x %d tokens", *theirs)
    if theirs[0] == theirs[1]:
        return resample_positions(positions, theirs, grid)
    vit.patch_embed.grid_size = theirs
    vit.pos_embed = nn.Parameter(resample_positions(vit.pos_embed.detach(), grid, theirs))
    return positions


def load_pretrained(
    vit: Any, name: str, weights: str | Path | None = None, *, strict: bool = False, allow_download: bool = False
) -> LoadReport | None:
    """Fill a timm ViT with pretrained weights: from a file, else from timm's cache, else, if allowed, by download.

    Args:
        vit: The model, without classifier.
        name: Its timm name; the tag chooses the weights.
        weights: A ``.safetensors``, ``.pth`` or (Google's) ``.npz`` file.
        strict: Raise where there are no weights, instead of a warning.
        allow_download: Let timm fetch what is not in its cache. Without it, the network is never touched.

    Returns:
        What was loaded; None if nothing was, or if the file was an ``.npz``, which timm reads without a report.

    Raises:
        FileNotFoundError: ``weights`` names no file.
        ValueError: The weights do not fit; or there are none, if ``strict``.
    """
    source = Path(weights) if weights is not None else cached_weights(name)
    if source is None and not allow_download:
        _go_without(name, strict)
        return None
    if source is not None and source.suffix == ".npz":
        _load_npz(vit, source)
        return None
    state = (
        import_timm().create_model(name, pretrained=True).state_dict() if source is None else read_state_dict(source)
    )
    report = load_backbone(vit, state)
    _logger.info("backbone %s from %s: %s", name, source or "timm's download", report)
    return report


def _go_without(name: str, strict: bool) -> None:
    message = (
        f"no pretrained weights for {name}: none in timm's cache, and downloads are off; "
        "give a file (weights=...) or allow the download (allow_download=True)"
    )
    if strict:
        raise ValueError(message)
    _logger.warning("%s. The backbone is randomly initialised", message)


def _load_npz(vit: Any, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no weight file at {path}")
    unpacked_size(path)
    try:
        vit.load_pretrained(str(path))
    except Exception as error:  # broken files, other shapes and names
        raise ValueError(
            f"{path} is no .npz file of this ViT ({type(error).__name__}: {error}); copy or download it again"
        ) from error
    if not_finite(vit.state_dict(), {}):
        raise ValueError(f"{path}: its numbers are not finite (NaN or infinity); download it again")
    _logger.info("backbone from %s, read by timm", path)


def cached_weights(name: str) -> Path | None:
    """The weight file of a timm model in the caches of Hugging Face and torch, looked up without the network."""
    config = import_timm().get_pretrained_cfg(name)
    if config is None:
        return None
    places: list[tuple[str, str] | Path] = []
    if config.hf_hub_id:
        places += [(config.hf_hub_id, file) for file in ("model.safetensors", "pytorch_model.bin")]
    if config.url:
        places.append(Path(torch.hub.get_dir(), "checkpoints", config.url.rsplit("/", 1)[-1]))
    return cached_file(places)


def cached_file(places: Sequence[tuple[str, str] | Path]) -> Path | None:
    """The first file that is there, looked up without the network.

    Args:
        places: Paths, or (repository, file) in Hugging Face's cache.
    """
    from huggingface_hub import try_to_load_from_cache

    found = (place if isinstance(place, Path) else try_to_load_from_cache(*place) for place in places)
    # What was found may also be Hugging Face's mark for "known not to exist".
    return next((Path(path) for path in found if isinstance(path, (str, Path)) and Path(path).is_file()), None)
