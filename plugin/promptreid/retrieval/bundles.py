"""Folders with a trained model for others: tuned weights, a JSON that describes them, and a card.

``model.safetensors``, ``config.json`` and ``README.md``, as repositories of the Hugging Face hub have them. An adapter
has ``adapter_model.safetensors`` and ``adapter_config.json``, as peft's have: the same without the card. Neither holds
the weights of a frozen tower, whose sha256 is among the tuned ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.files import write_text
from promptreid.retrieval.description import ModelDescription
from promptreid.versions import version_of

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def bundle_of(folder: Path) -> Path | None:
    """File of weights in a bundle or adapter folder; None for another folder."""
    for weights, config in ((WEIGHTS, CONFIG), (ADAPTER_WEIGHTS, ADAPTER_CONFIG)):
        if (folder / weights).is_file() and (folder / config).is_file():
            return folder / weights
    return None


def fetch(source: str | Path, allow_download: bool = False) -> Path:
    """Find a local folder or file: the source itself, or a hub repository's files in the cache.

    Args:
        source: a path, or ``owner/name`` of a repository.
        allow_download: let the hub be asked for what the cache lacks.

    Raises:
        FileNotFoundError: a repository that is not in the cache, or that the hub does not give.
    """
    path = Path(source)
    if path.exists() or not _REPOSITORY.fullmatch(str(source)):
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(str(source), local_files_only=not allow_download, allow_patterns=[WEIGHTS, CONFIG, CARD])
        )
    except Exception as error:  # the hub's errors have no common base
        remedy = "check the name and the network" if allow_download else "to ask the hub, pass allow_download=True"
        raise FileNotFoundError(
            f"{source}: no such run, file or folder, and no such repository in the cache of the Hugging Face hub; "
            f"{remedy} ({type(error).__name__})"
        ) from None


def write_bundle(
    folder: Path,
    weights: Mapping[str, Tensor],
    model: ModelDescription,
    data: Mapping[str, Any],
    *,
    adapter: bool = False,
    card: str = "",
) -> None:
    """Write a bundle; each of its files appears when it is complete.

    Args:
        folder: created when missing.
        weights: the tuned ones.
        model: what their vectors are.
        data: the record of the training data.
        adapter: write an adapter.
        card: the text of the card; none when empty.

    Raises:
        ValueError: the file system refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {"config": model.config, "data": json.dumps(data), "select": "given"}
    checkpoint.save_weights(weights, folder / (ADAPTER_WEIGHTS if adapter else WEIGHTS), about)
    record = {
        "library": "promptreid",
        "version": version_of("promptreid"),
        "frozen_sha256": frozen_digests(weights),
        **json.loads(model.to_json()),
    }
    write_text(folder / (ADAPTER_CONFIG if adapter else CONFIG), json.dumps(record, indent=1))
    if card:
        write_text(folder / CARD, card)


def frozen_digests(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """The sha256 of each frozen part, by its name."""
    found = {name.removesuffix(".digest"): value for name, value in weights.items() if name.endswith(".digest")}
    return {name: bytes(value.tolist()).hex() for name, value in found.items()}


def card_of(model: ModelDescription, results: Mapping[str, Any] | None = None) -> str:
    """Card of a model: its description, its use and its scores.

    Args:
        model: what its vectors are.
        results: the contents of a run's ``results-*.json`` by data set, if there are any.
    """
    bands = ", ".join(model.modalities)
    lines = [
        "---",
        "library_name: promptreid",
        "tags: [re-identification, multi-modal]",
        "---",
        "",
        f"# {model.name}",
        "",
        f"Embeds images of {model.height} x {model.width} pixels in the bands {bands}: {model.width_of_vector} numbers "
        + ("for each image." if model.images_per_sample == 1 else "for each object, from any of its bands."),
        "",
        "```python",
        "import promptreid",
        "",
        'reid = promptreid.load("this folder")',
        f'vectors = reid.embed([{{"{model.modalities[0]}": "image.jpg"}}])',
        "```",
        "",
        f"Vectors of this model have the id `{model.model_id[:12]}`; vectors of other weights cannot be compared.",
    ]
    return "\n".join([*lines, *_scored(results or {}), ""])


def _scored(results: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {result['protocol']} | {record.get('selection', '')} | {100 * result['rank']['1']:.2f} "
        f"| {100 * result['mAP']:.2f} | {100 * result['mINP']:.2f} |"
        for name, record in results.items()
        for result in record["results"]
    ]
    if not rows:
        return []
    head = ["", "| data set | protocol | weights | rank-1 | mAP | mINP |", "|---|---|---|---|---|---|"]
    return [*head, *rows, "", "In per cent."]
