"""Shared style of all pictures: a paper's widths, type sizes and colours; files that appear whole.

matplotlib is imported when a picture is made. No figure goes through pyplot, and no setting of it outlives the picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptreid.files import atomic_path
from promptreid.visual.rank_lists import RIGHT, WRONG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = {"column": 85.0, "page": 174.0, "screen": 125.0}
"""Millimetres of a paper's column, of its page, and of half a screen, on which print is to be larger."""
SUFFIXES = (".png", ".svg")
DPI = 300
_QUALITY = 85  # of JPEG

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#000000", "#999999")
"""Okabe and Ito's colours, which people with any kind of colour vision tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P")
RIGHT_COLOUR, WRONG_COLOUR = ("#{:02X}{:02X}{:02X}".format(*colour) for colour in (RIGHT, WRONG))
BAND_COLOURS = {"visible": "#0072B2", "infrared": "#D55E00", "near_infrared": "#E69F00", "thermal_infrared": "#CC79A7"}

_STYLE: Any = {
    "font.size": 6.5,
    "axes.titlesize": 7,
    "axes.labelsize": 6.5,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "figure.titlesize": 7.5,
    "axes.linewidth": 0.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "lines.linewidth": 1.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "promptreid",
}


@contextmanager
def style() -> Iterator[None]:
    """Set the style of all pictures for a block; matplotlib's settings return to their values afterwards.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise ValueError("pictures need matplotlib: pip install 'promptreid[visual]'") from None
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: str, height: float) -> Figure:
    """Make an empty figure.

    Args:
        width: one of :data:`WIDTHS`.
        height: in millimetres.

    Raises:
        ValueError: another width.
    """
    if width not in WIDTHS:
        raise ValueError(f"width: {width!r} is not one of {', '.join(WIDTHS)}")
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTHS[width] / 25.4, height / 25.4), dpi=DPI, layout="constrained")


def tighten(figure: Figure, pad: float = 0.6) -> None:
    """Reduce the room between the panels, in millimetres."""
    inches = pad / 25.4
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=inches, h_pad=inches, wspace=0, hspace=0)


def save_figure(figure: Figure, path: Path, overwrite: bool = False) -> Path:
    """Write a picture, whole or not at all; the folder is made.

    Args:
        figure: any.
        path: ends in one of :data:`SUFFIXES`.
        overwrite: replace a file of this name.

    Raises:
        ValueError: another suffix.
        FileExistsError: the file is there.
    """
    check_picture_path(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date and no version: the same picture is the same file.
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with style(), atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=metadata)
    return path


def picture_bytes(figure: Figure, kind: str = "png", dpi: int = DPI) -> bytes:
    """Encode a figure as the bytes of a file.

    Args:
        figure: any.
        kind: ``"png"``, or ``"jpeg"`` for photographs, which are a fraction of the size.
        dpi: dots per inch.
    """
    file = io.BytesIO()
    options = {"pil_kwargs": {"quality": _QUALITY}} if kind == "jpeg" else {"metadata": {"Software": None}}
    with style():
        figure.savefig(file, format=kind, dpi=dpi, **options)
    return file.getvalue()


def check_picture_path(path: Path, overwrite: bool = False) -> None:
    """Raise the errors of :func:`save_figure` before the work starts."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"--out {path}: pictures end in {' or '.join(SUFFIXES)}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; give --overwrite to replace it, or another --out")


def marks_of(values: Sequence[Any]) -> dict[Any, tuple[str, str]]:
    """A colour and a marker for each different value, in rising order; 48 pairs, which then repeat."""
    kinds = sorted(set(values))
    return {
        kind: (OKABE_ITO[number % len(OKABE_ITO)], MARKERS[number // len(OKABE_ITO) % len(MARKERS)])
        for number, kind in enumerate(kinds)
    }


def grey_tile(size: tuple[int, int]) -> np.ndarray:
    """Grey tile for an image that cannot be read: (H, W, 3) uint8."""
    return np.full((*size, 3), 200, dtype=np.uint8)


def bare(axes: Any) -> None:
    """Remove the ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
