"""Bands of the spectrum by the names that users give them."""

from __future__ import annotations

from collections.abc import Sequence

from promptreid.config.keys import did_you_mean
from promptreid.evaluation.missing.conditions import SHORT_NAMES

_SHORT = {short.casefold(): name for name, short in SHORT_NAMES.items()}


def band_of(name: str, known: Sequence[str]) -> str:
    """Modality of a name: the model's own name of the modality, or ``rgb``, ``nir``, ``tir``, ``ir``.

    Args:
        name: upper or lower case.
        known: the modalities of the model.

    Raises:
        ValueError: the model does not know it.
    """
    plain = name.strip().casefold()
    meant = plain if plain in known else _SHORT.get(plain, plain)
    if meant in known:
        return meant
    raise ValueError(f"band {name!r}: this model knows {', '.join(known)}{did_you_mean(plain, known)}")


def is_band(name: str, known: Sequence[str]) -> bool:
    """Whether :func:`band_of` knows the name."""
    plain = name.strip().casefold()
    return plain in known or _SHORT.get(plain) in known


def short_names(present: Sequence[bool], known: Sequence[str]) -> str:
    """Short names of the present bands, such as ``RGB+TIR``."""
    return "+".join(SHORT_NAMES.get(name, name) for name, there in zip(known, present, strict=True) if there)
