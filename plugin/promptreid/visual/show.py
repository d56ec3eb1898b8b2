"""The pictures of a run: each function takes an open run and returns a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from promptreid.evaluation.missing.conditions import short_name
from promptreid.evaluation.statistics.band_gap import PairDistances, pair_distances
from promptreid.models.inspection import CLASS, IMAGE, PATCHES, Inspection, rollout
from promptreid.visual.attention import AttentionRow, attention_figure
from promptreid.visual.batch import batch_figure, denormalised
from promptreid.visual.choice import chosen_queries, disagreeing, rank_rows, samples_of_every_band
from promptreid.visual.distances import distances_figure
from promptreid.visual.embedding import Points, embedding_figure
from promptreid.visual.prompts import prompts_figure
from promptreid.visual.ranks import ranks_figure
from promptreid.visual.tiles import Tile
from promptreid.visual.trained_run import TrainedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHOICES = ("hardest", "random")
MOST = 8
"""Prompts of a family with a map of their own; of more, as many at even steps."""
_INSPECTED = 64  # images behind the means of prompts that depend on them


def show_ranks(
    run: TrainedRun,
    *,
    count: int | None = None,
    choose: str = "hardest",
    queries: Sequence[int] = (),
    against: TrainedRun | None = None,
    topk: int = 10,
    seed: int = 0,
    width: str = "page",
) -> Figure:
    """Ranked lists of some queries, in the order and under the rule of the run's first protocol (its first trial).

    Args:
        run: whose lists.
        count: queries; 5, or 2 where samples have several images.
        choose: ``"hardest"``, those of the lowest average precision, one of each identity, or ``"random"``.
        queries: numbers in the data set's list of queries, from 0, instead.
        against: another run on the same data: the queries on which the two differ most in average precision, a row of
            either run for each.
        topk: gallery images of each query.
        seed: of the random choice.
        width: ``"column"`` or ``"page"``.

    Raises:
        ValueError: a query that does not exist, another choice, or runs on other queries.
    """
    several = getattr(run.datasets["query"], "images_per_sample", 1) > 1
    count = count or (2 if several else 5)
    if against is None:
        pids = np.array([record[1] for record in run.records("query")])
        rows = chosen_queries(run.results, pids, choose, count, queries, seed)
        drawn = rank_rows(run, rows, topk)
    else:
        rows = list(queries) or disagreeing(run.results, against.results, count)
        pairs = zip(rank_rows(run, rows, topk, run.name), rank_rows(against, rows, topk, against.name), strict=True)
        drawn = [row for pair in pairs for row in pair]
    what = "given queries" if len(queries) else "the two runs differ most" if against else f"{choose} queries"
    trials = f", first of {len(run.results.trials)} galleries" if len(run.results.trials) > 1 else ""
    title = f"{run.results.protocol}{trials}: {what}"
    return ranks_figure(drawn, size=run.size, width=width, title=title, read=run.read)


def show_embedding(
    run: TrainedRun,
    *,
    method: str = "tsne",
    count: int | None = 16,
    without: Sequence[str] = (),
    seed: int = 0,
    limit: int | None = None,
    width: str = "page",
) -> Figure:
    """The test images in a plane, by identity, camera and band.

    Args:
        run: whose features.
        method: ``"tsne"``, ``"umap"`` or ``"pca"``.
        count: identities, drawn at random; None for the whole test set.
        without: families of prompts; a second row then shows the features without them, in one layout with the first.
        seed: of the choice and of the layout.
        limit: images drawn at most.
        width: ``"column"`` or ``"page"``.

    Raises:
        ValueError: a family that the model lacks, or too few images.
    """

    def some(points: Points) -> Points:
        return points if count is None else points.of_identities(count, seed)

    rows = [("as trained", some(run.points()))]
    if without:
        rows.append((f"without {', '.join(without)}", some(run.points(without))))
    points: Any = rows if without else rows[0][1]
    return embedding_figure(points, method=method, seed=seed, limit=limit, width=width, title=run.name)


def show_attention(
    run: TrainedRun,
    *,
    count: int = 2,
    layer: int | None = None,
    every_layer: bool = False,
    queries: Sequence[int] = (),
    seed: int = 0,
    width: str = "page",
) -> Figure:
    """Where the class token and the prompts look: rollout, and the attention of each in a block.

    Args:
        run: of a vision transformer.
        count: samples of each band.
        layer: the block, from 1; the last prompted one when omitted.
        every_layer: a row for each block instead, of one sample of each band.
        queries: numbers of queries, from 0, instead of the choice at random.
        seed: of the choice.
        width: ``"column"`` or ``"page"``.

    Raises:
        ValueError: a model without attention, or a block that it lacks.
    """
    model = run.inspectable
    chosen = samples_of_every_band(run, 1 if every_layer else count, seed, queries)
    images = run.samples_at(chosen)
    inspection: Inspection = model.inspect(images, rows="all")
    tiles = [Tile(pixels) for pixels in _pixels(run, images)]
    flow = rollout(inspection)
    blocks = [each.layer for each in inspection.layers]
    shown = blocks if every_layer else [layer or _last_prompted(inspection)]
    rows = []
    for image, tile in enumerate(tiles):
        band = short_name(run.modalities[int(inspection.modality[image])])
        for number in shown:
            maps: dict[str, Any] = {} if every_layer else {"rollout": flow[image].numpy()}
            maps |= _maps(inspection, number, image)
            rows.append(AttentionRow(tile, maps, f"{band} L{number}" if every_layer else band))
    note = f"{run.name}; mean over heads" + ("" if every_layer else f"; block {shown[0]} of {blocks[-1]}")
    return attention_figure(rows, width=width, title=f"{note}; below each map its largest value over the mean")


def show_distances(run: TrainedRun, *, seed: int = 0, width: str = "column") -> Figure:
    """Distances of test images within and between identities and bands; see :func:`distances_of`."""
    metric = run.cfg.test.dist_metric
    return distances_figure(distances_of(run, seed=seed), metric=metric, width=width, title=run.name)


def distances_of(run: TrainedRun, *, seed: int = 0) -> PairDistances:
    """The distances of the test images' features, of unit length where the test has them so, and the gap of bands."""
    points = run.points()
    features = points.features
    if run.normalize or run.model_normalizes:
        features = F.normalize(torch.from_numpy(features), dim=1).numpy()
    return pair_distances(features, points.pids, points.cameras, points.bands, run.cfg.test.dist_metric, seed=seed)


