"""Tables of images and of features: CSV, Parquet, ``.npz``, ``.safetensors``, ``.mat`` and ``.npy`` files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import scipy.io
from safetensors.numpy import save as safetensors_bytes
from tests.fuzz.outcome import Target
from tests.fuzz.source import Source

from promptreid.data import arrays
from promptreid.datasets import table
from promptreid.evaluation.features_io import load_features
from promptreid.evaluation.protocols.permutations import load_rand_perm_cam
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.object_lists import from_table

MODEL = ModelDescription("toy", "a" * 64, ("visible", "infrared"), 1, 32, 16, (0.5,) * 3, (0.5,) * 3, 4, None)
FEATURES: dict[str, np.ndarray] = {
    "features": np.arange(16, dtype=np.float32).reshape(4, 4),
    "pids": np.array([1, 2, 1, 2]),
    "camids": np.array([0, 0, 1, 1]),
    "split": np.array(["query", "query", "gallery", "gallery"], dtype=object),
    "scenes": np.array([1, 2, 3, 4]),
    "paths": np.array(["a", "b", "a", "b"], dtype=object),
}
COLUMNS = {name: values.tolist() for name, values in FEATURES.items()}
IMAGES = {"path": ["a.jpg", "b.jpg"], "pid": [1, 2], "camid": ["0", "1"], "split": ["query", "gallery"]}


def both_tables(file: Path, content: bytes) -> object:
    """A table of images, as data and as what is to be embedded."""
    for name in ("a.jpg", "b.jpg"):
        (file.parent / name).touch()
    file.write_bytes(content)
    try:
        table.read(file)
    except (ValueError, OSError) as error:
        if str(file.parent) not in str(error):
            raise
    return from_table(file, MODEL, "visible")


def of_file(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """Write the bytes as a file and read it."""

    def parse(folder: Path, content: bytes) -> object:
        (folder / name).write_bytes(content)
        return read(folder / name)

    return parse


def _features(file: Path) -> object:
    """A table of features and what protocols ask of it."""
    found = load_features(file)
    return found.modalities


def made_parquet(
    folder: Path,
    content: bytes,
    read: Callable[[Path], object],
    columns: dict[str, Any],
    about: dict[str, str] | None = None,
) -> object:
    """A Parquet file of altered columns of every type."""
    source = Source(content)
    names, made = list(columns), [_column(source, values) for values in columns.values()]
    for _ in range(source.number(0, 2)):
        names.append(source.choice([*columns, "id", "x"]))
        made.append(_column(source, list(range(len(made[0])))))
    keep = min(map(len, made))
    kept = [column.slice(0, keep) for column in made]
    texts: dict[Any, Any] = dict(about or {})
    if source.once_in(3):
        texts |= {b"pandas": source.text().encode("utf-8", "replace"), b"a": source.bytes(4)}
    if about and source.once_in(3):
        name = source.choice(sorted(about))
        texts[name] = source.altered_text(about[name]) if about[name][:1] in "{[" else source.text()
    texts = {name: text.encode("utf-8", "replace") if isinstance(text, str) else text for name, text in texts.items()}
    file = folder / "a.parquet"
    parquet.write_table(arrow.Table.from_arrays(kept, names=names).replace_schema_metadata(texts), file)
    return read(file)


def _column(source: Source, values: Any) -> Any:
    if not source.once_in(3):
        return values if isinstance(values, arrow.Array) else arrow.array(values)
    plain = values.to_pylist() if isinstance(values, arrow.Array) else list(values)
    kind = source.choice(KINDS)
    if source.once_in(3):
        plain = [None if source.once_in(2) else value for value in plain]
    if arrow.types.is_map(kind):  # pyarrow 26 ends the process on keys that are null
        plain = [[(source.text().encode("utf-8", "replace").decode(), 1)] for _ in plain]
        return arrow.array(plain, kind)
    try:
        return arrow.array([source.value() for _ in plain] if source.once_in(2) else plain, kind)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError):
        return arrow.nulls(len(plain), kind)


KINDS = (
    arrow.int8(),
    arrow.uint64(),
    arrow.float16(),
    arrow.string(),
    arrow.large_string(),
    arrow.binary(),
    arrow.bool_(),
    arrow.timestamp("ns"),
    arrow.date32(),
    arrow.decimal128(30, 3),
    arrow.null(),
    arrow.list_(arrow.int64()),
    arrow.list_(arrow.float32(), 3),
    arrow.struct([("a", arrow.int8())]),
    arrow.dictionary(arrow.int8(), arrow.string()),
    arrow.map_(arrow.string(), arrow.int8()),
    arrow.duration("s"),
    arrow.time64("us"),
    arrow.list_(arrow.list_(arrow.int8())),
)


def made_npz(folder: Path, content: bytes) -> object:
    """An ``.npz`` file of altered arrays."""
    source = Source(content)
    with (folder / "a.npz").open("wb") as file:
        np.savez(file, **{_file_name(name): _plain(value) for name, value in _altered(source).items()})
    return _features(folder / "a.npz")


def _file_name(name: str) -> str:
    return name.encode("utf-8", "replace").decode().replace("\0", "") or "b"


def made_safetensors(folder: Path, content: bytes) -> object:
    """A ``.safetensors`` file of altered arrays and texts."""
    source = Source(content)
    tensors = {name.encode("utf-8", "replace").decode(): _plain(value) for name, value in _altered(source).items()}
    numbers = {name: np.ascontiguousarray(value) for name, value in tensors.items() if value.dtype.kind in "fiub"}
    texts = {name: source.altered_text('["a", "b", "a", "b"]') for name in ("paths", "modality") if source.once_in(2)}
    (folder / "a.safetensors").write_bytes(safetensors_bytes(numbers, texts))
    return _features(folder / "a.safetensors")


def made_matlab(folder: Path, content: bytes) -> object:
    """A ``.mat`` file of altered variables, by columns or by sides."""
    source = Source(content)
    whole = FEATURES if source.once_in(2) else _sides()
    names = {
        name: value for name, value in source.altered_arrays(whole).items() if name.isidentifier() and len(name) < 31
    }
    if source.once_in(4):
        names["pids"] = {"a": source.array(), "b": [source.text()]}  # type: ignore[assignment]
    if source.once_in(4):
        names["query_f"] = np.full((2, 2), 1 + 1j) if source.once_in(2) else source.array().astype(object)
    try:
        scipy.io.savemat(folder / "a.mat", names, do_compression=source.once_in(2))
    except (TypeError, ValueError, UnicodeError):  # what MATLAB's format cannot hold
        return None
    return _features(folder / "a.mat")


def made_permutations(folder: Path, content: bytes) -> object:
    """``rand_perm_cam.mat`` with altered cells."""
    source = Source(content)
    cells = np.empty((6, 1), dtype=object)
    for camera in range(6):
        cells[camera, 0] = np.empty((2, 1), dtype=object)
        for person in range(2):
            rows = np.tile(np.arange(1, 4), (10, 1))
            cells[camera, 0][person, 0] = source.array() if source.once_in(4) else rows
        if source.once_in(4):
            cells[camera, 0] = source.choice([source.array(), {"a": 1}, source.text()])
    name = source.choice(["rand_perm_cam", "rand_perm_cam", "other"])
    try:
        scipy.io.savemat(folder / "a.mat", {name: source.array() if source.once_in(6) else cells})
    except (TypeError, ValueError, UnicodeError):
        return None
    return load_rand_perm_cam(folder / "a.mat")


def _sides() -> dict[str, np.ndarray]:
    return {
        f"{side}_{name}": value
        for side in ("query", "gallery")
        for name, value in (("f", FEATURES["features"]), ("label", FEATURES["pids"]), ("cam", FEATURES["camids"]))
    }


def _altered(source: Source) -> dict[str, np.ndarray]:
    split = np.array([0, 0, 1, 1]) if source.once_in(2) else FEATURES["split"].astype(str)
    return source.altered_arrays({**FEATURES, "split": split})


def _plain(values: np.ndarray) -> np.ndarray:
    """Texts as numpy writes them without pickle."""
    if values.dtype != object:
        return values
    return np.array([str(text).encode("utf-8", "replace").decode() for text in values.ravel()], dtype=str).reshape(
        values.shape
    )


def _saved(write: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _parquet_seeds(columns: dict[str, Any]) -> list[bytes]:
    found = arrow.table({name: list(values) for name, values in columns.items()})
    many = arrow.table({name: [values[0]] * 50 for name, values in columns.items()})
    return [
        _saved(lambda file: parquet.write_table(found, file, compression="none")),
        _saved(lambda file: parquet.write_table(many, file)),
    ]


def _npy(header: str) -> bytes:
    text = header.encode() + b" " * (64 - (len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def _npy_seeds() -> list[bytes]:
    images = np.zeros((2, 3, 2, 3), np.uint8)
    headers = [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 1000, 1000, 3), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 3, 2, 3), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '|u1')], 'fortran_order': True, 'shape': (2,), }",
        "{'descr': ('|u1', 9), 'fortran_order': 3, 'shape': (2L,), }",
        "(" * 200,
    ]
    return [_saved(lambda file: np.save(file, images))] + [_npy(header) + bytes(36) for header in headers]


def _npz_seeds() -> list[bytes]:
    import zipfile

    huge = _saved(lambda file: zipfile.ZipFile(file, "w").writestr("features.npy", b""))
    claims = io.BytesIO()
    with zipfile.ZipFile(claims, "w") as archive:
        for name in ("features", "pids", "camids", "split"):
            archive.writestr(f"{name}.npy", _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (200000000, 4), }"))
    plain = {name: _plain(value) for name, value in FEATURES.items()}
    return [
        _saved(lambda file: np.savez(file, **plain)),
        _saved(lambda file: np.savez_compressed(file, **plain)),
        huge,
        claims.getvalue(),
    ]


def _mat_seeds() -> list[bytes]:
    cell = np.array([["a", 1.0], [np.array([1]), ""]], dtype=object)
    made = [FEATURES, _sides(), {"features": cell, "pids": {"a": 1}, "camids": "text"}]
    plain = [_saved(lambda file, part=part: scipy.io.savemat(file, part)) for part in made]  # type: ignore[misc]
    packed = _saved(lambda file: scipy.io.savemat(file, FEATURES, do_compression=True))
    return [*plain, packed, _saved(lambda file: scipy.io.savemat(file, _sides(), format="4"))]


def _image_seeds() -> list[bytes]:
    return [
        b"path,pid,camid,split\na.jpg,1,0,query\nb.jpg,2,1,gallery\n",
        b"visible,infrared,pid,camid,split,scene\na.jpg,b.jpg,1,0,test,3\n,b.jpg,2,1,train,4\n",
        b"path,band,id,camera\na.jpg,RGB,x,3\nb.jpg,infrared,y,\n",
        b'path,pid,camid,split\n"a.jpg,1,0,query\n',
        b"path,path\na,b\n",
        b"",
        b"\xff\xfe",
        b"path\n" + b"x" * 200_000,
        b"path,pid,camid,split\na.jpg," + b"9" * 5000 + b"," + "٣".encode() + b",test\n",
        b"path,camera\na.jpg,--3\n",
        b"path,camera\na.jpg," + b"9" * 5000,
    ]


CSV = (
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"path",
    b"pid",
    b"camid",
    b"split",
    b"visible",
    b"infrared",
    b"scene",
    b"modality",
    b"query",
    b"gallery",
    b"train",
    b"test",
    b"a.jpg",
    b"b.jpg",
    b"-1",
    b"nan",
    "٣".encode(),
    b"9" * 30,
    b"camera",
    b"id",
)
ZIP = (
    b"PK\3\4",
    b"PK\1\2",
    b"PK\5\6",
    b"\x93NUMPY",
    b"'descr': ",
    b"'shape': (",
    b"<f4",
    b"|O",
    b"<U9",
    b"features.npy",
)
MAT = (b"MATLAB 5.0", *(struct.pack("<I", number) for number in (1, 5, 6, 9, 14, 15, 16, 17, 18, 2**31, 2**32 - 1)))

TARGETS = [
    Target("table_csv", lambda folder, content: both_tables(folder / "a.csv", content), _image_seeds, CSV),
    Target(
        "table_parquet",
        lambda folder, content: both_tables(folder / "a.parquet", content),
        lambda: _parquet_seeds(IMAGES),
        (b"PAR1",),
    ),
    Target(
        "made_table",
        lambda folder, content: made_parquet(
            folder, content, lambda file: both_tables(file, file.read_bytes()), IMAGES
        ),
        lambda: [bytes(8)],
    ),
    Target("npz", of_file("a.npz", _features), _npz_seeds, ZIP),
    Target("made_npz", made_npz, lambda: [bytes(8)]),
    Target("parquet", of_file("a.parquet", _features), lambda: _parquet_seeds(COLUMNS), (b"PAR1",)),
    Target(
        "made_parquet", lambda folder, content: made_parquet(folder, content, _features, COLUMNS), lambda: [bytes(8)]
    ),
    Target("made_safetensors", made_safetensors, lambda: [b"\1", bytes(8)]),
    Target("mat", of_file("a.mat", _features), _mat_seeds, MAT),
    Target("made_mat", made_matlab, lambda: [bytes(8)]),
    Target("permutations", of_file("a.mat", load_rand_perm_cam), _mat_seeds, MAT),
    Target("made_permutations", made_permutations, lambda: [bytes(8)]),
    Target("npy", of_file("a.npy", arrays.load_pixels), _npy_seeds, ZIP),
]
