"""What a test of a model consists of: the protocols, the features, and the right to test at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from promptreid.data.bad_images import reasons_in
from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.data.packing import files_of
from promptreid.engine.checkpoints.stop_signals import batches_of
from promptreid.engine.epoch_meter import progress
from promptreid.evaluation.missing.across import across_modalities
from promptreid.evaluation.protocols import FeatureSet, matching, registered_protocols


def protocols_of(dataset: Any, names: Sequence[str] = ()) -> list[Any]:
    """The protocols of a data set: its standard ones, or those that are named.

    Args:
        dataset: any; one of torchreid's own has none.
        names: full names, or the first words of several. Names that the data set doesn't know are looked up among the
            registered protocols; a data set without protocols passes over those that nobody knows. Where samples have
            several modalities, there are also those of
            :func:`~promptreid.evaluation.missing.across.across_modalities`.

    Raises:
        ValueError: it has none of that name, or nothing to test where none is named.
    """
    standard = {protocol.name: protocol for protocol in getattr(dataset, "protocols", ())}
    named = list(getattr(dataset, "named_protocols", ()))
    if standard and getattr(dataset, "images_per_sample", 1) > 1:
        named += across_modalities(next(iter(standard.values())), dataset.modalities)
    known = standard | {protocol.name: protocol for protocol in named}
    if not names:
        why = getattr(dataset, "no_standard", "")
        if why and not standard:
            raise ValueError(f"test.protocols is empty: {why}")
        return list(standard.values())
    missing = getattr(dataset, "missing_protocols", {})
    chosen: list[Any] = []
    for wanted in names:
        found = matching(known, wanted)
        reason = "" if found else _why_missing(missing, wanted)
        if not found and not reason:
            found = matching(registered_protocols(), wanted)
            reason = "" if found else f"not one of {sorted(known)}"
        if reason and (known or missing):
            raise ValueError(f"test.protocols {wanted!r}: {reason}")
        chosen += [protocol for protocol in found if protocol not in chosen]
    return chosen


def _why_missing(missing: Mapping[str, str], wanted: str) -> str:
    """The reason for a protocol that isn't there, named or meant by its first words; empty where none is known."""
    meant = (why for name, why in missing.items() if _begins(wanted, name) or _begins(name, wanted))
    return next(meant, "")


def _begins(name: str, words: str) -> bool:
    return name == words or name.startswith(f"{words} ")


def split_of(dataset: Any) -> str:
    """Which of several divisions into training and test identities a data set is; empty where there is one."""
    return str(getattr(dataset, "split", ""))


def check_split(trained: str, tested: Any, what: str | Path) -> None:
    """Refuse to test on identities that were trained on.

    A data set may decide by its method ``shares_identities_with(split) -> bool``: whether its test identities are
    among those that training on ``split`` has seen. By default they are unless the two splits are the same.

    Args:
        trained: the split that the weights were trained on; empty when unknown.
        tested: the data set to test on.
        what: was trained on it, for the message.

    Raises:
        ValueError: some of them were.
    """
    split = split_of(tested)
    shares = getattr(tested, "shares_identities_with", None)
    shared = shares(trained) if shares is not None else bool(split) and trained != split
    if trained and shared:
        raise ValueError(
            f"{what} was trained on {trained}, and {split or type(tested).__name__} tests identities of that training "
            "set: its numbers would be far too good; set data.split_id or data.targets to what belongs to the training"
        )


