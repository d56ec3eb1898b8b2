"""Tells loggers what a training does: scalars while it goes on, pictures after epochs and tests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from promptreid.engine.checkpoints.position import Position
from promptreid.engine.distributed.process_group import is_writer
from promptreid.engine.epoch_meter import EpochMeter
from promptreid.engine.loggers.base import RunLogger, logger_named
from promptreid.engine.target_features import TargetFeatures
from promptreid.engine.views.bands import bands_of, describe_bands, draw_bands
from promptreid.engine.views.canvas import pixels_of
from promptreid.engine.views.cosines import cosine_map, draw_cosines
from promptreid.engine.views.curves import cmc_points
from promptreid.engine.views.histograms import prompt_values
from promptreid.engine.views.hparams import final_metrics, parameters_of
from promptreid.engine.views.layout import CHARTS
from promptreid.engine.views.memory import memory
from promptreid.engine.views.projector import objects_of
from promptreid.engine.watch_options import WatchOptions
from promptreid.evaluation.ranking.rank_lists import RankLists
from promptreid.evaluation.results import Results
from promptreid.methods.base import method_of

logger = logging.getLogger(__name__)

DrawLists = Callable[[RankLists, Results, Mapping[str, Any], tuple[int, int]], Iterable[tuple[str, Any]]]
"""Pictures of ranked lists with their names; see :func:`promptreid.visual.rank_lists.draw_rank_lists`."""
READABLE = {"loss_x": "cross_entropy", "loss_t": "triplet"}
"""Names of torchreid's own parts of the loss, as a reader knows them."""


class Tested(NamedTuple):
    """A finished test of one data set.

    Attributes:
        name: of the data set.
        features: of its queries and gallery.
        results: of each protocol.
        datasets: those of ``query`` and ``gallery``.
        size: height and width of the model's images.
        settings: with which the protocols were evaluated.
    """

    name: str
    features: TargetFeatures
    results: list[Results]
    datasets: Mapping[str, Any]
    size: tuple[int, int]
    settings: Mapping[str, Any]


