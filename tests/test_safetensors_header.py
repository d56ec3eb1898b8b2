"""Headers of ``.safetensors`` files: none is believed that another program may read otherwise, or that does not fit."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from promptreid.safetensors_header import read_header


def written(path: Path, header: bytes, data: bytes = bytes(8), length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def test_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(save({"x": np.zeros((2, 3), np.float32)}, {"made": "here"}))
    header = read_header(tmp_path / "a.safetensors")
    assert header["x"]["shape"] == [2, 3] and header["__metadata__"] == {"made": "here"}


ENTRY = b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
BROKEN: dict[str, tuple[bytes, int | None, str]] = {
    "longer than the file": (b"{}", 2**62, "a header of 4611686018427387904 bytes in a file of 18"),
    "longer than any": (b"{}", 100_000_001, "a header of 100000001 bytes in a file of 18"),
    "a name twice": (b'{"x":' + ENTRY + b',"x":' + ENTRY + b"}", None, "its header: the name 'x' is there twice"),
    "a key of an entry twice": (b'{"x":{"dtype":"F32","dtype":"I64"}}', None, "the name 'dtype' is there twice"),
    "no JSON": (b"{", None, "its header: "),
    "no text": (b'{"\xff":1}', None, "its header: "),
    "deeply nested": (b"[" * 200_000, None, "its header: "),
    "a list": (b"[]", None, "its header names no tensors"),
    "a number of many digits": (b'{"x":' + b"9" * 10_000 + b"}", None, "its header: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_headers(name: str, tmp_path: Path) -> None:
    header, length, problem = BROKEN[name]
    path = written(tmp_path / "a.safetensors", header, length=length)
    with pytest.raises(ValueError) as caught:
        read_header(path)
    text = str(caught.value)
    assert text.startswith(f"{path} is not a valid .safetensors file (") and problem in text
    assert text.endswith("; copy or download it again")


def test_too_short_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\1\0\0")
    with pytest.raises(ValueError, match=r"a\.safetensors is not a valid .* in a file of 3\)"):
        read_header(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none.safetensors")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_header_or_a_value_error(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    for whole in (content, struct.pack("<Q", len(content)) + content):
        path.write_bytes(whole)
        try:
            assert isinstance(json.dumps(read_header(path)), str)
        except ValueError as error:
            assert str(path) in str(error)