def show_batch(run: TrainedRun, *, count: int = 12, width: str = "page") -> Figure:
    """The first training batch of the run's seed as the model gets it, by band.

    Args:
        run: whose data and augmentation.
        count: images of a band at most.
        width: ``"column"`` or ``"page"``.
    """
    batch = run.first_batch()
    images, pids = batch["img"], batch["pid"].tolist()
    pixels = denormalised(images["images"].numpy(), run.cfg.data.norm_mean, run.cfg.data.norm_std)
    captions = [f"{pid}/c{camera}" for pid, camera in zip(pids, images["camera"].tolist(), strict=True)]
    return batch_figure(
        pixels,
        images["modality"].numpy(),
        images["present"].numpy(),
        modalities=run.modalities,
        captions=captions,
        columns=count,
        width=width,
        title=f"{run.name}: first training batch of {len(pids)} samples (class/camera)",
    )


def show_prompts(run: TrainedRun, *, seed: int = 0, width: str = "page") -> Figure:
    """Cosines and lengths of the prompts, and which of them are copies.

    Prompts that depend on the image are means over test images, at random, of each band.

    Raises:
        ValueError: a model without prompts.
    """
    return prompts_figure(inspected(run, seed=seed).prompts, width=width, title=run.name)


def inspected(run: TrainedRun, *, seed: int = 0, count: int = _INSPECTED) -> Inspection:
    """The inspection of some test images at random, as many of each band."""
    found: Inspection = run.inspectable.inspect(run.samples_at(samples_of_every_band(run, count, seed)))
    return found


KINDS: dict[str, Callable[..., Any]] = {
    "ranks": show_ranks,
    "embedding": show_embedding,
    "attention": show_attention,
    "distances": show_distances,
    "batch": show_batch,
    "prompts": show_prompts,
}
"""Every kind of picture by its name."""


def _last_prompted(inspection: Inspection) -> int:
    prompted = [each.layer for each in inspection.layers if set(each.families) - set(IMAGE)]
    return prompted[-1] if prompted else inspection.layers[-1].layer


def _maps(inspection: Inspection, layer: int, image: int) -> dict[str, Any]:
    """The class token's map in a block, and those of its prompts."""
    maps: dict[str, Any] = {"class": inspection.maps(CLASS, layer)[image, 0].numpy()}
    families = next(each.families for each in inspection.layers if each.layer == layer)
    for family in families:
        if family in (CLASS, PATCHES):
            continue
        every = inspection.maps(family, layer)[image]
        for number in np.unique(np.linspace(0, len(every) - 1, min(MOST, len(every))).round().astype(int)):
            maps[f"{family}\n{number + 1}"] = every[number].numpy()
    return maps


def _pixels(run: TrainedRun, images: Any) -> np.ndarray:
    """The present images of a batch, (n, H, W, 3) uint8."""
    shown = images["images"][images["present"]].cpu().numpy()
    return denormalised(shown, run.cfg.data.norm_mean, run.cfg.data.norm_std)
