"""The low-frequency amplitudes of images of one identity, exchanged between the bands of a train batch.

In an image's Fourier transform the phase says where things are, and the amplitude at low frequencies how bright and how
contrasted large parts are, which is what differs most from band to band. FDA (Yang & Soatto, CVPR 2020) gives an image
the low-frequency amplitude of one of another domain; MFEN (CVPR 2026) does so with an image of the other modality in
visible-infrared re-identification. Here the two are of one identity, and found in the batch that both are in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from promptreid.data.batch import ModalBatch

NYQUIST = 0.5
"""The highest frequency that pixels can have, in cycles per pixel, and the largest window."""


class _Place(NamedTuple):
    """Where an image stands in a batch: which item, which of its slots."""

    item: int
    slot: int


def low_frequencies(height: int, width: int, window: float) -> Tensor:
    """Which frequencies of ``torch.fft.rfft2`` are inside the window, (height, width // 2 + 1) bool.

    Those below ``window`` cycles per pixel on both axes: a square in frequency, whatever the image's shape. (FDA's
    released code has the same number of frequencies on both axes.) 0: none; anything above 0: the mean at least.
    """
    rows, columns = torch.fft.fftfreq(height).abs(), torch.fft.rfftfreq(width)
    return (rows < window)[:, None] & (columns < window)


def swap_amplitude(image: Tensor, partner: Tensor, window: float) -> Tensor:
    """The image with its own phase, and inside the window the amplitude of its partner; ``image`` itself for window 0.

    Each channel is transformed for itself. Values may leave the range of the two images: they are not clipped, so that
    nothing outside the window changes.

    Args:
        image, partner: shape (..., H, W), in proportion to light, so that 0 is black; the partner's shape is the same.
        window: cycles per pixel, 0 to 0.5.

    Raises:
        ValueError: shapes that differ, or a window out of range.
    """
    if image.shape != partner.shape or not 0 <= window <= NYQUIST:
        raise ValueError(
            f"images of shapes {tuple(image.shape)} and {tuple(partner.shape)} and a window of {window} cycles per "
            f"pixel: the shapes must be the same, and the window from 0 to {NYQUIST}"
        )
    if window == 0:
        return image
    height, width = image.shape[-2:]
    own, other = torch.fft.rfft2(image), torch.fft.rfft2(partner)
    # What is exactly zero has no phase; as the transform of a black image it becomes a grey one.
    phase = torch.where(own == 0, torch.ones_like(own), torch.sgn(own))
    mixed = torch.where(low_frequencies(height, width, window).to(image.device), other.abs() * phase, own)
    return torch.fft.irfft2(mixed, s=(height, width)).to(image.dtype)


class AmplitudeSwap:
    """Give images of a train batch the low-frequency amplitude of an image of their identity in another band.

    Each image is chosen with probability ``p``; its partner is any image of its identity in another band, each as
    likely, as it was before this step. An identity of which the batch has one band alone is left as it is, and so are
    missing images. With triples a partner may be of the same sample or of another one. Draws from torch's generator.

    It comes after the chains, so crops and erased boxes of the partner take part; normalisation is undone for it, since
    only of values in proportion to light the amplitudes are comparable.

    Args:
        p: probability, above 0 and at most 1.
        window: cycles per pixel, above 0 and at most 0.5; see :func:`low_frequencies`.
        mean, std: of the normalisation, per channel.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, p: float, window: float, mean: Sequence[float], std: Sequence[float]) -> None:
        if not 0 < p <= 1 or not 0 < window <= NYQUIST:
            raise ValueError(f"p {p} must be above 0 and at most 1, and window {window} above 0 and at most {NYQUIST}")
        self.p, self.window = p, window
        self.mean, self.std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (mean, std))

    def __call__(self, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The items of a batch, whose ``img`` are samples of a :class:`ModalBatch`; new ones where images change."""
        changed: dict[_Place, Tensor] = {}
        for place, partners in _partners(items).items():
            if partners and torch.rand(()) < self.p:
                other = partners[int(torch.randint(len(partners), ()))]
                changed[place] = self._swapped(_image(items, place), _image(items, other))
        return [_with_images(item, number, changed) for number, item in enumerate(items)]

    def _swapped(self, image: Tensor, partner: Tensor) -> Tensor:
        light, other = (normalised * self.std + self.mean for normalised in (image, partner))
        return (swap_amplitude(light, other, self.window) - self.mean) / self.std


def _partners(items: Sequence[dict[str, Any]]) -> dict[_Place, list[_Place]]:
    """For each image that is there, the images of its identity in other bands."""
    bands: dict[int, dict[int, list[_Place]]] = defaultdict(lambda: defaultdict(list))
    for number, item in enumerate(items):
        there, modality = item["img"]["present"].tolist(), item["img"]["modality"].tolist()
        for slot in (slot for slot, present in enumerate(there) if present):
            bands[int(item["pid"])][modality[slot]].append(_Place(number, slot))
    return {
        place: [other for name in identity if name != band for other in identity[name]]
        for identity in bands.values()
        for band, places in identity.items()
        for place in places
    }


def _image(items: Sequence[dict[str, Any]], place: _Place) -> Tensor:
    image: Tensor = items[place.item]["img"]["images"][place.slot]
    return image


def _with_images(item: dict[str, Any], number: int, changed: dict[_Place, Tensor]) -> dict[str, Any]:
    sample: ModalBatch = item["img"]
    own = [changed.get(_Place(number, slot)) for slot in range(len(sample["images"]))]
    if all(image is None for image in own):
        return item
    pairs = zip(own, sample["images"], strict=True)
    images = torch.stack([before if after is None else after for after, before in pairs])
    return {**item, "img": ModalBatch({**sample, "images": images})}
