"""The images of multi-image samples, one after the other, and back again.

A sample has M slots, each with an image of some modality or with none. A model that treats all modalities in one pass
runs on the images that are there; nothing is computed for those that are not.

A model that is compiled or exported has fixed shapes: there every slot keeps a row, and what is missing is masked
wherever rows meet, so that the outcome is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from promptreid.models.inputs import UNKNOWN_CAMERA, assert_in_program, being_traced, unpack
from promptreid.models.plain_images import modality_of_plain_images

NO_IMAGE = -100
"""Label of a row that stands for a missing image; ``F.cross_entropy`` passes over it."""


class Slots(NamedTuple):
    """The n images that are present among B samples with M slots, in the order of samples, then of slots.

    | field      | shape        |                                                                            |
    |------------|--------------|----------------------------------------------------------------------------|
    | `images`   | (n, 3, H, W) | zeros where a row has no image                                             |
    | `modality` | (n,)         | index in the model's table of modality names                               |
    | `camera`   | (n,)         | of the sample; ``UNKNOWN_CAMERA`` where it is not known                    |
    | `present`  | (B, M) bool  | which slots have an image                                                  |
    | `places`   | (n,) or None | place of each row among the B x M slots; None when every slot has one      |
    | `real`     | (n,) or None | bool, which rows have an image, of a traced model; None when all rows have |
    """

    images: Tensor
    modality: Tensor
    camera: Tensor
    present: Tensor
    places: Tensor | None
    real: Tensor | None = None

    @property
    def complete(self) -> bool:
        """Whether no image is missing; a traced model cannot know, and it is False there."""
        return self.places is None and self.real is None

    @property
    def samples(self) -> Tensor:
        """The sample that each row belongs to, (n,)."""
        places = torch.arange(self.present.numel(), device=self.present.device) if self.places is None else self.places
        return places // self.present.shape[1]

    @property
    def labels(self) -> Tensor:
        """The modality of each row, (n,); ``NO_IMAGE`` where it has no image."""
        return self.modality if self.real is None else self.modality.masked_fill(~self.real, NO_IMAGE)

    def join(self, features: Tensor) -> Tensor:
        """Features (n, D) of the images side by side, (B, M D); zeros where there is no image."""
        batch, slots = self.present.shape
        if self.real is not None:
            features = features.masked_fill(~self.real[:, None], 0.0)
        if self.places is None:
            return features.reshape(batch, slots * features.shape[1])
        empty = features.new_zeros(batch * slots, features.shape[1])
        return empty.index_copy(0, self.places, features).reshape(batch, slots * features.shape[1])

    def part(self, joined: Tensor) -> Tensor:
        """The images' shares (n, D) of what is side by side, (B, M D); the inverse of :meth:`join`."""
        images = joined.reshape(self.present.numel(), -1)
        return images if self.places is None else images[self.places]


def slots_of(inputs: Tensor | Mapping[str, Tensor], modalities: Sequence[str] | int, images_per_sample: int) -> Slots:
    """Bring any accepted input into one form; see :func:`~promptreid.models.inputs.unpack`.

    Args:
        inputs: A mapping, or images alone, of M = ``images_per_sample``; or images alone, (B, 3, H, W), one of each
            sample, of the first modality or of that of
            :func:`~promptreid.models.plain_images.plain_images_are`; others are missing.
        modalities: Names of the modalities that the model knows, or how many they are.
        images_per_sample: M, the slots that the model was built for.

    Raises:
        TypeError: As :func:`~promptreid.models.inputs.unpack`.
        ValueError: As there, and when samples have another number of slots, or none of its images.
    """
    names = [str(number) for number in range(modalities)] if isinstance(modalities, int) else list(modalities)
    images, modality, camera, present = unpack(inputs, len(names))
    if isinstance(inputs, Tensor) and inputs.ndim == 4:
        kind = modality_of_plain_images(names)
        if images_per_sample > 1:
            return _single_slots(inputs, images_per_sample, kind)
        modality = modality + kind
    if images.shape[1] != images_per_sample:
        raise ValueError(
            f"this model takes {_images(images_per_sample)} per sample, got {images.shape[1]} (images "
            f"{tuple(images.shape)}); build it with images_per_sample={images.shape[1]}"
            + ("" if images_per_sample > 1 else ", or give every modality as a sample of its own")
        )
    camera = camera[:, None].expand(present.shape)
    rows = images.flatten(0, 1), modality.flatten(), camera.flatten()
    if not being_traced() and bool(present.all()):
        return Slots(*rows, present, None)
    check_samples(present)
    if images_per_sample == 1:  # nothing else can be missing
        return Slots(*rows, present, None)
    if being_traced():
        real = present.flatten()
        return Slots(rows[0].masked_fill(~real[:, None, None, None], 0.0), *rows[1:], present, None, real)
    index = present.flatten().nonzero().squeeze(1)
    images, modality, camera = (row[index] for row in rows)
    return Slots(images, modality, camera, present, index)


def _single_slots(images: Tensor, slots: int, kind: int) -> Slots:
    """Slots of samples that have the image of one slot alone, (B, 3, H, W): which rows there are is known."""
    number = torch.arange(images.shape[0], device=images.device)
    modality = torch.full_like(number, kind)
    present = (torch.arange(slots, device=images.device) == kind).expand(images.shape[0], slots)
    return Slots(images, modality, torch.full_like(number, UNKNOWN_CAMERA), present, number * slots + kind)


def size_of(images: Tensor) -> tuple[int, int]:
    """Height and width of images (n, 3, H, W)."""
    return images.shape[-2], images.shape[-1]


def maps_of(tokens: Tensor, grid: tuple[int, int], slots: Slots) -> Tensor:
    """Patch tokens (n, N, D) of the images as maps of their samples, (B, M D, rows, columns)."""
    channels = tokens.transpose(1, 2)
    return slots.join(channels.flatten(1)).unflatten(1, (slots.present.shape[1] * channels.shape[1], *grid))


def check_samples(present: Tensor) -> None:
    """Raise ``ValueError`` for samples, of (B, M) flags, that have no image; ``RuntimeError`` in a traced model."""
    if being_traced():
        assert_in_program(present.any(dim=1).all(), "a sample of the batch has no image")
        return
    empty = (~present.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"samples {empty} of the batch have no image")


def labels_of_images(labels: Tensor, present: Tensor, rows: int | None = None) -> Tensor:
    """Labels (B,) of samples as labels (n,) of their images, for :attr:`Slots.present` (B, M).

    Args:
        labels: Of the samples.
        present: Which slots have an image.
        rows: How many rows the model gave. A traced one has B M, a row for each slot, and :data:`NO_IMAGE` is the
            label of those without an image; None for the images alone.
    """
    if rows == present.numel():
        return labels[:, None].expand(present.shape).masked_fill(~present, NO_IMAGE).flatten()
    return torch.repeat_interleave(labels, present.sum(dim=1))


def _images(count: int) -> str:
    return "one image" if count == 1 else f"{count} images"
