"""CLIP's pretrained weights: where they are looked for, and whether they fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from promptreid.models.backbones.bundled_towers import clip_state
from promptreid.models.backbones.clip_image import TimmVisual, import_open_clip
from promptreid.models.prefixes import without_prefix
from promptreid.models.weights import LoadReport, StateDict, cached_file, load_backbone

_logger = logging.getLogger(__name__)
_TAG = "openai"
_NOT_WEIGHTS = ("logit_scale", "logit_bias", "input_resolution", "context_length", "vocab_size")
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")


def load_clip(
    visual: nn.Module,
    text: nn.Module | None,
    name: str,
    weights: str | Path | None = None,
    *,
    strict: bool = True,
    allow_download: bool = False,
    search: bool = True,
) -> LoadReport | None:
    """Fill CLIP's towers with pretrained weights: from a file, else from the caches, else, if allowed, by download.

    The caches are Hugging Face's and open_clip's own (``~/.cache/clip``).

    Args:
        visual: From :func:`~promptreid.models.backbones.clip_image.create_visual`.
        text: From :func:`~promptreid.models.backbones.clip_text.create_text`; None where it is not
            needed, and then the file need not have one either.
        name: open_clip's name, with an optional tag, ``ViT-B-16-quickgelu:openai``; openai is the default tag.
        weights: A file with open_clip's names, ``.safetensors`` or pickled, or OpenAI's own archive ``ViT-B-16.pt``; or
            ``mini_clip``, the small CLIP of this package.
        strict: Raise where there are no weights, instead of a warning.
        allow_download: Let open_clip fetch what is in no cache. Without it, the network is never touched.
        search: Look into the caches; not for a tower of other sizes than ``name`` has.

    Returns:
        What was loaded, or None.

    Raises:
        FileNotFoundError: ``weights`` names no file.
        ValueError: The weights do not fit, or were trained with QuickGELU and the tower has GELU; or there are none, if
            ``strict``.
    """
    if weights is None and search:
        _check_activation(visual, name)
    source = clip_source(name, weights, strict=strict, allow_download=allow_download, search=search)
    if source is None:
        return None
    state = clip_state(source)
    if text is None and isinstance(visual, TimmVisual):  # the file may be open_clip's or timm's
        report = load_backbone(visual.trunk, state)
    else:
        report = fill_towers(visual, text, state, source)
    _logger.info("CLIP %s from %s: %d tensors", name, source, len(report.used))
    return report


def clip_source(
    name: str, weights: str | Path | None, *, strict: bool, allow_download: bool, search: bool
) -> str | Path | None:
    """Where pretrained weights are, as :func:`load_clip` looks for them; None for nowhere.

    Raises:
        ValueError: They are nowhere, if ``strict``.
    """
    source = weights if weights is not None else cached_clip(name) if search else None
    if source is None and allow_download and search:
        from open_clip.pretrained import download_pretrained

        source = Path(download_pretrained(_published(name)))
    if source is None:
        _go_without(name, strict, search)
    return source


def fill_towers(visual: nn.Module, text: nn.Module | None, state: StateDict, source: str | Path) -> LoadReport:
    """Copy weights with the names of OpenAI's or open_clip's models into CLIP's towers.

    Raises:
        ValueError: A tensor is missing, left over, or has another shape.
    """
    state = without_prefix(state, "visual.conv1.weight")
    prefix = "text." if any(name.startswith("text.") for name in state) else ""
    towers = {"visual.": visual} if text is None else {"visual.": visual, prefix: text}
    own = {f"{start}{name}": value for start, tower in towers.items() for name, value in tower.state_dict().items()}
    theirs = {name: value for name, value in state.items() if _is_weight(name) and (text or name.startswith("visual."))}
    missing = [name for name in own if name not in theirs]
    wrong = [
        f"{name} is {tuple(value.shape)}, not {tuple(own[name].shape)}"
        for name, value in theirs.items()
        if name in own and value.shape != own[name].shape
    ]
    unknown = [name for name in theirs if name not in own]
    if missing or wrong or unknown:
        raise ValueError(
            f"{source} holds weights of another architecture. {_some('Other shapes', wrong)}; "
            f"{_some('missing', missing)}; {_some('not in the towers', unknown)}"
        )
    for start, tower in towers.items():
        tower.load_state_dict({name: theirs[f"{start}{name}"] for name in tower.state_dict()})
    unused = {name: "not part of the towers that are needed" for name in state if name not in theirs}
    return LoadReport(used=list(theirs), unused=unused)


def cached_clip(name: str) -> Path | None:
    """The weight file of one of open_clip's pretrained models, looked up without the network.

    Raises:
        ValueError: open_clip knows no such weights.
    """
    published = _published(name)
    hub = published.get("hf_hub", "").rpartition("/")
    places: list[Any] = [(hub[0], file) for file in ((hub[2],) if hub[2] else _HUB_FILES)] if hub[0] else []
    if published.get("url"):
        places.append(Path("~/.cache/clip").expanduser() / published["url"].rpartition("/")[2])
    return cached_file(places)


def _published(name: str) -> Mapping[str, Any]:
    """open_clip's entry for the weights of a name with an optional tag."""
    import_open_clip()
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    architecture, _, tag = name.partition(":")
    published: Mapping[str, Any] = get_pretrained_cfg(architecture, tag or _TAG)
    if not published:
        tags = list_pretrained_tags_by_model(architecture)
        raise ValueError(
            f"open_clip knows no weights {tag or _TAG!r} of {architecture}, but {tags or 'none at all'}; name them as "
            f"in {architecture}:{tags[0] if tags else 'tag'}, give a file (weights=...), or set pretrained False"
        )
    return published


def _check_activation(visual: Any, name: str) -> None:
    """Refuse what would run without complaint and be wrong: no tensor tells which activation a tower had."""
    if isinstance(visual, TimmVisual):  # timm's names tell
        return
    own = type(visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    if _published(name).get("quick_gelu", False) and not own:
        architecture, _, tag = name.partition(":")
        raise ValueError(
            f"the weights {tag or _TAG!r} of {architecture} were trained with QuickGELU, and this architecture has "
            f"GELU; use {architecture}-quickgelu"
        )


def _go_without(name: str, strict: bool, search: bool) -> None:
    where = "a tower of these sizes has none that are published; give a file (weights=...)"
    if search:
        published = _published(name)
        url, hub = published.get("url", ""), published.get("hf_hub", "").rpartition("/")[0]
        places = [f"the file {url.rpartition('/')[2]} of {url}"] if url else []
        places += [f"{_HUB_FILES[0]} of huggingface.co/{hub}"] if hub else []
        where = (
            f"neither Hugging Face's cache nor ~/.cache/clip has them, and downloads are off; get "
            f"{' or '.join(places)} and give its path (weights=...), or allow the download (allow_download=True)"
        )
    message = f"no pretrained weights for {name}: {where}"
    if strict:
        raise ValueError(f"{message}. With pretrained False the model is built with random ones")
    _logger.warning("%s. The towers are randomly initialised", message)


def _is_weight(name: str) -> bool:
    return name not in _NOT_WEIGHTS and not name.endswith("attn_mask")


def _some(what: str, names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{what}: {', '.join(names[:most]) or 'none'}{more}"
