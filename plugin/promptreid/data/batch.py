"""Two types that carry multi-modal samples through torchreid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from promptreid.data.strips import file_of

FIELDS = ("images", "modality", "camera", "present")


class ModalBatch(dict[str, Any]):
    """Model input of one sample or of a batch: a plain dict of tensors.

    torchreid passes only ``item["img"]`` on to the model, so everything the model needs is in here.
    ``default_collate``, pinning and ``DataParallel`` keep the type.

    | field      | one sample          | batch                  |                                              |
    |------------|---------------------|------------------------|----------------------------------------------|
    | `images`   | (M, 3, H, W) float  | (B, M, 3, H, W) float  | M images per sample, normalised              |
    | `modality` | (M,) int64          | (B, M) int64           | which modality each image is                 |
    | `camera`   | () int64            | (B,) int64             | 0-based true camera                          |
    | `present`  | (M,) bool           | (B, M) bool            | False where a modality is missing            |

    Build samples with :meth:`sample`, batches with :meth:`of`.

    A batch of single images (M = 1) is also what torchreid's own models take: a function of torch that gets it as a
    tensor takes its images, (B, 3, H, W), and ``size``, ``shape``, ``dim``, ``view`` and indices are theirs.
    """

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch on the images.

        Raises:
            ValueError: samples of several images.
        """
        args, kwargs = (_with_images(value) for value in (args, kwargs or {}))
        return func(*args, **kwargs)

    @classmethod
    def sample(cls, images: Tensor, modality: list[int], camera: int, present: list[bool] | None = None) -> ModalBatch:
        """One sample.

        Args:
            images: Shape (M, 3, H, W).
            modality: M modality ids.
            camera: 0-based camera.
            present: M flags; all true when omitted.
        """
        return cls.of(
            images, torch.tensor(modality), torch.tensor(camera), None if present is None else torch.tensor(present)
        )

    @classmethod
    def of(cls, images: Tensor, modality: Tensor, camera: Tensor, present: Tensor | None = None) -> ModalBatch:
        """A sample or batch from tensors; shapes as in the table of the class.

        Raises:
            ValueError: shapes that don't belong together.
        """
        if present is None:
            present = torch.ones_like(modality, dtype=torch.bool)
        if images.ndim not in (4, 5) or images.shape[: images.ndim - 3] != modality.shape:
            raise ValueError(
                f"images of shape {tuple(images.shape)} don't go with modality of shape {tuple(modality.shape)}: "
                "expected (M, 3, H, W) with (M,), or (B, M, 3, H, W) with (B, M)"
            )
        if camera.shape != modality.shape[:-1] or present.shape != modality.shape:
            raise ValueError(
                f"camera {tuple(camera.shape)} and present {tuple(present.shape)} must have the shapes "
                f"{tuple(modality.shape[:-1])} and {tuple(modality.shape)}"
            )
        return cls(images=images, modality=modality, camera=camera, present=present)

    def to(self, *args: Any, **kwargs: Any) -> ModalBatch:
        """Like ``Tensor.to``; a floating dtype is applied to the images alone."""
        device, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
        return type(self)(
            {
                key: value.to(
                    device=device, dtype=dtype if value.is_floating_point() else None, non_blocking=non_blocking
                )
                for key, value in self.items()
            }
        )

    def cuda(self, *args: Any, **kwargs: Any) -> ModalBatch:
        """Like ``Tensor.cuda``, for every field."""
        return type(self)({key: value.cuda(*args, **kwargs) for key, value in self.items()})

    def only(self, kept: Collection[int]) -> ModalBatch:
        """The same samples with every modality that is not in ``kept`` missing: not present, its images zero.

        Args:
            kept: modality ids, at least one.

        Raises:
            ValueError: nothing would be kept.
        """
        if not kept:
            raise ValueError("kept is empty: name at least one modality id that stays")
        keep = torch.isin(self["modality"], torch.tensor(sorted(kept), device=self["modality"].device))
        images = self["images"].masked_fill(~keep[..., None, None, None], 0)
        return type(self)({**self, "images": images, "present": self["present"] & keep})

    @property
    def plain(self) -> Tensor:
        """The images of a batch of single images, (B, 3, H, W), or of one such sample, (3, H, W).

        Raises:
            ValueError: samples of several images.
        """
        if self["modality"].shape[-1] != 1:
            raise ValueError(
                f"this model takes one image per sample, and these have {self['modality'].shape[-1]}: choose one of "
                "torchreid's models for each image (three_osnet_x1_0, three_osnet_x0_25, three_mlfn, three_hacnn) or "
                "a model of promptreid that takes several, such as shared_vit_base_patch16"
            )
        return self["images"].squeeze(-4)

    @property
    def shape(self) -> torch.Size:
        """Shape of the images: (B, 3, H, W) if samples are one image, else (B, M, 3, H, W)."""
        return (self.plain if self["modality"].shape[-1] == 1 else self["images"]).shape

    def size(self, dim: int | None = None) -> Any:
        """The :attr:`shape`, or one entry of it; ``size(0)`` of a batch is the number of samples."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Number of axes of :attr:`shape`."""
        return len(self.shape)

    def view(self, *shape: int) -> Tensor:
        """The images of samples of one image, in another shape."""
        return self.plain.view(*shape)

    def __missing__(self, index: Any) -> Tensor:
        """Index into the images of samples of one image, for every key that is no field."""
        if isinstance(index, str):
            raise KeyError(index)
        return self.plain[index]


def _with_images(value: Any) -> Any:
    """Arguments of a function of torch, with the images in the place of batches."""
    if isinstance(value, ModalBatch):
        return value.plain
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(_with_images(part) for part in value)
    return {key: _with_images(part) for key, part in value.items()} if isinstance(value, dict) else value


class PathBundle(str):
    """Files of one sample: the string is the first modality's file, ``paths`` holds all files.

    torchreid tells images from videos, draws rank lists and collates by ``isinstance(path, str)``, so a bundle has
    to be a string. It carries what torchreid's four-field records have no room for.

    Attributes:
        paths: the modality's name to its file, or to ``None`` where that modality is missing. A part of a strip is a
            path as :func:`promptreid.data.strips.part` writes it.
        camera: 0-based true camera, -1 when unknown. (The record's own ``camid`` is what the evaluator excludes on.)
        labels: further numbers that the data set's file name gives, such as ``{"scene": 12}`` or ``{"time": 1}``.
    """

    paths: dict[str, str | None]
    camera: int
    labels: dict[str, int]

    def __new__(
        cls, paths: Mapping[str, str | None], camera: int = -1, labels: Mapping[str, int] | None = None
    ) -> PathBundle:
        present = [path for path in paths.values() if path is not None]
        if not present:
            raise ValueError(f"a sample needs at least one image; all of {sorted(paths)} are missing")
        bundle = super().__new__(cls, file_of(present[0]))
        bundle.paths = dict(paths)
        bundle.camera = camera
        bundle.labels = dict(labels or {})
        return bundle

    def __reduce__(self) -> tuple[type[PathBundle], tuple[dict[str, str | None], int, dict[str, int]]]:
        return PathBundle, (self.paths, self.camera, self.labels)

    def __deepcopy__(self, memo: dict[int, Any]) -> PathBundle:
        return self  # never changed after construction, and torchreid deep-copies whole train lists
