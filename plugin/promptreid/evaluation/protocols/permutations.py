"""SYSU-MM01's official gallery draws: the authors' file of random frame permutations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.evaluation.matlab_files import read_variables
from promptreid.evaluation.protocols.cells import Cells

_REMEDY = (
    "rand_perm_cam.mat is not part of the data set's archive; take evaluation/data_split/rand_perm_cam.mat from the "
    "SYSU-MM01 repository on GitHub (wuancong/SYSU-MM01) and put it into the data set's exp folder"
)
_NUM_CAMERAS = 6
_NUM_ROWS = 10


@dataclass(frozen=True, eq=False)
class Permutations:
    """Ten permutations of every cell's frames.

    Attributes:
        rows: ``(pid, camid)``, camid 0-based -> (10, frames) int64, 0-based positions in the cell.
    """

    rows: dict[tuple[int, int], np.ndarray]

    def draw(self, cells: Cells, shots: int, trial: int) -> np.ndarray:
        """The first ``shots`` images of row ``trial`` of every cell, camera by camera, as the MATLAB code lists them.

        Raises:
            ValueError: a cell is missing or its number of images differs from the permutations'.
        """
        ordered = sorted(cells, key=lambda cell: (cell[1], cell[0]))
        picks = [cells[cell][self._row(cell, trial, len(cells[cell]))[:shots]] for cell in ordered]
        return np.concatenate(picks) if picks else np.empty(0, dtype=np.int64)

    def _row(self, cell: tuple[int, int], trial: int, num_images: int) -> np.ndarray:
        rows = self.rows.get(cell)
        length = 0 if rows is None else rows.shape[1]
        if rows is None or length != num_images:
            raise ValueError(
                f"gallery: identity {cell[0]} has {num_images} images in camera {cell[1] + 1}, but rand_perm_cam.mat "
                f"permutes {length}; the official draw needs the complete test set, in frame order"
            )
        return rows[trial]


def load_rand_perm_cam(path: str | Path) -> Permutations:
    """Read the official permutations.

    Args:
        path: ``rand_perm_cam.mat``.

    Raises:
        FileNotFoundError: there is no such file; the message tells where to get it.
        ValueError: the file is not what the SYSU-MM01 authors published.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. {_REMEDY}")
    table = _read(path)
    if table.shape != (_NUM_CAMERAS, 1) or table.dtype != object:
        raise ValueError(f"{path}: rand_perm_cam has shape {table.shape}, expected one cell per camera. {_REMEDY}")
    rows = {
        (pid, camera): _check_rows(path, np.asarray(rows), camera, pid)
        for camera in range(_NUM_CAMERAS)
        for pid, rows in enumerate(np.asarray(table[camera, 0]).ravel(), start=1)
        if np.size(rows)
    }
    return Permutations(rows)


def _read(path: Path) -> Any:
    try:
        return read_variables(path, ["rand_perm_cam"])[0]["rand_perm_cam"]
    except (KeyError, ValueError) as error:
        reason = "it has no such variable" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: cannot be read as MATLAB file with rand_perm_cam ({reason}). {_REMEDY}") from None


def _check_rows(path: Path, rows: np.ndarray, camera: int, pid: int) -> np.ndarray:
    numeric = rows.ndim == 2 and np.issubdtype(rows.dtype, np.number)
    if not numeric or len(rows) != _NUM_ROWS or not (np.sort(rows, axis=1) == np.arange(1, rows.shape[1] + 1)).all():
        raise ValueError(f"{path}: camera {camera + 1}, identity {pid}: expected {_NUM_ROWS} permutations. {_REMEDY}")
    return rows.astype(np.int64) - 1
