"""The compiled form of ranks by counting. This file imports numba; :mod:`.counter` imports it when it is worth that.

One sweep over a row serves all of its matches: pieces of the row stay in the L1 cache while each match is compared with
them. The loops have no branches and count in 32 bits, so that the compiler turns them into vector instructions.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

_PIECE = 4096


def _compile(function: Callable[..., None]) -> Callable[..., None]:
    """Compiled without the interpreter's lock, kept in a file between processes where one can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache folder
        return numba.njit(nogil=True)(function)


@numba.njit(nogil=True)
def _num_below(values: np.ndarray, limit: float) -> np.int32:
    count = np.int32(0)
    for index in range(values.size):
        count = np.int32(count + np.int32(values[index] < limit))
    return count


@numba.njit(nogil=True)
def _num_up_to(values: np.ndarray, limit: float) -> np.int32:
    count = np.int32(0)
    for index in range(values.size):
        count = np.int32(count + np.int32(values[index] <= limit))
    return count


@_compile
def add_items_before(distances: np.ndarray, matches: np.ndarray, ranks: np.ndarray) -> None:
    """Add to each match's rank how many items of its row come before it; equal distances rank by column.

    Args:
        distances: (Q, G) float32 or float64, contiguous; items that do not take part are ``inf``.
        matches: (Q, M) int64 columns; -1 fills up the rows, at their ends.
        ranks: (Q, M) int64, changed in place where there is a match.
    """
    num_columns = distances.shape[1]
    for row in range(distances.shape[0]):
        line = distances[row]
        for start in range(0, num_columns, _PIECE):
            stop = min(start + _PIECE, num_columns)
            for slot in range(matches.shape[1]):
                column = matches[row, slot]
                if column < 0:
                    break
                # An equal distance comes before the match in the columns ahead of it only.
                middle = min(max(column, start), stop)
                ahead, behind = line[start:middle], line[middle:stop]
                ranks[row, slot] += _num_up_to(ahead, line[column]) + _num_below(behind, line[column])
