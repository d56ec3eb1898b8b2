"""What TensorBoard reads: an event file in the run's folder, and the projector's files beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from promptreid.engine.checkpoints.position import Position
from promptreid.engine.loggers.base import RunLogger
from promptreid.engine.loggers.event_files import cut_events
from promptreid.engine.views.projector import Objects
from promptreid.evaluation.results import MAX_RANK
from promptreid.evaluation.statistics.precision_recall import PrecisionRecall
from promptreid.files import atomic_path, write_text

PROJECTOR = "projector"
"""The folder of the projector's files, one more below it for each data set."""
_CONFIG = "projector_config.pbtxt"
_BINS = 64
_COLOURS = 1024  # of a drawing with smooth text
_QUALITY = 92


class TensorBoardLogger(RunLogger):
    """``events.out.tfevents.*``, ``projector_config.pbtxt`` and ``projector/``; see :class:`RunLogger`."""

    def __init__(self, folder: Path, position: Position) -> None:
        super().__init__(folder, position)
        cut_events(folder, position)
        # An open viewer is told to forget the losses after the checkpoint, but not the ranks of a CMC curve.
        purged = position.batches if position.batches > MAX_RANK else None
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=purged)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """See the base class; one event for all of them."""
        listed = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._add(Summary(value=listed), step)

    def text(self, tag: str, text: str, step: int) -> None:
        """See the base class."""
        self.writer.add_text(tag, text, step)

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """See the base class; photographs as JPEG, a fifth of the bytes and of the time, and drawings as PNG."""
        picture, content = Image.fromarray(pixels), io.BytesIO()
        if picture.getcolors(_COLOURS) is None:
            picture.save(content, format="JPEG", quality=_QUALITY)
        else:
            picture.save(content, format="PNG")
        image = Summary.Image(
            height=picture.height, width=picture.width, colorspace=3, encoded_image_string=content.getvalue()
        )
        self._add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """See the base class."""
        self.writer.add_histogram(tag, values, step, bins=_BINS)

    def precision_recall(self, tag: str, curve: PrecisionRecall, step: int) -> None:
        """See the base class; TensorBoard's thresholds rise from "everything is accepted"."""
        tp, fp = curve.true_positives[::-1], curve.false_positives[::-1]
        negatives = (curve.num_negative - fp, curve.num_positive - tp)
        rates = (curve.precision[::-1], curve.recall[::-1])
        self.writer.add_pr_curve_raw(tag, tp, fp, *negatives, *rates, global_step=step, num_thresholds=len(tp))

    def embedding(self, name: str, objects: Objects) -> None:
        """See the base class."""
        home = self.folder / PROJECTOR / name
        rows = ("\t".join(map("%.6g".__mod__, row)) for row in objects.features.tolist())
        write_text(home / "tensors.tsv", "".join(f"{row}\n" for row in rows))
        lines = (objects.header, *objects.rows)
        write_text(home / "metadata.tsv", "".join("\t".join(line) + "\n" for line in lines))
        with atomic_path(home / "sprite.png") as path:
            objects.sprite.save(path, format="PNG")
        write_text(home / "config.pbtxt", _projector_entry(name, objects))
        entries = sorted((self.folder / PROJECTOR).glob("*/config.pbtxt"))
        write_text(self.folder / _CONFIG, "".join(entry.read_text(encoding="utf-8") for entry in entries))

    def layout(self, charts: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """See the base class."""
        lines = {
            group: {title: ["Multiline", list(tags)] for title, tags in own.items()} for group, own in charts.items()
        }
        self.writer.add_custom_scalars(lines)

    def hparams(self, parameters: Mapping[str, str | float | bool], metrics: Mapping[str, float]) -> None:
        """See the base class; into the run's own event file, so that the table has one row for a run."""
        tagged = {f"Final/{name}": value for name, value in metrics.items()}
        for part in hparams(dict(parameters), tagged):
            self._add(part, None)
        self.scalars(tagged, 0)

    def flush(self) -> None:
        """See the base class."""
        self.writer.flush()

    def close(self) -> None:
        """See the base class."""
        self.writer.close()

    def _add(self, summary: Summary, step: int | None) -> None:
        self.writer._get_file_writer().add_summary(summary, step)


def _projector_entry(name: str, objects: Objects) -> str:
    """The projector's configuration in protobuf's text form; paths are relative to its file."""
    home = f"{PROJECTOR}/{name}"
    size = objects.thumbnail
    return "\n".join([
        "embeddings {",
        f"  tensor_name: {json.dumps(name)}",
        f"  tensor_path: {json.dumps(f'{home}/tensors.tsv')}",
        f"  metadata_path: {json.dumps(f'{home}/metadata.tsv')}",
        f"  sprite {{ image_path: {json.dumps(f'{home}/sprite.png')}"
        f" single_image_dim: {size} single_image_dim: {size} }}",
        "}",
        "",
    ])  # fmt: skip
