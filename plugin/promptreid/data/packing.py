"""Images decoded and resized once, in one file that all workers share.

A pack is two files: ``NAME.npy`` with one (N, height, width, 3) uint8 array, and ``NAME.json``, which says which image
is in which row, how it was made and what its file looked like then. Each part of a strip has its own row. The array is
memory-mapped: it takes no memory of its own, and the operating system keeps one copy of what is read for all processes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from promptreid.data.arrays import names_row
from promptreid.data.batch import PathBundle
from promptreid.data.images import read_image, read_in_turn
from promptreid.data.sixteen_bit import FULL, Range16
from promptreid.data.strips import file_of
from promptreid.files import NO_ROOM, atomic_path, explained_writes
from promptreid.json_texts import parse_json
from promptreid.numpy_files import map_npy

VERSION = 1
REMEDY = "make it again with promptreid pack, or leave data.pack empty"
_KEYS = {"height", "width", "interpolation", "library", "files"}
_PROBES = 8  # images that are decoded and compared when a pack is put to use

Pixels = NDArray[np.uint8]


class Pack:
    """The images of a pack, by the paths of the files they were made from.

    Args:
        file: the ``.npy`` file; its ``.json`` lies beside it.
        root: folder to which the paths in the index are relative, the one that was packed (``data.root``).

    Raises:
        FileNotFoundError: one of the two files is missing.
        ValueError: they don't belong together, or aren't a pack.
    """

    def __init__(self, file: str | Path, root: str | Path) -> None:
        self.file = Path(file).expanduser()
        index = _read_index(self.file)
        self.height, self.width = index["height"], index["width"]
        self.interpolation: str = index["interpolation"]
        self.range_16bit: str = index.get("range_16bit", str(FULL))  # which older packs don't tell
        self._made_with = index["library"]
        base = Path(root).expanduser().absolute()
        self._sources = {os.path.normpath(base / name): source for name, *source in index["files"]}
        self._rows = {path: row for row, path in enumerate(self._sources)}
        self._pixels: Pixels | None = None
        expected = (len(index["files"]), self.height, self.width, 3)
        if self._map().shape != expected or self._map().dtype != np.uint8:
            raise ValueError(f"{self.file}: its array doesn't fit {_index_of(self.file).name}; {REMEDY}")

    def __len__(self) -> int:
        return len(self._rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pixels": None}  # a worker maps the file itself: pickling would copy all pixels

    def read(self, path: str) -> Image.Image:
        """The image of ``path``, exactly as decoding and resizing that file gives it.

        Raises:
            ValueError: the file isn't in the pack.
        """
        row = self._rows.get(os.path.abspath(path))
        if row is None:
            raise ValueError(f"{path} isn't in the pack {self.file}; {REMEDY}")
        return Image.fromarray(self._map()[row])

    def check(
        self, files: Sequence[str], height: int, width: int, interpolation: str, range_16bit: Range16 = FULL
    ) -> None:
        """Refuse what isn't exactly these images at this size.

        Every file has to be in the pack and as large and as old as when it was packed, or else have the same
        content. A few are decoded and compared, for another version of Pillow may decode differently.

        Args:
            files: paths of the images that will be read.
            height, width: pixels that the run trains at.
            interpolation: filter with which it would resize.
            range_16bit: of 16-bit images, with which it would read them.

        Raises:
            ValueError: the pack is another one, or older than a file.
            FileNotFoundError: a file is gone.
        """
        self._check_making(height, width, interpolation, range_16bit)
        known: set[tuple[Any, ...]] = set()  # the parts of a strip have one file, which is looked at once
        for path in files:
            source = self._sources.get(os.path.abspath(path))
            if source is None:
                raise ValueError(f"data.pack {self.file}: {path} isn't in it; {REMEDY}")
            state = (file_of(path), *source)
            if state not in known and not _is_unchanged(*state):
                raise ValueError(f"data.pack {self.file}: {path} has changed since it was packed; {REMEDY}")
            known.add(state)
        for path in files[:: max(1, len(files) // _PROBES)]:
            if not np.array_equal(np.asarray(self.read(path)), decode(path, height, width, interpolation, range_16bit)):
                raise ValueError(
                    f"data.pack {self.file}: {path} decodes to other pixels; the pack was made with Pillow "
                    f"{self._made_with}, here is {PIL.__version__}; {REMEDY}"
                )

    def _check_making(self, height: int, width: int, interpolation: str, range_16bit: Range16) -> None:
        if (self.height, self.width) != (height, width):
            raise ValueError(
                f"data.pack {self.file} holds images of {self.height} x {self.width}, but data.height and data.width "
                f"ask for {height} x {width}; {REMEDY}"
            )
        if self.interpolation != interpolation:
            raise ValueError(
                f"data.pack {self.file} was resized with {self.interpolation}, but data.augment.interpolation is "
                f"{interpolation}; {REMEDY}"
            )
        if self.range_16bit != str(range_16bit):
            raise ValueError(
                f"data.pack {self.file} was made with data.range_16bit {self.range_16bit}, but the run asks for "
                f"{range_16bit}; {REMEDY}"
            )

    def _map(self) -> Pixels:
        if self._pixels is None:
            # A plain array over the map, so that its rows are plain arrays and not memmaps of their own.
            self._pixels = map_npy(self.file, REMEDY)
        return self._pixels


def files_of(records: Iterable[tuple[Any, ...]]) -> list[str]:
    """Every image file, or part of a strip, that a data set's records name, once, in their order."""
    found: dict[str, None] = {}
    for path, *_ in records:
        names = path.paths.values() if isinstance(path, PathBundle) else [path]
        found.update(dict.fromkeys(str(name) for name in names if name is not None))
    return list(found)


