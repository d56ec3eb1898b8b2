"""Description of a trained model's vectors: how to compute them, and which vectors can be compared."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from promptreid.json_texts import parse_json

METRICS = ("euclidean", "cosine")


@dataclass(frozen=True)
class ModelDescription:
    """Description of a trained model as a source of vectors; exported files, indices and vector files hold it as JSON.

    Attributes:
        name: of the model, such as ``mip_vit_base_patch16``.
        model_id: sha256 of all that a vector depends on; vectors of equal ``model_id`` may be compared.
        modalities: names of the bands that the model knows; a band's id is its index.
        images_per_sample: M, the slots of an object. With 1, an object is one image of any band, and all bands share
            one space.
        height, width: of an image, in pixels, after resizing.
        mean, std: of the normalisation, per channel, for values in [0, 1].
        width_of_vector: D.
        parts: the first and last column (exclusive) of each slot's own part of a vector; None where the bands
            exchange, so that a part also tells of the others.
        metric: how vectors are compared, ``euclidean`` (squared) or ``cosine``.
        normalize: vectors are brought to unit length.
        flip: a vector is the mean of those of an object and of its mirror image.
        cameras: rows of the model's camera table; 0 where it has none.
        camera_rows: by data set, the row of its first camera.
        range_16bit, limits_16bit: which levels of 16-bit images become 0 to 255.
        protocol: the protocol that the run was tested under; empty when unknown.
        compression: sha256 of the compressor whose vectors these are, see
            :class:`~promptreid.retrieval.compression.compressor.Compressor`; empty where they are the model's own.
        config: the training's configuration as YAML, without paths of its machine.
    """

    name: str
    model_id: str
    modalities: tuple[str, ...]
    images_per_sample: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    width_of_vector: int
    parts: tuple[tuple[int, int], ...] | None
    metric: str = "cosine"
    normalize: bool = True
    flip: bool = False
    cameras: int = 0
    camera_rows: tuple[tuple[str, int], ...] = ()
    range_16bit: str = "full"
    limits_16bit: tuple[int, ...] = ()
    protocol: str = ""
    config: str = ""
    compression: str = ""

    @property
    def space(self) -> str:
        """``shared``: one space for all bands. ``parts``: a part for each band. ``whole``: one vector per subset."""
        if self.images_per_sample == 1:
            return "shared"
        return "whole" if self.parts is None else "parts"

    @property
    def by_cosine(self) -> bool:
        """Scores are cosines; distances of vectors of unit length rank alike."""
        return self.metric == "cosine" or self.normalize

    def to_json(self) -> str:
        """One line; :meth:`from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelDescription:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: not a description of a model.
        """
        try:
            content = parse_json(text)
            names = {field.name for field in fields(cls)}
            found = cls(**{name: _frozen(value) for name, value in content.items() if name in names})
            found._check()
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"not a description of a model of promptreid ({error})") from None
        return found

    def _check(self) -> None:
        texts = (self.name, self.range_16bit, self.protocol, self.config, self.compression, *self.modalities)
        if not self.modalities or not all(isinstance(text, str) for text in texts):
            raise ValueError("modalities: expected names, and texts for what else is one")
        sizes = (self.images_per_sample, self.height, self.width, self.width_of_vector)
        if not all(_is_number(size) and 0 < size <= 1 << 20 for size in sizes):
            raise ValueError(f"sizes {sizes}: expected whole numbers above 0")
        if len(self.mean) != 3 or len(self.std) != 3 or self.metric not in METRICS:
            raise ValueError("mean, std or metric")
        if not all(isinstance(level, float | int) and math.isfinite(level) for level in (*self.mean, *self.std)):
            raise ValueError(f"mean {self.mean} and std {self.std}: expected numbers")
        if not isinstance(self.model_id, str) or len(self.model_id) != 64:
            raise ValueError("model_id: expected 64 hexadecimal digits")
        if not all(isinstance(name, str) and _is_number(row) for name, row in self.camera_rows):
            raise ValueError("camera_rows: expected a row for each name")
        if not (_is_number(self.cameras) and all(map(_is_number, self.limits_16bit))):
            raise ValueError("cameras or limits_16bit: expected whole numbers")
        if self.parts is not None:
            self._check_parts(self.parts)

    def _check_parts(self, parts: tuple[tuple[int, int], ...]) -> None:
        if self.images_per_sample != len(parts):
            raise ValueError("parts: expected one for each slot")
        for first, last in parts:
            if not (_is_number(first) and _is_number(last) and 0 <= first < last <= self.width_of_vector):
                raise ValueError(f"parts: {first} to {last} are no columns of {self.width_of_vector}")


def _is_number(value: object) -> bool:
    """Whether a value is a whole number; True is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_same_model(ours: ModelDescription, theirs: ModelDescription, what: str) -> None:
    """Refuse to compare vectors of two models.

    Raises:
        ValueError: ``what`` is of another model, of the same one with other weights or another input, or compressed
            otherwise.
    """
    if ours.model_id != theirs.model_id:
        if ours.compression != theirs.compression:
            raise ValueError(
                f"{what}: its vectors are {_compression(theirs)}, these {_compression(ours)}; vectors can be compared "
                "that are compressed by one compressor, or not at all: promptreid compress apply"
            )
        raise ValueError(
            f"{what}: its vectors are of {theirs.name} ({theirs.model_id[:12]}), these of {ours.name} "
            f"({ours.model_id[:12]}); vectors of different weights, image sizes or normalisations cannot be compared: "
            "embed both with one model"
        )


def _compression(model: ModelDescription) -> str:
    return f"compressed by {model.compression[:12]}" if model.compression else f"{model.name}'s own"


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