class RunWatch:
    """What an engine tells; nothing at all but :meth:`during` a run, and in the process that writes.

    It leaves the training as it is: it draws no random numbers, runs no model, and waits for a GPU after epochs and
    tests alone. A picture that cannot be made, and a logger that fails, are told in a warning, and training goes on.

    Args:
        options: what is told, and to whom.
        draw_lists: draws ranked lists; none are shown without it.

    Raises:
        ValueError: nobody has registered such a logger.
        ModuleNotFoundError: a logger's package is missing.
    """

    def __init__(self, options: WatchOptions | None = None, draw_lists: DrawLists | None = None) -> None:
        self.options, self.draw_lists = options or WatchOptions(), draw_lists
        self._kinds = [logger_named(name) for name in self.options.loggers]
        for kind in self._kinds:
            kind.check()
        self._loggers: list[RunLogger] = []
        self._batches: list[tuple[int, Any]] = []

    @contextmanager
    def during(self, folder: Path, position: Position) -> Iterator[None]:
        """Within the block there is something to tell, in the process that writes.

        Args:
            folder: of the run.
            position: where it goes on.
        """
        self._loggers = [kind(folder, position) for kind in self._kinds] if is_writer() else []
        try:
            for each in self._loggers if self.options.pictures else ():
                each.layout(CHARTS)
            yield
        finally:
            self._surely(lambda each: each.close())
            self._loggers = []

    def scalars(self, prefix: str, values: Mapping[str, float], step: int) -> None:
        """Numbers under ``<prefix>/<name>``."""
        tagged = {f"{prefix}/{READABLE.get(name, name)}": value for name, value in values.items()}
        if tagged:
            self._surely(lambda each: each.scalars(tagged, step))

    def step(self, meter: EpochMeter, lr: float, step: int, optimizer: Any, cuda: bool) -> None:
        """After a batch: the means so far; where ``optimizer`` is given, also rates, speed and memory."""
        if not self._loggers:
            return
        self.scalars("Train", {**meter.averages(), "data": meter.data_seconds(), "lr": lr}, step)
        if optimizer is not None:
            self.scalars("LR", rates_of(optimizer), step)
            self.scalars("Speed", {"images_per_second": meter.speed()}, step)
            self.scalars("Memory", memory(cuda), step)

    def keep_batch(self, epoch: int, number: int, images: Any) -> None:
        """Remember one of the first batches of a training, until its epoch ends.

        Args:
            epoch: from 0.
            number: of the batch within it, from 1.
            images: as the loader gives them, on the CPU.
        """
        wanted = self.options.batches if self._loggers and self.options.pictures and epoch == 0 else 0
        if len(self._batches) < wanted:
            self._batches.append((number, images))

    def epoch(self, epoch: int, model: nn.Module, dataset: Any) -> None:
        """After an epoch: the first batches, histograms, maps of cosines.

        Args:
            epoch: from 0.
            model: its gradients still there.
            dataset: that is trained on.
        """
        if not self._loggers or not self.options.pictures:
            return
        bare = getattr(model, "module", model)
        with _told("the first batches"):
            self._show_batches(epoch, getattr(dataset, "modalities", ("visible",)))
        self._batches = []
        with _told("histograms"):
            for tag, values in prompt_values(bare) if self.options.histograms else ():
                self._each(partial(_tell_histogram, tag=tag, values=values, step=epoch))
        with _told("the map of cosines"):
            found = cosine_map(method_of(bare).prompts(bare)) if self.options.cosines else None
            if found is not None:
                self._image("Cosines/prompts", draw_cosines(found, f"cosines of prompts, epoch {epoch + 1}"), epoch)

    def _show_batches(self, epoch: int, modalities: tuple[str, ...]) -> None:
        for place, (number, images) in enumerate(self._batches, start=1):
            bands = bands_of(images, modalities, self.options.mean, self.options.std, self.options.images)
            title = f"epoch {epoch + 1}, batch {number}"
            self._image(f"Batches/{place}", draw_bands(bands, title), epoch)
            self._each(partial(_tell_text, tag=f"Batches/{place}", text=describe_bands(bands, title), step=epoch))

    def tested(self, test: Tested, epoch: int, prefix: str = "") -> None:
        """After a test: curves, ranked lists, the projector.

        Args:
            test: the test.
            epoch: from 0.
            prefix: of its tags.
        """
        if not self._loggers or not self.options.pictures:
            return
        for result in test.results:
            for rank, points in cmc_points(result, f"epoch_{epoch + 1:03d}"):
                self.scalars(f"{prefix}CMC/{test.name}/{tag_of(result)}", points, rank)
        with _told("the curve of precision and recall"):
            curve = test.features.precision_recall(**test.settings)
            tag = f"{prefix}PR/{test.name}/{tag_of(test.results[0])}"
            self._each(lambda each: each.precision_recall(tag, curve, epoch))
        with _told("ranked lists"):
            for name, picture in self._lists(test):
                self._image(f"{prefix}Ranked/{test.name}/{name}", pixels_of(picture), epoch)
        with _told("the projector"):
            if self.options.objects:
                sides = test.features.sides()
                objects = objects_of(sides, test.datasets, self.options.objects, self.options.thumbnail)
                self._each(lambda each: each.embedding(test.name, objects))

    def _lists(self, test: Tested) -> Iterable[tuple[str, Any]]:
        """Pictures of the same queries at each test, of those with a match where enough have one."""
        if self.draw_lists is None or not self.options.queries:
            return ()
        ranks = test.results[0].ranks[0]
        rows = np.flatnonzero(ranks.valid)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, self.options.queries).astype(int))]
        lists = test.features.rank_lists(self.options.ranks, queries=rows, **test.settings)
        return self.draw_lists(lists, test.results[0].of_queries(rows), test.datasets, test.size)

    def finished(self, config: str, results: Mapping[str, list[Results]]) -> None:
        """At the end of a run: its parameters and last results.

        Args:
            config: as YAML.
            results: of each data set, the headline protocol first.
        """
        if self.options.pictures and self._loggers:
            with _told("the run's parameters"):
                parameters, metrics = parameters_of(config), final_metrics(results)
                self._each(lambda each: each.hparams(parameters, metrics))

    def flush(self) -> None:
        """Have everything on the disk."""
        self._surely(lambda each: each.flush())

    def _image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        self._each(lambda each: each.image(tag, pixels, step))

    def _each(self, tell: Callable[[RunLogger], None]) -> None:
        for each in self._loggers:
            tell(each)

    def _surely(self, tell: Callable[[RunLogger], None]) -> None:
        """The same, without those that fail, such as one whose server is gone."""
        for each in list(self._loggers):
            try:
                tell(each)
            except Exception as error:
                logger.warning("%s is told nothing more: %s: %s", type(each).__name__, type(error).__name__, error)
                self._loggers.remove(each)


def _tell_histogram(each: RunLogger, tag: str, values: np.ndarray, step: int) -> None:
    each.histogram(tag, values, step)


def _tell_text(each: RunLogger, tag: str, text: str, step: int) -> None:
    each.text(tag, text, step)


def rates_of(optimizer: Any) -> dict[str, float]:
    """The learning rate of each parameter group by its name; by its number, from 0, where it has none."""
    return {
        str(group.get("name", number)).replace(" ", "_"): float(group["lr"])
        for number, group in enumerate(optimizer.param_groups)
    }


def tag_of(result: Results) -> str:
    """The protocol in tags."""
    return result.protocol.replace(" ", "_")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """A training of days does not end because of a picture."""
    try:
        yield
    except Exception as error:
        logger.warning("%s cannot be shown: %s: %s", what, type(error).__name__, error)
