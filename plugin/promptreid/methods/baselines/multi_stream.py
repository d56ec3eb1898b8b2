"""One network per modality, their features side by side: what the field calls "OSNet x 3"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.inputs import assert_in_program, being_traced, unpack
from promptreid.models.precision import HALF
from promptreid.models.present_images import check_samples

LOSSES = ("softmax", "triplet")


class MultiStream(nn.Module):
    """Streams that know nothing of each other: stream m sees the images of modality m alone.

    The descriptor (B, M D), float32, has the feature of modality m in its m-th part, whatever slot the image came in. A
    part is zero where the image is missing, for which nothing is computed.

    In training the logits (B, C) are the mean over the streams whose images are present, each with a classifier of its
    own; where all are present, that is one linear classifier on the joined features. The logits are returned, and with
    ``loss="triplet"`` also the joined features (B, M D).

    Args:
        streams: One module per modality, images (N, 3, H, W) to features (N, D) or to a tuple of parts that are D wide
            together, which are joined. Training needs N >= 2 wherever a stream has a batch normalisation.
        width: D.
        num_classes: Training identities, C.
        loss: ``"softmax"`` or ``"triplet"``.
        image_size: The only (height, width) in pixels that the streams take; None when they take any.

    Raises:
        ValueError: No streams, or another loss. While running: as :func:`~promptreid.models.inputs.unpack`, images of
            another size, or a sample with no image or with two of one modality.
    """

    def __init__(
        self,
        streams: Sequence[nn.Module],
        width: int,
        num_classes: int,
        loss: str = "softmax",
        image_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if not streams:
            raise ValueError("streams: there has to be one for each modality, got none")
        if loss not in LOSSES:
            raise ValueError(f"loss: {loss!r} is not one of {LOSSES}; a model without prompts has no other")
        self.loss, self.width, self.image_size = loss, width, image_size
        self.streams = nn.ModuleList(streams)
        self.classifier = nn.ModuleList(_classifier(width, num_classes) for _ in streams)

    def forward(self, inputs: Tensor | Mapping[str, Tensor], return_featuremaps: bool = False) -> Any:
        """See the class; the accepted inputs are those of :func:`~promptreid.models.inputs.unpack`.

        Args:
            inputs: The samples.
            return_featuremaps: Return the streams' feature maps side by side, (B, M C, h, w), zeros where an image is
                missing. Streams that know no such argument raise ``TypeError``, as torchreid's tools expect.
        """
        if return_featuremaps:
            return self._feature_maps(inputs)
        images, modality, _, present = unpack(inputs, len(self.streams))
        self._check(images, present)
        fixed = (
            being_traced() and not self.training
        )  # in training, missing images would count in the streams' statistics
        parts, logits = [], []
        for number, (stream, classifier) in enumerate(zip(self.streams, self.classifier, strict=True)):
            if fixed:
                parts.append(self._masked(stream, images, (modality == number) & present))
                continue
            samples, slots = _places(modality, present, number)
            features = self._features(stream, images[samples, slots])
            parts.append(_spread(features, samples, len(images)))
            if self.training:
                logits.append(_spread(classifier(features), samples, len(images)))
        joined = torch.cat(parts, dim=1)
        if not self.training:
            return joined.float()
        mean = torch.stack(logits).sum(dim=0) / present.sum(dim=1, keepdim=True)
        return mean if self.loss == "softmax" else (mean, joined)

    def _feature_maps(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        images, modality, _, present = unpack(inputs, len(self.streams))
        self._check(images, present)
        maps: list[tuple[Tensor, Tensor]] = []
        for number, stream in enumerate(self.streams):
            samples, slots = _places(modality, present, number)
            maps.append((stream(images[samples, slots], return_featuremaps=True), samples))
        return torch.cat([_spread(found, samples, len(images)) for found, samples in maps], dim=1)

    def modality_slices(self, count: int) -> list[slice]:
        """Where in a descriptor each modality's part is; parts do not depend on one another.

        Args:
            count: Modalities of the data.

        Raises:
            ValueError: There are more modalities than streams.
        """
        if count > len(self.streams):
            raise ValueError(f"the model has {len(self.streams)} streams, the data {count} modalities")
        return [slice(number * self.width, (number + 1) * self.width) for number in range(count)]

    def _masked(self, stream: nn.Module, images: Tensor, shown: Tensor) -> Tensor:
        """Features (B, D) of the images (B, M, 3, H, W) that are ``shown`` (B, M), zeros elsewhere; at fixed shapes."""
        assert_in_program((shown.sum(dim=1) <= 1).all(), "a sample of the batch has two images of one modality")
        chosen = torch.where(shown[..., None, None, None], images, 0.0).sum(dim=1)
        return self._features(stream, chosen).masked_fill(~shown.any(dim=1, keepdim=True), 0.0)

    def _features(self, stream: Any, images: Tensor) -> Tensor:
        """Features (n, D) of one modality's images, of which there may be none."""
        if images.shape[0] == 0:
            return next(self.classifier.parameters()).new_zeros(0, self.width)
        own: torch.dtype = next(stream.parameters(), images).dtype
        features = stream(images.to(own) if own in HALF else images)
        return features if isinstance(features, Tensor) else torch.cat(features, dim=1)

    def _check(self, images: Tensor, present: Tensor) -> None:
        check_samples(present)
        found = tuple(images.shape[-2:])
        if self.image_size is not None and found != self.image_size:
            wanted, got = ("{} x {}".format(*size) for size in (self.image_size, found))
            raise ValueError(
                f"this model takes images of {wanted} pixels (height x width) alone, got {got}: "
                "change the image size (data.height, data.width), or the model"
            )


def _classifier(width: int, num_classes: int) -> nn.Linear:
    """Initialised as torchreid's own."""
    classifier = nn.Linear(width, num_classes)
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
    return classifier


def _places(modality: Tensor, present: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Samples and slots, (n,) each, of the images of one modality."""
    samples, slots = ((modality == number) & present).nonzero(as_tuple=True)
    twice = samples[1:][samples[1:] == samples[:-1]]
    if len(twice):
        raise ValueError(f"sample {int(twice[0])} of the batch has two images of modality {number}; one is allowed")
    return samples, slots


def _spread(values: Tensor, samples: Tensor, batch: int) -> Tensor:
    """Rows (n, D, ...) at their places among the samples of the batch, (B, D, ...); zeros elsewhere."""
    return values.new_zeros(batch, *values.shape[1:]).index_copy(0, samples, values)
