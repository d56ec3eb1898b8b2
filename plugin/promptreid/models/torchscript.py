"""The tensors of a TorchScript archive, without its program.

``torch.jit.load`` compiles the archive's code and may run parts of it (``__setstate__``), with all that torch's
operators can do, and ``torch.load(weights_only=True)`` refuses such archives. The tensors are in a pickle beside that
code, which is read here with an unpickler that builds tensors, lists and empty objects, and nothing else.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from promptreid.models.bounds import check_opcodes

_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


_MOST = 100_000
"""Modules in an archive; a part that two modules share counts twice."""


class _Object:
    """Stands for any object of the archive; its attributes are kept, its methods are not there."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Tensors(pickle.Unpickler):
    """Unpickles an archive's ``data.pkl``."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        content = archive.read(f"{root}data.pkl")
        check_opcodes(content)
        super().__init__(io.BytesIO(content))
        self.archive, self.root = archive, root
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Object
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module == "torch.jit._pickle" and name.startswith(("build_", "restore_type_tag")):
            return lambda data, *_: data
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is neither a tensor nor a module")

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, count = pid
        if key not in self.storages:
            data = bytearray(self.archive.read(f"{self.root}data/{key}"))
            self.storages[key] = (
                torch.frombuffer(data, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)
            )
        return self.storages[key]


def _rebuild(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive: a zip file that has code in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def read_torchscript(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    """All tensors of an archive's module, by the names of its attributes.

    Raises:
        Exception: The archive is broken or holds something else; anything that pickle, zipfile or torch raise.
    """
    root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
    module = _Tensors(archive, root).load()
    return dict(_walk("", module, (), iter(range(_MOST))))


def _walk(prefix: str, value: Any, above: tuple[int, ...], left: Iterator[int]) -> Iterator[tuple[str, Tensor]]:
    if next(left, None) is None:
        raise ValueError(f"it has more than {_MOST} modules, as one that repeats its parts in each other")
    for name, part in vars(value).items():
        if isinstance(part, Tensor):
            yield f"{prefix}{name}", part
        elif isinstance(part, _Object) and id(part) not in above:
            yield from _walk(f"{prefix}{name}.", part, (*above, id(part)), left)
