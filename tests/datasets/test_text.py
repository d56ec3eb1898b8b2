"""Lists are read as UTF-8, with Windows' mark or without; what is something else is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptreid.datasets.lists import read_ids
from promptreid.datasets.llcm import LLCM
from promptreid.datasets.regdb import RegDB
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.datasets.text import read_text


def test_the_mark_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf7,12\r\n")
    assert read_ids(path) == [7, 12]
    path.write_text("Grüße", encoding="utf-8")
    assert read_text(path) == "Grüße"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("1,2".encode("utf-16"), "UTF-16"),
        ("1,2".encode("utf-16-be"), "UTF-16 or binary"),
        ("1,2".encode("utf-16-le"), "UTF-16 or binary"),
        ("\ufeff1,2".encode("utf-16-be"), "UTF-16"),
        ("1,2\nGröße".encode("latin-1"), r"another encoding than UTF-8 \(byte 0xf6 in line 2\)"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "test_id.txt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"test_id\.txt: the text is in {what}; save it as UTF-8"):
        read_text(tmp_path / "test_id.txt")


def rewrite(path: Path, encoding: str) -> None:
    path.write_bytes(path.read_text().encode(encoding))


@pytest.mark.parametrize("name", ["idx/train_visible_1.txt", "idx/test_thermal_1.txt"])
def test_of_regdb(small_regdb: Path, name: str) -> None:
    rewrite(small_regdb / name, "utf-8-sig")
    assert len(RegDB(str(small_regdb), verbose=False).query) == 12
    rewrite(small_regdb / name, "utf-16")
    with pytest.raises(ValueError, match=rf"{name}: the text is in UTF-16"):
        RegDB(str(small_regdb), verbose=False)


@pytest.mark.parametrize("name", ["idx/train_nir.txt", "idx/test_id.txt"])
def test_of_llcm(small_llcm: Path, name: str) -> None:
    rewrite(small_llcm / name, "utf-8-sig")
    assert len(LLCM(str(small_llcm), verbose=False).query) == 12
    rewrite(small_llcm / name, "utf-16")
    with pytest.raises(ValueError, match=rf"{name}: the text is in UTF-16"):
        LLCM(str(small_llcm), verbose=False)


@pytest.mark.parametrize("name", ["exp/train_id.txt", "exp/val_id.txt", "exp/test_id.txt"])
def test_of_sysu(noise_tree: Path, name: str) -> None:
    rewrite(noise_tree / name, "utf-8-sig")
    assert len(SYSUMM01(str(noise_tree), verbose=False).train) == 48
    rewrite(noise_tree / name, "utf-16")
    with pytest.raises(ValueError, match=rf"{name}: the text is in UTF-16"):
        SYSUMM01(str(noise_tree), verbose=False)
