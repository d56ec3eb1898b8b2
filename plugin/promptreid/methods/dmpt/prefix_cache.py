"""Tokens of images after the frozen blocks before the first prompt, kept so that they are computed once."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.backbones.towers import Tower

Compute = Callable[[Tensor], Tensor]
"""From images (n, 3, H, W) to tokens (n, P + N, D)."""


class _Key(NamedTuple):
    digest: bytes
    precision: torch.dtype | None  # autocast's: the tokens' own is float32 in either case, and their bits differ


class _Seen(NamedTuple):
    tensor: weakref.ref[Tensor]
    place: int
    version: int


class PrefixCache:
    """Tokens of images, by the images' content, up to a number of bytes.

    The key is a hash of the image as the model gets it: an augmented image is another image, and nothing can be stale.
    Tokens stay on the device they were computed on, (P + N) x D for each image: 0.40 MB with a ViT-B at 256 x 128 in
    float32. Under autocast they are kept apart, by its dtype. They are forgotten when the weights are not what they
    were in the last call: other tensors, moved, cast or written to. Global switches of torch, such as TF32, are not
    watched: :meth:`clear` after changing one.

    A copy, also a pickled one, is an empty cache with the same settings.

    Args:
        limit: Bytes.
        one_by_one: Compute each unknown image on its own, so that its tokens have the same bits whatever else is in its
            batch, and a run that goes on with an empty cache the same as one that has a full one. Slower, once.
        in_training: Look up images in training mode, too. Without, they neither fill the cache nor cost a hash, as it
            should be where augmentation makes nearly each of them new.

    Raises:
        ValueError: A limit that is not positive.
    """

    def __init__(self, limit: int, one_by_one: bool = False, in_training: bool = True) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1 byte, got {limit}; for no cache, attach none")
        self.limit, self.one_by_one, self.in_training = limit, one_by_one, in_training
        self._tokens: dict[_Key, Tensor] = {}
        self._seen: list[_Seen] = []
        self._bytes = self._hits = self._misses = 0

    def __call__(self, images: Tensor, compute: Compute, weights: Iterable[Tensor] = ()) -> Tensor:
        """The tokens of images, of which ``compute`` is given the unknown ones, each once; without gradients.

        Args:
            images: Shape (n, 3, H, W).
            compute: Whose outcome depends on the image and ``weights`` alone.
            weights: What it computes with.

        Returns:
            Shape (n, P + N, D); memory of its own.
        """
        with torch.no_grad():
            weights = list(weights)
            if not len(images) or any(tensor.is_inference() for tensor in weights):  # their changes are not counted
                return compute(images)
            self._forget_if_changed(weights)
            keys = _keys_of(images)
            unknown: dict[_Key, int] = {}
            for place, key in enumerate(keys):
                if key not in self._tokens:
                    unknown.setdefault(key, place)
            self._misses += len(unknown)
            self._hits += len(keys) - len(unknown)
            fresh = dict(zip(unknown, self._computed(images, list(unknown.values()), compute), strict=True))
            self._keep(fresh)
            return torch.stack([fresh[key] if key in fresh else self._tokens[key] for key in keys])

    @property
    def hits(self) -> int:
        """How many images so far were not computed."""
        return self._hits

    @property
    def misses(self) -> int:
        """How many images so far were computed."""
        return self._misses

    @property
    def share(self) -> float:
        """Of all images so far, those that were not computed, in [0, 1]; 0 without any."""
        return self._hits / max(1, self._hits + self._misses)

    @property
    def nbytes(self) -> int:
        """What is kept; at most ``limit``."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._tokens)

    def clear(self) -> None:
        """Forget all tokens; the counts stay."""
        self._tokens.clear()
        self._bytes = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return PrefixCache, (self.limit, self.one_by_one, self.in_training)

    def _computed(self, images: Tensor, places: Sequence[int], compute: Compute) -> Sequence[Tensor]:
        if self.one_by_one:  # from memory that is laid out alike each time
            return [compute(images[i : i + 1].clone(memory_format=torch.contiguous_format))[0] for i in places]
        if not places:
            return ()
        return compute(images if len(places) == len(images) else images[places]).unbind()

    def _keep(self, fresh: dict[_Key, Tensor]) -> None:
        """Keep what there is room for, and drop nothing.

        An epoch or a test asks for each image once. Were the least recently used dropped, more images than there is
        room for would each be gone when they come again; the ones that were first are there every time.
        """
        for key, tokens in fresh.items():
            size = tokens.numel() * tokens.element_size()
            if self._bytes + size <= self.limit:
                self._tokens[key] = tokens.clone()  # a row would keep the memory of its whole batch
                self._bytes += size

    def _forget_if_changed(self, weights: list[Tensor]) -> None:
        same = len(weights) == len(self._seen) and all(
            seen.tensor() is tensor and seen.place == tensor.data_ptr() and seen.version == tensor._version
            for tensor, seen in zip(weights, self._seen, strict=True)
        )
        if not same:
            self.clear()
            self._seen = [_Seen(weakref.ref(tensor), tensor.data_ptr(), tensor._version) for tensor in weights]


def run_prefix(tower: Tower, images: Tensor, blocks: int) -> Tensor:
    """Tokens (n, P + N, D) of images (n, 3, H, W) after the first ``blocks`` blocks of a tower, without prompts."""
    tokens = tower.embed(images)
    form = BlockForm(tower.turns((images.shape[-2], images.shape[-1]), tokens.device))
    for layer in range(blocks):
        tokens = tower.run(layer, tokens, form=form)
    return tokens


def _keys_of(images: Tensor) -> list[_Key]:
    device = images.device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    header = f"{images.dtype} {tuple(images.shape[1:])}".encode()
    rows = images.detach().cpu().contiguous().flatten(1).view(torch.uint8).numpy()
    return [_Key(_digest(header, row.data), precision) for row in rows]


def _digest(header: bytes, content: memoryview) -> bytes:
    digest = hashlib.blake2b(header, digest_size=16)
    digest.update(content)
    return digest.digest()
