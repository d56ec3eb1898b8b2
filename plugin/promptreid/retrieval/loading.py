"""Loading of an :class:`~promptreid.retrieval.embedder.Embedder` from the folder or file of a trained model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from promptreid import host
from promptreid.config import dump_config, load_config
from promptreid.config.for_others import without_paths
from promptreid.config.keys import leaves_of
from promptreid.data.batch import ModalBatch
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.provenance import is_record, state_of_header
from promptreid.engine.checkpoints.random_state import random_states_kept
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.models.weights import load_matching, read_state_dict, strip_module
from promptreid.retrieval.bundles import bundle_of, fetch
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embedder import Embedder
from promptreid.retrieval.export.formats import kind_of, opened
from promptreid.retrieval.objects import UNKNOWN
from promptreid.retrieval.torch_backend import TorchBackend, camera_rows_of
from promptreid.retrieval.trained import TrainedEmbedder, results_beside
from promptreid.runs.build import build_model

_UNIT = 1e-5
"""A model whose vectors' lengths differ less than this from 1 brings them to unit length itself."""


def load(
    source: str | Path,
    *,
    config: str | Path | None = None,
    tower: str | Path | None = None,
    device: str | None = None,
    dtype: str = "float32",
    batch_size: int = 64,
    workers: int = 2,
    allow_download: bool = False,
) -> Embedder:
    """Load a trained model that embeds images.

    Args:
        source: a run's folder, a checkpoint, a file of weights, a file that ``promptreid export`` wrote (``.onnx``,
            ``.xml``, ``.torchscript``, ``.pt2``), a folder that
            :meth:`~promptreid.retrieval.trained.TrainedEmbedder.save_pretrained` wrote, or the name of such a
            repository of the Hugging Face hub, ``owner/name``.
        config: the training's configuration, where the file does not hold it.
        tower: the pretrained weights of a frozen tower (``backbone.weights``), where they are not where they were in
            training; they are in no file of tuned weights.
        device: ``"cuda"``, ``"cpu"``, ...; a GPU where there is one when omitted.
        dtype: ``"float32"`` or ``"bfloat16"``.
        batch_size: objects in a call of the model.
        workers: threads that read images.
        allow_download: let a repository's files be downloaded; without it they have to be in the cache.

    Returns:
        of what PyTorch runs a :class:`~promptreid.retrieval.trained.TrainedEmbedder`, whose weights can be saved.

    Raises:
        FileNotFoundError: no such folder or file, or a frozen tower's weights are not there.
        ValueError: no trained model, or one that cannot be built as it was trained.
    """
    place = fetch(source, allow_download)
    if kind_of(place) is not None and place.is_file():
        return Embedder(*opened(place, device, dtype), batch_size, workers)
    model, description, data = load_parts(place, config, tower)
    backend = TorchBackend(model, device, dtype)
    return TrainedEmbedder(description, backend, data, results_beside(place), batch_size=batch_size, workers=workers)


def load_model(
    source: Path, config: str | Path | None = None, tower: str | Path | None = None
) -> tuple[nn.Module, ModelDescription]:
    """Load a trained model in evaluation mode and the description of its vectors; as :func:`load`."""
    return load_parts(source, config, tower)[:2]


@random_states_kept()
def load_parts(
    source: Path, config: str | Path | None = None, tower: str | Path | None = None
) -> tuple[nn.Module, ModelDescription, dict[str, Any]]:
    """Load a trained model in evaluation mode, the description of its vectors and its data record; as :func:`load`."""
    path = weights_of(source)
    state = _read(path)
    cfg = _configuration(state, source, config)
    if tower is not None:
        cfg.defrost()
        cfg.backbone.weights = str(tower)
        cfg.freeze()
    data = _data_behind(state, cfg, path)
    facts = SimpleNamespace(trained=data, num_train_pids=data["identities"])
    model = build_model(cfg, facts, use_gpu=False, weights_follow=True)
    optional = getattr(model, "training_only", ("classifier.",))
    load_matching(model, strip_module(state["state_dict"]), path, True, optional)
    return model.eval(), describe(model, cfg, data), data


def configuration_of(source: Path, config: str | Path | None = None) -> Any:
    """Training configuration of a model source; see :func:`load`."""
    return _configuration(_read(weights_of(source)), source, config)


def weights_of(source: Path) -> Path:
    """The file with the weights that a source is tested with: of a run's folder, the selected ones or the last.

    Raises:
        FileNotFoundError: no such source, or a folder without weights.
    """
    if source.is_file():
        return source
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such run, checkpoint or file of weights")
    bundle = bundle_of(source)
    if bundle is not None:
        return bundle
    folder = RunFolder(source)
    if folder.best_weights.is_file():
        return folder.best_weights
    if folder.weights.is_file():
        return folder.weights
    found = checkpoint.checkpoints(folder.models)
    if not found:
        parts = ", ".join(str(part.path.relative_to(source)) for part in folder.parts()[:3])
        remedy = f"name one of its trainings, such as {parts}" if parts else "train there first"
        raise FileNotFoundError(f"{source}: no weights in this folder; {remedy}")
    return found[0]


