"""The images of multi-image samples, one after the other, and back again.

A sample has M slots, each with an image of some modality or with none. A model that treats all modalities in one pass
runs on the images that are there; nothing is computed for those that are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from promptreid.models.inputs import being_traced, unpack


class Slots(NamedTuple):
    """The n images that are present among B samples with M slots, in the order of samples, then of slots.

    | field      | shape        |                                                             |
    |------------|--------------|-------------------------------------------------------------|
    | `images`   | (n, 3, H, W) |                                                             |
    | `modality` | (n,)         | index in the model's table of modality names                |
    | `camera`   | (n,)         | of the sample; ``UNKNOWN_CAMERA`` where it is not known      |
    | `present`  | (B, M) bool  | which slots have an image                                   |
    | `places`   | (n,) or None | place of each image among the B x M slots; None when all are |
    """

    images: Tensor
    modality: Tensor
    camera: Tensor
    present: Tensor
    places: Tensor | None

    def join(self, features: Tensor) -> Tensor:
        """Features (n, D) of the images side by side, (B, M D); zeros where there is no image."""
        batch, slots = self.present.shape
        if self.places is None:
            return features.reshape(batch, slots * features.shape[1])
        empty = features.new_zeros(batch * slots, features.shape[1])
        return empty.index_copy(0, self.places, features).reshape(batch, slots * features.shape[1])

    def part(self, joined: Tensor) -> Tensor:
        """The images' shares (n, D) of what is side by side, (B, M D); the inverse of :meth:`join`."""
        images = joined.reshape(self.present.numel(), -1)
        return images if self.places is None else images[self.places]


def slots_of(inputs: Tensor | Mapping[str, Tensor], modalities: int, images_per_sample: int) -> Slots:
    """Bring any accepted input into one form; see :func:`~promptreid.models.inputs.unpack`.

    Args:
        inputs: A mapping, or images alone, of M = ``images_per_sample``.
        modalities: How many modalities the model knows.
        images_per_sample: M, the slots that the model was built for.

    Raises:
        TypeError: As :func:`~promptreid.models.inputs.unpack`.
        ValueError: As there, and when samples have another number of slots, or none of its images.
    """
    images, modality, camera, present = unpack(inputs, modalities)
    if images.shape[1] != images_per_sample:
        raise ValueError(
            f"this model takes {_images(images_per_sample)} per sample, got {images.shape[1]} (images "
            f"{tuple(images.shape)}); build it with images_per_sample={images.shape[1]}"
            + ("" if images_per_sample > 1 else ", or give every modality as a sample of its own")
        )
    camera = camera[:, None].expand(present.shape)
    if being_traced() or bool(present.all()):
        return Slots(images.flatten(0, 1), modality.flatten(), camera.flatten(), present, None)
    empty = (~present.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"samples {empty} of the batch have no image")
    index = present.flatten().nonzero().squeeze(1)
    return Slots(images.flatten(0, 1)[index], modality.flatten()[index], camera.flatten()[index], present, index)


def labels_of_images(labels: Tensor, present: Tensor) -> Tensor:
    """Labels (B,) of samples as labels (n,) of their images, for :attr:`Slots.present` (B, M)."""
    return torch.repeat_interleave(labels, present.sum(dim=1))


def _images(count: int) -> str:
    return "one image" if count == 1 else f"{count} images"
