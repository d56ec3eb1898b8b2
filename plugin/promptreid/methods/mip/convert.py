"""Checkpoints of others, turned into weights and a configuration that ``tools/train_net.py`` can test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from safetensors.torch import save
from torch import Tensor

from promptreid.files import atomic_write
from promptreid.methods.mip.released_model import IMAGE_SIZE, STRIDE, ReleaseSize, mip_from_release, release_size
from promptreid.models.backbones.position_embedding import Grid
from promptreid.models.weights import LoadReport, read_state_dict

VIT_BASE = {"depth": 12, "embed_dim": 768, "num_heads": 12, "patch_size": 16}


class ReleasedData(NamedTuple):
    """A data set that released models were trained on.

    Attributes:
        cameras: Rows of the camera embedding.
        camera_order: For each camera id here its id in the release; None where they are the same.
    """

    cameras: int
    camera_order: tuple[int, ...] | None


DATA = {"sysu_mm01": ReleasedData(6, None), "regdb": ReleasedData(2, (1, 0))}


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        weights: The ``.safetensors`` file.
        config: The ``.yaml`` file.
        size: The model's sizes, read off the checkpoint.
        dataset: The data set in the configuration.
        report: What became of the checkpoint's tensors.
    """

    weights: Path
    config: Path
    size: ReleaseSize
    dataset: str
    report: LoadReport


def convert_mip_release(
    source: str | Path,
    target: str | Path,
    *,
    queries: str = "zero",
    iael: bool = False,
    num_heads: int | None = None,
    stride: int = STRIDE,
    image_size: Grid = IMAGE_SIZE,
    dataset: str | None = None,
) -> Conversion:
    """Turn a checkpoint of the authors' released MIP code into ``target.safetensors`` and ``target.yaml``.

    Nothing is written unless everything fits, and then both files appear complete.

    Args:
        source: ``.pth`` file, or any that :func:`~promptreid.models.weights.read_state_dict` takes.
        target: Path of the new files; the suffix ``.safetensors`` may be there.
        queries, iael, num_heads, stride, image_size: See
            :func:`~promptreid.methods.mip.released_model.mip_from_release`.
        dataset: ``sysu_mm01`` or ``regdb``; by default, the one with the checkpoint's number of cameras.

    Raises:
        FileNotFoundError: No such checkpoint.
        FileExistsError: One of the new files is there already.
        ValueError: Not a released checkpoint, one whose tensors do not fit, or one of another data set.
    """
    weights, config = _free_paths(Path(target))
    state = read_state_dict(source)
    size = release_size(state)
    dataset = _dataset_of(size, dataset)
    heads = size.heads(num_heads)
    model, report = mip_from_release(
        state,
        queries=queries,
        iael=iael,
        num_heads=heads,
        stride=stride,
        image_size=image_size,
        camera_order=DATA[dataset].camera_order,
    )
    pooling = model.options.iael_pooling
    switches = {"query": queries, "iael": iael, "iael_pooling": pooling, "prompt_length": size.prompt_length}
    vit = {"depth": size.depth, "embed_dim": size.dim, "num_heads": heads, "patch_size": size.patch}
    backbone = {"stride": stride} if vit == VIT_BASE else {"stride": stride, "vit": vit}
    mip = {"preset": "mip_release", **switches, "sie_weight": model.options.sie_weight, "jpm": True}
    tree = _settings(backbone, mip, dataset, image_size, f"log/{weights.stem}")
    _write_both(weights, save(_own_memory(model.state_dict())), config, _yaml(tree, Path(source)))
    return Conversion(weights, config, size, dataset, report)


def _free_paths(target: Path) -> tuple[Path, Path]:
    stem = target.with_suffix("") if target.suffix == ".safetensors" else target
    paths = stem.with_name(f"{stem.name}.safetensors"), stem.with_name(f"{stem.name}.yaml")
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} is there already; choose another name, or remove it first")
    return paths


def _dataset_of(size: ReleaseSize, wanted: str | None) -> str:
    fitting = [name for name, data in DATA.items() if data.cameras == size.cameras]
    name = wanted or next(iter(fitting), None)
    if name not in fitting:
        known = ", ".join(f"{name}: {data.cameras}" for name, data in DATA.items())
        raise ValueError(
            f"base.sie_embed has {size.cameras} cameras, which is not {wanted or 'a known data set'} ({known})"
        )
    return name


def _settings(
    backbone: dict[str, Any], mip: dict[str, Any], dataset: str, image_size: Grid, save_dir: str
) -> dict[str, Any]:
    return {
        "model": {"name": "mip_vit_base_patch16", "pretrained": False},
        "backbone": backbone,
        "mip": mip,
        "data": {
            "sources": [dataset],
            "targets": [dataset],
            "height": image_size[0],
            "width": image_size[1],
            "norm_mean": [0.5, 0.5, 0.5],
            "norm_std": [0.5, 0.5, 0.5],
            "save_dir": save_dir,
        },
        "test": {"normalize_feature": True},
    }


def _yaml(tree: Mapping[str, Any], source: Path) -> bytes:
    head = f"# Made from {source.name}, a checkpoint of MIP's released code, to test it (--eval-only).\n"
    return (head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)).encode()


def _own_memory(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Safetensors takes no tensors that are views, or that share memory."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}


def _write_both(weights: Path, weight_bytes: bytes, config: Path, config_bytes: bytes) -> None:
    with atomic_write(weights) as weight_file, atomic_write(config) as config_file:
        weight_file.write(weight_bytes)
        config_file.write(config_bytes)
        weight_file.flush()  # a full disk shows now, before either file gets its name


def summary(report: LoadReport) -> str:
    """A report in a few lines: the tensors left out are counted by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in report.unused.items():
        by_reason.setdefault(reason, []).append(name)
    lines = [f"{len(report.used)} tensors used, {len(report.unused)} unused, {len(report.missing)} missing"]
    for reason, names in by_reason.items():
        others = f" to {names[-1]}" if len(names) > 1 else ""
        lines.append(f"  unused, {len(names)}: {names[0]}{others}: {reason}")
    return "\n".join(lines)