def describe(model: nn.Module, cfg: Any, data: Mapping[str, Any]) -> ModelDescription:
    """Describe the vectors of a model.

    Args:
        model: with its weights.
        cfg: what it was trained with.
        data: the checkpoint's record of its training data.
    """
    model.eval()
    size, slots = (cfg.data.height, cfg.data.width), int(data["images_per_sample"])
    slices_of = getattr(model, "modality_slices", None)
    slices = None if slices_of is None else slices_of(slots)
    shared = slices is None and slots == 1
    settings = {
        "modalities": tuple(data["modalities"]),
        "images_per_sample": slots,
        "height": size[0],
        "width": size[1],
        "mean": tuple(map(float, cfg.data.norm_mean)),
        "std": tuple(map(float, cfg.data.norm_std)),
        "metric": cfg.test.dist_metric,
        "normalize": bool(cfg.test.normalize_feature),
        "flip": bool(cfg.test.flip),
        "range_16bit": cfg.data.range_16bit,
        "limits_16bit": tuple(map(int, cfg.data.limits_16bit)),
    }
    with torch.inference_mode():
        probe = model(_drawn_sample(slots, size))[0]
    settings["normalize"] = settings["normalize"] or abs(float(probe.norm()) - 1) < _UNIT
    parts = None if slices is None or shared else tuple((part.start, part.stop) for part in slices)
    return ModelDescription(
        name=cfg.model.name,
        model_id=_digest(model, settings),
        width_of_vector=len(probe),
        parts=parts,
        cameras=camera_rows_of(model),
        camera_rows=tuple(sorted((str(name), int(row)) for name, row in data["camera_rows"].items())),
        protocol=", ".join(cfg.test.protocols),
        config=without_paths(dump_config(cfg)),
        **settings,
    )


def _drawn_sample(slots: int, size: tuple[int, int]) -> ModalBatch:
    """One sample of random images, whose camera is not known."""
    return ModalBatch.of(torch.rand(1, slots, 3, *size), torch.arange(slots)[None], torch.tensor([UNKNOWN]))


def _read(path: Path) -> dict[str, Any]:
    """The weights, with what the file says of their training."""
    if checkpoint.PATTERN.fullmatch(path.name):
        state = checkpoint.load(path)
        return {**state, "state_dict": state.get("ema", state["state_dict"])}
    about = checkpoint.about_weights(path)
    return {"state_dict": read_state_dict(path), **state_of_header(about)}


def _configuration(state: Mapping[str, Any], source: Path, config: str | Path | None) -> Any:
    """The configuration of the training: the given one, the run's, or that in the file."""
    if config is not None:
        return load_config(Path(config))
    if source.is_dir() and bundle_of(source) is None and RunFolder(source).config.is_file():
        return load_config(RunFolder(source).config)
    text = str(state.get("config", ""))
    if not text:
        raise ValueError(
            f"{source}: the file does not hold the training's configuration; give it with config=, such as the "
            "config.yaml of the run"
        )
    try:
        leaves = leaves_of(without_paths(text))
    except ValueError as error:
        raise ValueError(f"{source}: its configuration cannot be read: {error}") from None
    # Plugins that a file of weights names are not imported: they would run as programs.
    leaves.pop("plugins", None)
    try:
        return load_config(None, overrides=leaves)
    except ValueError as error:
        raise ValueError(f"{source}: its configuration: {error}; give that of the training with config=") from None


def _data_behind(state: Mapping[str, Any], cfg: Any, path: Path) -> dict[str, Any]:
    """The record of the training data; of files from before there was one, what their data set's class says."""
    data = state.get("data")
    if isinstance(data, dict) and is_record(data):
        return data
    try:
        dataset: Any = host.dataset_factory(cfg.data.sources[0])
    except (KeyError, IndexError, ValueError):
        raise ValueError(f"{path} does not say what it was trained on; train it again, or name data.sources") from None
    return {
        "identities": _classes(state["state_dict"]),
        "cameras": max(1, int(getattr(dataset, "num_cameras", 0))),
        "camera_rows": {},
        "modalities": list(getattr(dataset, "modalities", ("visible",))),
        "images_per_sample": int(getattr(dataset, "images_per_sample", 1)),
    }


def _classes(state: Mapping[str, Tensor]) -> int:
    """The rows of the first classifier."""
    heads = (value for name, value in state.items() if "classifier" in name and name.endswith("weight"))
    return next((int(value.shape[0]) for value in heads if value.ndim == 2), 1)


def _digest(model: nn.Module, settings: Mapping[str, Any]) -> str:
    """The sha256 of all that a vector depends on: weights, the digests of frozen ones, and how images come in."""
    unused = tuple(getattr(model, "training_only", ("classifier.",)))
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in sorted(model.state_dict().items()):
        if name.startswith(unused) or not isinstance(value, Tensor):
            continue
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
