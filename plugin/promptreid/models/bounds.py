"""What a file of weights may not do: take far more memory or time than its size suggests, or hold no numbers."""

from __future__ import annotations

import mmap
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from promptreid.numpy_files import FREE, unpacked_size

__all__ = ["check_allocations", "check_claims", "check_opcodes", "not_finite", "unpacked_size"]

_SHARING = 4  # times their storage that tensors may count together; tied weights are counted twice
_ALLOCATING = b"bytearray"  # the one function of the pickles that torch reads which takes memory by a number
_RISKY = {"BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER", "EXT1", "EXT2", "EXT4"}


def check_allocations(path: Path) -> None:
    """Refuse a pickle that asks for memory by a mere number.

    Raises:
        ValueError: it does.
    """
    if any(_ALLOCATING in content for content in _pickles(path)):
        raise ValueError(f"{path} holds a bytearray, which no weights need: save its state_dict() alone")


def _pickles(path: Path) -> Iterator[Any]:
    """The bytes in which a file's pickles are: of a zip file its ``.pkl`` entries, also two of one name."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield _Mapped(content)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield from [archive.read(entry) for entry in archive.infolist() if entry.filename.endswith(".pkl")]
    except Exception as error:  # broken archives, and ways to pack that Python does not know
        raise ValueError(f"{path} is a broken zip file ({error}); copy or download it again") from None


class _Mapped:
    """A mapped file, of which ``in`` does not make a copy."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content

    def __contains__(self, part: bytes) -> bool:
        return self.content.find(part) >= 0


def check_opcodes(content: bytes) -> None:
    """Refuse a pickle whose instructions take memory by a mere number, or numbers for places that it cannot have.

    Raises:
        ValueError: it does, or it is broken.
    """
    for opcode, argument, _ in pickletools.genops(content):
        far = opcode.name == "LONG_BINPUT" and int(argument or 0) > len(content)
        if opcode.name in _RISKY or far:
            raise ValueError(f"its pickle has the instruction {opcode.name} {argument}, which no weights need")


def check_claims(content: Any, unpacked: int, path: Path) -> None:
    """Refuse tensors that count far more numbers than the file has, as views that repeat one number do.

    Args:
        content: what was read: tensors in nested mappings and lists.
        unpacked: see :func:`unpacked_size`.
        path: the file, for the message.

    Raises:
        ValueError: they do.
    """
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))
    if claimed > _SHARING * unpacked + FREE:
        raise ValueError(f"{path}: tensors of {claimed} bytes in a file of {unpacked}; copy or download it again")


def not_finite(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors with NaN or infinity, unless the model's own entry of this name has such, too."""
    return [name for name, value in state.items() if not _finite(value) and (name not in own or _finite(own[name]))]


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value.float() if value.itemsize == 1 else value).all())


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every tensor, each container once: a pickle may hold lists that hold themselves."""
    waiting, seen = [content], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, Mapping | list | tuple) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend(part.values() if isinstance(part, Mapping) else part)