def decode(path: str, height: int, width: int, interpolation: str, range_16bit: Range16 = FULL) -> Pixels:
    """A file as (height, width, 3) uint8, decoded and resized as a chain of transforms does it."""
    return _resized(read_image(path, range_16bit=range_16bit), height, width, interpolation)


def _resized(image: Image.Image, height: int, width: int, interpolation: str) -> Pixels:
    return np.asarray(image.resize((width, height), Image.Resampling[interpolation.upper()]))


def write_pack(
    file: str | Path,
    root: str | Path,
    files: Sequence[str],
    height: int,
    width: int,
    interpolation: str,
    watch: Callable[[Sequence[str]], Iterable[str]] = iter,
    range_16bit: Range16 = FULL,
) -> None:
    """Decode and resize ``files`` into a pack, which appears whole or not at all.

    Args:
        file: ``.npy`` file to write; its index goes beside it.
        root: folder to which the paths in the index are relative.
        files: paths of the images, the parts of a strip next to each other.
        height, width: in pixels.
        interpolation: ``bilinear``, ``bicubic`` or ``lanczos``.
        watch: wraps the files as they are read, such as a progress bar.
        range_16bit: of 16-bit images.

    Raises:
        ValueError: another suffix than ``.npy``, no image, a file that isn't one, or a disk without room.
        FileNotFoundError: a file doesn't exist.
    """
    target = Path(file).expanduser()
    if target.suffix != ".npy":
        raise ValueError(f"{target}: the file of a pack ends in .npy")
    if not files:
        raise ValueError(f"{target}: there is no image to pack")
    in_arrays = next(filter(names_row, files), None)
    if in_arrays is not None:
        raise ValueError(f"{target}: {in_arrays} is in an array, decoded and resized already; train without data.pack")
    base = Path(root).expanduser().absolute()
    index = _index_of(target)
    refused = explained_writes(target, "what was there before is whole: make room, or write it elsewhere", only=NO_ROOM)
    with refused, atomic_path(index) as index_part, atomic_path(target) as temporary:
        entries = _fill(temporary, base, files, (height, width), interpolation, watch, range_16bit)
        head = {"version": VERSION, "height": height, "width": width, "interpolation": interpolation}
        made = {"range_16bit": str(range_16bit), "library": PIL.__version__}
        index_part.write_text(json.dumps({**head, **made, "files": entries}), encoding="utf-8")
        index.unlink(missing_ok=True)  # from here until the end there is no pack, so never a mixed one


def _fill(
    part: Path,
    base: Path,
    files: Sequence[str],
    size: tuple[int, int],
    interpolation: str,
    watch: Callable[[Sequence[str]], Iterable[str]],
    range_16bit: Range16,
) -> list[tuple[Any, ...]]:
    """Write the array of a pack; the entries of its index."""
    entries = []
    pixels = np.lib.format.open_memmap(part, "w+", np.uint8, (len(files), *size, 3))
    _keep_room(part)
    file_before, details = "", []
    for row, (path, image) in enumerate(read_in_turn(watch(files), range_16bit)):
        if file_of(path) != file_before:
            file_before, details = file_of(path), _describe(file_of(path))
        pixels[row] = _resized(image, *size, interpolation)
        entries.append((os.path.relpath(path, base), *details))
    pixels.flush()
    return entries


def _keep_room(file: Path) -> None:
    """Have the disk's room for a whole file now: a page that finds none while it is written ends the process."""
    if not hasattr(os, "posix_fallocate"):  # not on macOS and Windows
        return
    with open(file, "r+b") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # file systems that cannot
                raise


def _index_of(file: Path) -> Path:
    return file.with_suffix(".json")


def _read_index(file: Path) -> dict[str, Any]:
    for part in (file, _index_of(file)):
        if not part.is_file():
            raise FileNotFoundError(f"data.pack: {part} doesn't exist; {REMEDY}")
    try:
        index = parse_json(_index_of(file).read_bytes())
    except ValueError as error:
        raise ValueError(f"{_index_of(file)}: not the index of a pack ({error}); {REMEDY}") from None
    if not isinstance(index, dict) or index.get("version") != VERSION or _KEYS - index.keys():
        raise ValueError(f"{_index_of(file)}: not the index of a pack of version {VERSION}; {REMEDY}")
    sizes, files = (index["height"], index["width"]), index["files"]
    whole = all(isinstance(size, int) for size in sizes)
    if not whole or not isinstance(files, list) or not all(map(_is_entry, files)):
        raise ValueError(f"{_index_of(file)}: its sizes or files are none of a pack; {REMEDY}")
    return index


def _is_entry(entry: Any) -> bool:
    """Whether this is a file's name with what :func:`_describe` says of it."""
    kinds = (str, int, int, str)
    return isinstance(entry, list) and len(entry) == 4 and all(map(isinstance, entry, kinds)) and "\0" not in entry[0]


def _is_unchanged(path: str, size: int, mtime: int, digest: str) -> bool:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image file, but data.pack has it; restore the data set") from None
    # A copied data set has new times, so the content decides then.
    return stat.st_size == size and (stat.st_mtime_ns == mtime or _digest(path) == digest)


def _describe(file: str) -> list[Any]:
    """Size, time and content of a file, as ``_is_unchanged`` takes them."""
    stat = os.stat(file)
    return [stat.st_size, stat.st_mtime_ns, _digest(file)]


def _digest(path: str) -> str:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
