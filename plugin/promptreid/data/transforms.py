"""The augmentations of visible-infrared ReID by name, and chains of them for each modality.

All draw from torch's generator alone, so ``torch.manual_seed`` decides everything. MIP's released chain, for both
modalities alike and with bicubic resizing, is
``[random_flip, pad_crop, jitter_or_blur, pixel_erase, random_grey]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torchvision.transforms import InterpolationMode, v2

from promptreid.config.keys import did_you_mean
from promptreid.config.own_keys import EXCHANGES, INTERPOLATIONS
from promptreid.data.amplitude import NYQUIST
from promptreid.data.augmentations import (
    CajErase,
    CajExchange,
    CajGrey,
    ChannelExchange,
    SeparableBlur,
    ToFloatTensor,
)

Transform = Callable[[Any], Any]

PLAIN = INTERPOLATIONS[0]
"""The filter of torchreid's own transforms, with which images are always tested."""

_UNSET = "leave this key unset"
_OR_NONE = "or leave this key out"


@dataclass(frozen=True)
class ImageSettings:
    """What the builders need to know of the images.

    Attributes:
        height, width: in pixels, after resizing.
        mean, std: of the normalisation, per channel, for values in [0, 1].
        interpolation: filter of the resizing.
    """

    height: int
    width: int
    mean: Sequence[float]
    std: Sequence[float]
    interpolation: str = PLAIN

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            near = did_you_mean(self.interpolation, INTERPOLATIONS)
            raise ValueError(f"interpolation {self.interpolation!r} is none of {', '.join(INTERPOLATIONS)}{near}")


@dataclass(frozen=True)
class Augmentation:
    """The node ``data.augment`` of a configuration; its defaults leave everything to torchreid's ``data.transforms``.

    Attributes:
        visible: names of the visible images' chain (modality 0).
        infrared: names of the chain of every other modality.
        interpolation: filter of all these chains.
        second_visible: add a channel-exchanged copy of each visible image to every train batch.
        near_infrared, thermal_infrared: names of the chain of that modality, where it isn't that of ``infrared``.
        aligned: the images of a sample are cropped, flipped, erased, ... alike; see :mod:`promptreid.data.aligned`.
            Makes no difference where a sample is one image.
        drop_modality: probability, at least 0 and below 1, with which each modality of a train sample is left out.
        second_exchange: one of ``EXCHANGES``, for the copy of ``second_visible``.
        amplitude_swap: probability, 0 to 1, with which an image gets the low-frequency amplitude of an image of its
            identity in another band; see :class:`promptreid.data.amplitude.AmplitudeSwap`.
        amplitude_window: low are frequencies below this, in cycles per pixel, 0 to 0.5.

    Raises:
        ValueError: a filter for chains that aren't there, or a number out of range.
    """

    visible: Sequence[str] = ()
    infrared: Sequence[str] = ()
    interpolation: str = PLAIN
    second_visible: bool = False
    near_infrared: Sequence[str] = ()
    thermal_infrared: Sequence[str] = ()
    aligned: bool = False
    drop_modality: float = 0.0
    second_exchange: str = "channel_exchange"
    amplitude_swap: float = 0.0
    amplitude_window: float = 0.05

    def __post_init__(self) -> None:
        others = self.infrared or self.near_infrared or self.thermal_infrared
        if self.interpolation != PLAIN and not (self.visible and others):
            raise ValueError(f"{self._filter()}: set both data.augment.visible and data.augment.infrared, {_OR_NONE}")
        if not 0 <= self.drop_modality < 1:
            raise ValueError(f"data.augment.drop_modality {self.drop_modality} must be at least 0 and below 1")
        if self.second_exchange not in EXCHANGES:
            raise ValueError(f"data.augment.second_exchange {self.second_exchange!r} is none of {', '.join(EXCHANGES)}")
        if self.second_exchange != EXCHANGES[0] and not self.second_visible:
            raise ValueError(
                f"data.augment.second_exchange {self.second_exchange} changes nothing without a second copy: set "
                "data.augment.second_visible True, or leave this key out"
            )
        self._check_amplitudes()

    def _check_amplitudes(self) -> None:
        p, window = self.amplitude_swap, self.amplitude_window
        if not 0 <= p <= 1:
            raise ValueError(f"data.augment.amplitude_swap {p} must be from 0 to 1")
        if not 0 <= window <= NYQUIST:
            raise ValueError(f"data.augment.amplitude_window {window} must be from 0 to {NYQUIST} cycles per pixel")
        if p and not window:
            raise ValueError(
                f"data.augment.amplitude_swap {p} changes nothing in a window of 0: raise data.augment."
                "amplitude_window, or leave amplitude_swap at 0"
            )

    @property
    def asked(self) -> bool:
        """Whether anything differs from torchreid's own."""
        chains = self.visible or self.infrared or self.near_infrared or self.thermal_infrared
        return bool(chains or self.aligned or self.drop_modality or self.second_visible or self.amplitude_swap)

    def chains(self, modalities: Sequence[str], image: ImageSettings) -> dict[str, Chain]:
        """The chain of each of a data set's modalities; none for those that keep torchreid's transforms.

        Raises:
            ValueError: an impossible chain, one for a modality that isn't there, or none for one that needs it.
        """
        first, *others = modalities
        own = {"near_infrared": self.near_infrared, "thermal_infrared": self.thermal_infrared}
        if self.infrared and not others:
            raise ValueError(f"data.augment.infrared: {first} is the only modality of this data set; {_UNSET}")
        for name in (name for name, chain in own.items() if chain and name not in others):
            raise ValueError(f"data.augment.{name}: this data set has {', '.join(modalities)} images only; {_UNSET}")
        keys = {first: "visible", **{name: name if own.get(name) else "infrared" for name in others}}
        built = {name: self._chain(key, image) for name, key in keys.items() if getattr(self, key)}
        bare = [name for name in modalities if name not in built]
        if bare and self.interpolation != PLAIN:
            raise ValueError(f"{self._filter()}: no key names a chain for {', '.join(bare)}; set one, {_OR_NONE}")
        return built

    def _chain(self, key: str, image: ImageSettings) -> Chain:
        try:
            return build_chain(getattr(self, key), image)
        except ValueError as error:
            raise ValueError(f"data.augment.{key}: {error}") from None

    def _filter(self) -> str:
        return f"data.augment.interpolation {self.interpolation}: torchreid's own data.transforms are {PLAIN}"