def features_of(
    loader: Any,
    extract: Callable[[Any], Tensor],
    what: str,
    *,
    normalize: bool = False,
    use_gpu: bool = False,
    kept: Collection[int] | None = None,
    between: Callable[[], None] = lambda: None,
) -> FeatureSet:
    """Features of a whole loader, (N, D) float32 on the CPU, with identities, evaluation cameras and scenes.

    Images that cannot be read are marked ``left_out``, where ``data.on_bad_image`` does not stop at them.

    Args:
        loader: of a test set, in the data set's order.
        extract: images to features, (B, D).
        what: for the progress bar.
        normalize: scale the features to unit length.
        use_gpu: where the images go.
        kept: modality ids; the other modalities are shown to the model as missing. All, when omitted.
        between: called after each batch.
    """
    # Filled batch by batch, so that memory holds the features once. Labels, too: kept apart, the small tensors of each
    # batch would lie in the memory that its large ones leave, which the next ones then do not fit into.
    features: Tensor | None = None
    labels, filled, reasons = np.empty((2, len(loader.dataset)), dtype=np.int64), 0, []
    for batch in progress(batches_of(loader), f"extracting {what}", len(loader)):
        images = batch["img"] if kept is None else batch["img"].only(kept)
        found = extract(images.cuda(non_blocking=True) if use_gpu else images).cpu()
        if features is None:
            features = found.new_empty(len(loader.dataset), *found.shape[1:])
        rows = slice(filled, filled + len(found))
        features[rows] = F.normalize(found, dim=1) if normalize else found
        labels[:, rows] = batch["pid"].numpy(), batch["camid"].numpy()
        filled += len(found)
        reasons += reasons_in(batch)
        between()
    if features is None or filled != len(features):
        raise RuntimeError(f"the loader of the {what} set gave {filled} of {len(loader.dataset)} images")
    return FeatureSet(
        features=features,
        pids=labels[0],
        camids=labels[1],
        scenes=scenes_of(loader.dataset),
        left_out=np.array(reasons, dtype=object) if any(reasons) else None,
    )


def same_left_out(query: FeatureSet, gallery: FeatureSet, datasets: Sequence[Any]) -> tuple[FeatureSet, FeatureSet]:
    """The two sides, with a sample that is in both lists and is left out of one left out of the other one, too.

    A disk that hiccups may have given it once.

    Args:
        query, gallery: features of the whole lists.
        datasets: of the two, with the records that they were made of.
    """
    keys = [[tuple(files_of([record])) for record in dataset.data] for dataset in datasets]
    reasons: dict[tuple[str, ...], str] = {}
    for side, names in zip((query, gallery), keys, strict=True):
        if side.left_out is not None:
            reasons |= {name: reason for name, reason in zip(names, side.left_out, strict=True) if reason}
    if not reasons:
        return query, gallery
    marked = [np.array([reasons.get(name, "") for name in names], dtype=object) for names in keys]
    return replace(query, left_out=marked[0]), replace(gallery, left_out=marked[1])


def mirrored(images: Any) -> Any:
    """The same samples with left and right exchanged.

    Args:
        images: (B, ..., H, W), or a ``ModalBatch``, all of whose images are mirrored.
    """
    if isinstance(images, ModalBatch):
        return ModalBatch({**images, "images": images["images"].flip(-1)})
    return images.flip(-1)


def part_of(loader: Any, rows: np.ndarray) -> Any:
    """A loader of some of the samples, the loader itself where it has no others."""
    if len(rows) == len(loader.dataset):
        return loader
    dataset = copy.copy(loader.dataset)
    dataset.data = [dataset.data[row] for row in rows]
    return DataLoader(
        dataset,
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        multiprocessing_context=loader.multiprocessing_context,
    )


def distinct_splits(datasets: Mapping[str, Any]) -> tuple[str, ...]:
    """``("query", "gallery")``, or ``("gallery",)`` where every query is a gallery image, too.

    Args:
        datasets: of the two, with records in ``data``.
    """
    keys = {split: {_files(record[0]) for record in dataset.data} for split, dataset in datasets.items()}
    return ("gallery",) if keys["query"] <= keys["gallery"] else ("query", "gallery")


def _files(path: Any) -> tuple[Any, ...]:
    return tuple(path.paths.values()) if isinstance(path, PathBundle) else (path,)


def scenes_of(dataset: Any) -> np.ndarray | None:
    """The scene of each image, if all have one."""
    paths = [record[0] for record in getattr(dataset, "data", ())]
    scenes = [path.labels.get("scene") for path in paths if isinstance(path, PathBundle)]
    if not scenes or len(scenes) < len(paths) or None in scenes:
        return None
    return np.array(scenes)
