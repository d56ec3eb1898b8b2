"""Which of the two ways to count ranks a problem gets; both give the same ranks."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from promptreid.evaluation.ranking.counting import stable_ranks

Counter = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(Q, G) distances and (Q, M) matches to (Q, M) ranks, see :func:`.counting.stable_ranks`."""

# Loading the compiled way takes half a second, compiling it a second or two, once per machine. Tensor operations make
# this many comparisons in about a second on one core.
_WORTH_COMPILING = 1 << 30
_log = logging.getLogger(__name__)


def choose_counter(comparisons: int, device: torch.device) -> Counter:
    """The compiled way for large problems on the CPU where numba can be imported, else tensor operations.

    Args:
        comparisons: of a match with a gallery item, in the whole problem.
        device: of the distances.
    """
    if device.type != "cpu" or comparisons < _WORTH_COMPILING:
        _log.debug("ranks by tensor operations: %d comparisons on %s", comparisons, device.type)
        return stable_ranks
    try:
        from promptreid.evaluation.ranking import kernel  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: its library is there and cannot be loaded
        _log.debug("ranks by tensor operations, ten times slower: numba cannot be imported (%s)", error)
        return stable_ranks
    _log.debug("ranks by the compiled kernel: %d comparisons", comparisons)
    return compiled_ranks


def compiled_ranks(distances: torch.Tensor, matches: torch.Tensor) -> torch.Tensor:
    """:func:`.counting.stable_ranks` for tensors on the CPU, compiled.

    Raises:
        ImportError: numba is not there.
    """
    from promptreid.evaluation.ranking import kernel

    ranks = (matches >= 0).long()
    kernel.add_items_before(distances.contiguous().numpy(), matches.contiguous().numpy(), ranks.numpy())
    return ranks
