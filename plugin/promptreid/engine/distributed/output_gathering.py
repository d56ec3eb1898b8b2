"""The outputs of all processes as one batch, so that a loss mines among all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from promptreid.engine.distributed.process_group import distributed, rank, world_size

_NOT_LEARNT = ("prompts",)  # of a PromptOutput: detached, large, and for diagnostics only


def gather_batch(output: Any, pids: Tensor) -> tuple[Any, Tensor]:
    """A model's output and the identities, of all processes in the order of their ranks; all processes call it.

    Gradients flow into the rows of this process. Each process computes the same loss of the whole batch from this, so
    the gradient of its own rows is complete, and nothing is exchanged backwards. The gradient of a weight is the *sum*
    over processes; ``DistributedDataParallel``, which averages them, has to be given the loss times their number.

    Args:
        output: tensors (n, ...) in dicts, lists and tuples. The tensors' number and their sizes but the first are the
            same in all processes; n may differ, as that of the images of incomplete samples does. The ``prompts`` of a
            ``PromptOutput``, which no loss reads, stay this process's own.
        pids: (b,).
    """
    tensors = [pids, *_tensors(output)]
    gathered = iter(gather_rows(tensors))
    shared_pids = next(gathered)
    return _rebuilt(output, gathered), shared_pids


def gather_rows(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor (n_r, ...) with the rows of all processes, (n_0 + n_1 + .., ...); see :func:`gather_batch`."""
    if world_size() == 1:
        return list(tensors)
    lengths = _lengths(tensors)
    pieces: list[list[Tensor]] = [[] for _ in tensors]
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        chosen = [number for number, tensor in enumerate(tensors) if tensor.dtype == dtype]
        widths = [tensors[number].shape[1:].numel() for number in chosen]
        counts = [[lengths[process][number] for number in chosen] for process in range(world_size())]
        sizes = [[n * width for n, width in zip(row, widths, strict=True)] for row in counts]
        for process, flat in enumerate(_all_flat([tensors[number] for number in chosen], max(map(sum, sizes)))):
            for number, piece in zip(chosen, flat[: sum(sizes[process])].split(sizes[process]), strict=True):
                pieces[number].append(piece.reshape(-1, *tensors[number].shape[1:]))
    for number, tensor in enumerate(tensors):
        pieces[number][rank()] = tensor  # the same values, with their history
    return [torch.cat(parts) for parts in pieces]


def _lengths(tensors: Sequence[Tensor]) -> list[list[int]]:
    own = torch.tensor([len(tensor) for tensor in tensors])
    every = [torch.empty_like(own) for _ in range(world_size())]
    distributed.all_gather(every, own)
    return [one.tolist() for one in every]


def _all_flat(tensors: Sequence[Tensor], size: int) -> list[Tensor]:
    """Tensors of one dtype, one behind the other and filled up to ``size``, of each process."""
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    padded = torch.cat([flat, flat.new_zeros(size - len(flat))])
    every = [torch.empty_like(padded) for _ in range(world_size())]
    distributed.all_gather(every, padded)
    return every


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key not in _NOT_LEARNT:
                yield from _tensors(value)
    else:
        for value in tree:
            yield from _tensors(value)


def _rebuilt(tree: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return next(tensors)
    if isinstance(tree, dict):
        return type(tree)(
            {key: value if key in _NOT_LEARNT else _rebuilt(value, tensors) for key, value in tree.items()}
        )
    return type(tree)([_rebuilt(value, tensors) for value in tree])
