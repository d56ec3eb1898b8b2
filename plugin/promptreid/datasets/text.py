"""Text files of data sets."""

from __future__ import annotations

from pathlib import Path

_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without the mark that Windows' editors put at its beginning.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another encoding.
    """
    content = path.read_bytes()
    encoding = _OTHER_ENCODINGS.get(content[:2], "UTF-16 or binary" if b"\0" in content else "")
    if not encoding:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            encoding = f"another encoding than UTF-8 (byte {content[error.start]:#04x} in line {line})"
    raise ValueError(
        f"{path}: the text is in {encoding}; save it as UTF-8 (iconv -f <encoding> -t UTF-8, or the editor's Save As)"
    )
