"""Modality of images without labels, as torchreid's own tools pass them (its ``FeatureExtractor``)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from promptreid.models.inputs import being_traced

logger = logging.getLogger(__name__)

_said: ContextVar[str] = ContextVar("modality of images without labels", default="")
_warned: set[tuple[str, ...]] = set()


@contextmanager
def plain_images_are(modality: str) -> Iterator[None]:
    """Set the modality of images that reach a model as a plain (B, 3, H, W) tensor, for the duration of the block.

    Args:
        modality: a name of the model's, such as ``infrared`` or ``thermal_infrared``.

    Examples:
        >>> extractor = torchreid.utils.FeatureExtractor("mip_vit_base_patch16", "model.pth.tar-80")
        >>> with promptreid.plain_images_are("infrared"):
        ...     features = extractor(["night/0001.jpg"])
    """
    before = _said.set(modality)
    try:
        yield
    finally:
        _said.reset(before)


def modality_of_plain_images(names: Sequence[str]) -> int:
    """The id of the modality that was said, or else 0, with one warning where the model knows several.

    Args:
        names: the modalities that the model knows.

    Raises:
        ValueError: it doesn't know what was said.
    """
    if being_traced():
        return 0
    said = _said.get()
    if said:
        if said not in names:
            raise ValueError(f"plain_images_are({said!r}): the model knows {', '.join(names)}")
        return list(names).index(said)
    if len(names) > 1 and tuple(names) not in _warned:
        _warned.add(tuple(names))
        logger.warning(
            "images without labels are taken to be %s; say so, or what they are, with "
            "promptreid.plain_images_are(one of %s)", names[0], ", ".join(names),
        )  # fmt: skip
    return 0
