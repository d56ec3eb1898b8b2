"""What the planners of trees with several pictures of each moment share."""

from __future__ import annotations

from collections.abc import Sequence

from promptreid.synthetic.materials import BANDS
from promptreid.synthetic.plans import Recipe, Shot

Triple = list[Shot]


def triple(folder: str, bands: Sequence[str], name: str, moment: tuple[int, int, int]) -> Triple:
    """The shots ``folder/band/name`` of a moment (pid, camera, frame), one for each name of a band's folder."""
    return [Shot(f"{folder}/{part}/{name}", *moment, band) for part, band in zip(bands, BANDS, strict=True)]


def strip(path: str, parts: int, moment: tuple[int, int, int]) -> Triple:
    """The shots of the first ``parts`` bands of a moment, side by side in the file ``path``."""
    return [Shot(path, *moment, band) for band in BANDS[:parts]]


def copies_of(shots: Sequence[Shot], folder: str, copy: str) -> dict[str, str]:
    """What to copy to have the images of ``shots``, which are below ``folder``, below ``copy`` as well."""
    return {copy + shot.path.removeprefix(folder): shot.path for shot in shots}


def at_least(share: float, count: int) -> int:
    """That share of ``count``, rounded, but neither none nor, of several, all."""
    return min(max(1, round(share * count)), max(1, count - 1))


def check_frames(recipe: Recipe, most: int) -> None:
    """Make sure that frame numbers fit into the digits that names have for them.

    Raises:
        ValueError: they don't.
    """
    if recipe.frames > most:
        raise ValueError(f"frames: names of {recipe.like} have room for {most}, not {recipe.frames}")


def check_tested(recipe: Recipe, tested: Sequence[int], why: str) -> None:
    """Make sure that there are two identities to test on.

    Raises:
        ValueError: there is one.
    """
    if len(tested) < 2:
        raise ValueError(
            f"ids: {recipe.like} needs 2 test ids ({why}), and of {recipe.ids} ids it has {len(tested)}; "
            "take more ids or set test_ids"
        )