class Chain:
    """Named transforms, one after the other.

    Attributes:
        steps: each transform with its name.
    """

    def __init__(self, steps: Sequence[tuple[str, Transform]]) -> None:
        self.steps = tuple(steps)

    def __call__(self, image: Any) -> Any:
        for _, step in self.steps:
            image = step(image)
        return image


Builder = Callable[[ImageSettings], Transform]


def _resize(image: ImageSettings) -> Transform:
    return v2.Resize((image.height, image.width), interpolation=InterpolationMode(image.interpolation))


def _normalize(image: ImageSettings) -> Transform:
    return v2.Compose([ToFloatTensor(), v2.Normalize(list(image.mean), list(image.std))])


def _jitter(_: ImageSettings) -> Transform:
    return v2.ColorJitter(brightness=0.3, contrast=0.3)


def _blur(_: ImageSettings) -> Transform:
    return SeparableBlur(kernel_size=21, sigma=(0.1, 3.0))


_CAJ_FILL = (0.4914, 0.4822, 0.4465)
"""CAJ fills after normalisation with these values as they stand, although they were means of images in [0, 1]."""


def _channel_erase(_: ImageSettings) -> Transform:
    return v2.RandomErasing(p=0.5, scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3), value=_CAJ_FILL)


TRANSFORMS: dict[str, Builder] = {
    "resize": _resize,
    "random_flip": lambda _: v2.RandomHorizontalFlip(0.5),
    "pad_crop": lambda image: v2.RandomCrop((image.height, image.width), padding=10),
    "jitter": _jitter,
    "blur": _blur,
    "jitter_or_blur": lambda image: v2.RandomChoice([_jitter(image), _blur(image)]),
    "random_grey": lambda _: v2.RandomGrayscale(0.5),
    "channel_exchange": lambda _: ChannelExchange(),
    "channel_grey": lambda _: ChannelExchange(0.5),
    "normalize": _normalize,
    "pixel_erase": lambda _: v2.RandomErasing(p=0.5, scale=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3), value="random"),
    "channel_erase": _channel_erase,
    "caj_exchange": lambda _: CajExchange(),
    "caj_grey": lambda _: CajGrey(),
    "caj_erase": lambda _: CajErase(_CAJ_FILL),
}
"""Every name a chain may have; ``docs/config.md`` says what each one does."""

BEFORE_NORMALIZE = frozenset({"resize", "pad_crop", "jitter", "blur", "jitter_or_blur"})
AFTER_NORMALIZE = frozenset({"pixel_erase", "channel_erase", "caj_erase"})


def build_chain(names: Sequence[str], image: ImageSettings) -> Chain:
    """The named transforms in their order, as one function from a PIL image to a (3, height, width) float32 tensor.

    ``resize`` comes first and ``normalize`` before the first name of ``AFTER_NORMALIZE``, or else at the end; both may
    be left out. The names in neither set work on either side: ``random_grey`` after an erasing turns its noise grey
    too, as MIP's released code does.

    Raises:
        ValueError: an unknown name (the nearest one is told), or one on the wrong side of ``normalize``.
    """
    for name in names:
        if name not in TRANSFORMS:
            near = did_you_mean(name, TRANSFORMS)
            raise ValueError(f"unknown transform {name!r}{near} (one of {', '.join(TRANSFORMS)})")
    ordered = _completed(list(names))
    _check_order(ordered)
    return Chain([(name, TRANSFORMS[name](image)) for name in ordered])


def _completed(names: list[str]) -> list[str]:
    if names[:1] != ["resize"]:
        names = ["resize", *names]
    if "normalize" not in names:
        place = next((i for i, name in enumerate(names) if name in AFTER_NORMALIZE), len(names))
        names.insert(place, "normalize")
    return names


def _check_order(names: list[str]) -> None:
    place = names.index("normalize")
    if "normalize" in names[place + 1 :]:
        raise ValueError("normalize stands twice; name it once, or not at all")
    for name in names[:place]:
        if name in AFTER_NORMALIZE:
            raise ValueError(f"{name} needs normalised values: move it behind normalize")
    for name in names[place + 1 :]:
        if name in BEFORE_NORMALIZE:
            raise ValueError(f"{name} needs values that aren't normalised yet: move it before normalize and erasing")
