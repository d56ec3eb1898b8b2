"""Embedder: the trained model that :func:`promptreid.load` returns."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from promptreid.data.batch import ModalBatch
from promptreid.data.sixteen_bit import Range16
from promptreid.engine.epoch_meter import progress
from promptreid.engine.feature_extraction import mirrored
from promptreid.retrieval.bands import band_of
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import Embeddings, join, scores, unit_length
from promptreid.retrieval.objects import UNKNOWN, ReIDObject, load_source, objects_of

logger = logging.getLogger(__name__)

ON_ERROR = ("stop", "skip")
_UNREADABLE = (OSError, ValueError, TypeError)


class Backend(Protocol):
    """Backend that runs a model: PyTorch, or a runtime with an exported file."""

    def __call__(self, batch: ModalBatch) -> Tensor:
        """Vectors (B, D) float32 on the CPU, as the model gives them."""
        ...


class Embedder:
    """Trained model, ready to embed images.

    Attributes:
        model: what its vectors are.
        backend: what runs it.

    Args:
        model, backend: see above.
        batch_size: objects in a call of the model.
        workers: threads that read and decode images while the model runs.

    Examples:
        >>> reid = promptreid.load("log/mip_quickstart")
        >>> day = reid.embed(["day/1.jpg", "day/2.jpg"], band="visible")
        >>> night = reid.embed(["night/7.jpg"], band="infrared")
        >>> reid.compare(night, day)  # (1, 2) scores
    """

    def __init__(self, model: ModelDescription, backend: Backend, batch_size: int = 64, workers: int = 2) -> None:
        if batch_size < 1 or workers < 1:
            raise ValueError(f"batch_size {batch_size} and workers {workers} must be at least 1")
        self.backend = backend
        self.batch_size, self.workers = batch_size, workers
        self._told: set[str] = set()
        self.use(model)

    def use(self, model: ModelDescription) -> None:
        """Prepare images as a model takes them; for code that exchanges the model of the backend."""
        self.model = model
        self._levels = Range16(model.range_16bit, model.limits_16bit)
        self._transform = v2.Compose(
            [
                # torchreid's own for tests, so that a picture embeds as it is tested.
                v2.Resize((model.height, model.width)),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(list(model.mean), list(model.std)),
            ]
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the bands that the model knows."""
        return self.model.modalities

    def embed(
        self,
        objects: Any,
        *,
        band: str | None = None,
        cameras: Sequence[int] | int | None = None,
        bands: Sequence[str] | str | None = None,
        on_error: str = "stop",
    ) -> Embeddings:
        """Embed persons or vehicles as vectors.

        Args:
            objects: one or a list of them. An object is an image, or a mapping of bands to images from which missing
                bands are left out. An image is a path, a PIL image, an array (H, W, 3) uint8, or a tensor (3, H, W).
            band: of images that come without one, such as ``"visible"``, ``"rgb"`` or ``"tir"``.
            cameras: 0-based cameras of the training data, one for each object or one for all; unknown when omitted.
            bands: use these alone of each object, as a list or ``"RGB+TIR"``.
            on_error: ``"stop"`` at the first image that cannot be read, or ``"skip"`` the objects that have one and
                list them in :attr:`Embeddings.failed`.

        Raises:
            ValueError, TypeError, FileNotFoundError: nothing to embed, or an image, band or camera that cannot be used.
        """
        found, guessed = objects_of(objects, self.model, band, cameras)
        if guessed:
            self._warn_once(
                "images without a band are taken to be %s; say so, or what they are, with band=", self.modalities[0]
            )
        if not found:
            raise ValueError("nothing to embed: the list of objects is empty")
        batches = list(self.stream(found, bands=bands, on_error=on_error, show="embedding"))
        return join(batches)

    def stream(
        self,
        objects: Sequence[ReIDObject],
        *,
        bands: Sequence[str] | str | None = None,
        on_error: str = "stop",
        show: str = "",
    ) -> Iterator[Embeddings]:
        """Yield the vectors of one batch after the other, in order, and read the next images meanwhile.

        Args:
            objects: what to embed.
            bands, on_error: as :meth:`embed`.
            show: what the progress bar is called; none when empty.
        """
        if on_error not in ON_ERROR:
            raise ValueError(f"on_error: {on_error!r} is none of {', '.join(ON_ERROR)}")
        kept = self._kept(bands)
        chunks = [objects[start : start + self.batch_size] for start in range(0, len(objects), self.batch_size)]
        with ThreadPoolExecutor(self.workers) as pool:
            pending = self._reading(pool, chunks, kept, on_error)
            for chunk, read in progress(pending, show, len(chunks)) if show else pending:
                yield self._embedded(chunk, read)

    def compare(self, first: Any, second: Any, *, band: str | None = None) -> np.ndarray:
        """Similarity scores of two sets of objects, (N1, N2): larger is more alike; see :func:`embeddings.scores`.

        Args:
            first, second: :class:`Embeddings`, or what :meth:`embed` takes.
            band: of images that come without one.

        Raises:
            ValueError: objects without a common band, or vectors of another model.
        """
        sides = [side if isinstance(side, Embeddings) else self.embed(side, band=band) for side in (first, second)]
        return scores(*sides)

    def _reading(
        self, pool: ThreadPoolExecutor, chunks: Sequence[Sequence[ReIDObject]], kept: Sequence[str], on_error: str
    ) -> Iterator[tuple[Sequence[ReIDObject], list[Any]]]:
        """Each chunk with what was read of it, two chunks ahead."""
        waiting = iter(chunks)

        def start(chunk: Sequence[ReIDObject]) -> tuple[Sequence[ReIDObject], list[Any]]:
            return chunk, [pool.submit(self._read, item, kept, on_error) for item in chunk]

        ahead = [start(chunk) for chunk in islice(waiting, 2)]
        try:
            while ahead:
                chunk, futures = ahead.pop(0)
                read = [future.result() for future in futures]
                ahead += [start(chunk) for chunk in islice(waiting, 1)]
                yield chunk, read
        finally:
            for _, futures in ahead:
                for future in futures:
                    future.cancel()

    def _read(self, item: ReIDObject, kept: Sequence[str], on_error: str) -> dict[str, Tensor] | str:
        """The tensors of an object by band, or why it is skipped."""
        chosen = {name: image for name, image in item.images.items() if name in kept}
        try:
            if not chosen:
                raise ValueError(f"{item.name} has no image of {', '.join(kept)}")
            return {name: self._transform(load_source(image, self._levels)) for name, image in chosen.items()}
        except _UNREADABLE as error:
            if on_error == "stop":
                raise
            return str(error)

    def _embedded(self, chunk: Sequence[ReIDObject], read: Sequence[Any]) -> Embeddings:
        failed = tuple(
            (item.name, tensors) for item, tensors in zip(chunk, read, strict=True) if isinstance(tensors, str)
        )
        pairs = [(item, tensors) for item, tensors in zip(chunk, read, strict=True) if not isinstance(tensors, str)]
        known = [item.camera for item, _ in pairs]
        if self.model.cameras and any(camera == UNKNOWN for camera in known):
            self._warn_once("the cameras of some objects are unknown: they get the neutral camera embedding")
        vectors = np.zeros((0, self.model.width_of_vector), dtype=np.float32)
        if pairs:
            vectors = self._vectors(self._batch([tensors for _, tensors in pairs], known))
        return Embeddings(
            self.model,
            vectors,
            np.array([[name in tensors for name in self.modalities] for _, tensors in pairs], dtype=bool).reshape(
                len(pairs), len(self.modalities)
            ),
            np.array([item.name for item, _ in pairs], dtype=object),
            np.array(known, dtype=np.int64),
            failed,
        )

    def _batch(self, tensors: Sequence[dict[str, Tensor]], cameras: Sequence[int]) -> ModalBatch:
        """A sample for each object: its image alone where M is 1, else a slot for each band."""
        single = self.model.images_per_sample == 1
        slots = [list(images) if single else list(self.modalities) for images in tensors]
        missing = torch.zeros(3, self.model.height, self.model.width)
        return ModalBatch.of(
            torch.stack(
                [
                    torch.stack([images.get(name, missing) for name in names])
                    for images, names in zip(tensors, slots, strict=True)
                ]
            ),
            torch.tensor([[self.modalities.index(name) for name in names] for names in slots]),
            torch.tensor(list(cameras)),
            torch.tensor([[name in images for name in names] for images, names in zip(tensors, slots, strict=True)]),
        )

    def _vectors(self, batch: ModalBatch) -> np.ndarray:
        vectors = self.backend(batch)
        if self.model.flip:
            vectors = (vectors + self.backend(mirrored(batch))) / 2
        found = vectors.numpy()
        return unit_length(found) if self.model.normalize else found

    def _kept(self, bands: Sequence[str] | str | None) -> list[str]:
        if bands is None:
            return list(self.modalities)
        names = bands.split("+") if isinstance(bands, str) else list(bands)
        if not names:
            raise ValueError("bands: name at least one")
        return [band_of(name, self.modalities) for name in names]

    def _warn_once(self, message: str, *arguments: Any) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning(message, *arguments)
