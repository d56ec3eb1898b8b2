"""Several processes that train one model together, as torchrun starts them; everything here is a no-op for one alone.

Calls that say *all processes* have to be made by each of them, in the same order: a process that leaves one out makes
the others wait for it until the timeout.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

distributed = torch.distributed
Outcome = TypeVar("Outcome")

_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_OF_USERS = (ValueError, TypeError, FileNotFoundError)
_TIMEOUT = 1800.0  # seconds


def rank() -> int:
    """The number of this process among those that train together, from 0."""
    return distributed.get_rank() if _grouped() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _grouped() else 1


def is_writer() -> bool:
    """Whether this process is the one, of those that train together, that writes files."""
    return rank() == 0


@contextmanager
def process_group(timeout: float = _TIMEOUT, use_gpu: bool | None = None) -> Iterator[None]:
    """Within the block the processes that torchrun has started know one another; alone, or nested, nothing changes.

    Tensors on GPUs travel by nccl, each process on the GPU of its LOCAL_RANK; those on the CPU by gloo.

    Args:
        timeout: seconds that a process waits for the others before it ends with an error.
        use_gpu: GPUs, or the CPU alone; GPUs where there are any, when None.

    Raises:
        ValueError: more processes on this machine than GPUs.
    """
    if _grouped() or not all(name in os.environ for name in _LAUNCHED):
        yield
        return
    cuda = torch.cuda.is_available() if use_gpu is None else use_gpu
    if cuda:
        torch.cuda.set_device(_gpu(int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()))
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(seconds=timeout))
    ended = False
    try:
        yield
        ended = True
    finally:
        # After an error others may be in the middle of an exchange, and nccl would wait for them to take leave.
        if ended or not cuda:
            distributed.destroy_process_group()


def barrier() -> None:
    """Wait until all processes are here."""
    largest(0)


def largest(value: int) -> int:
    """The largest of the processes' values; all processes."""
    if world_size() == 1:
        return value
    shared = torch.tensor(value)
    distributed.all_reduce(shared, distributed.ReduceOp.MAX)
    return int(shared)


def mean_of(values: Tensor) -> Tensor:
    """The mean of the processes' tensors of one shape; all processes."""
    if world_size() == 1:
        return values
    shared = values.clone()
    distributed.all_reduce(shared)
    return shared / world_size()


def gather_objects(value: Any) -> list[Any]:
    """What each process has, in their order; all processes."""
    values: list[Any] = [value]
    if world_size() > 1:
        values *= world_size()
        distributed.all_gather_object(values, value)
    return values


def gather_to_first(values: Tensor) -> list[Tensor]:
    """The processes' tensors (n_r, ...) on the CPU, which differ in their first size alone; all processes.

    Returns:
        in the first process all of them, in their order; elsewhere none.
    """
    if world_size() == 1:
        return [values]
    lengths = gather_objects(len(values))
    padded = values.new_zeros(max(lengths), *values.shape[1:])
    padded[: len(values)] = values
    parts = [torch.empty_like(padded) for _ in lengths] if is_writer() else None
    distributed.gather(padded, parts)
    return [part[:length] for part, length in zip(parts or [], lengths, strict=False)]


def first_does(action: Callable[[], Outcome]) -> Outcome:
    """What ``action`` returns in the first process, which alone runs it, for all processes; its error likewise.

    Raises:
        Exception: the action's own in the first process; in the others one with the same message.
    """
    if world_size() == 1:
        return action()
    box: list[Any] = [None, None]
    caught: Exception | None = None
    if rank() == 0:
        try:
            box[0] = action()
        except Exception as error:
            caught, box[1] = error, _described(error)
    distributed.broadcast_object_list(box)
    _raise_shared(caught, box[1])
    outcome: Outcome = box[0]
    return outcome


def together(action: Callable[[], Outcome]) -> Outcome:
    """Run ``action`` in all processes; none goes on before it has succeeded in all.

    Raises:
        Exception: the action's own where it failed; in the others one with the message of the first that failed.
    """
    if world_size() == 1:
        return action()
    outcome: Any = None
    caught: Exception | None = None
    try:
        outcome = action()
    except Exception as error:
        caught = error
    errors = gather_objects(None if caught is None else _described(caught))
    _raise_shared(caught, next((error for error in errors if error is not None), None))
    result: Outcome = outcome
    return result


def share_buffers(model: nn.Module) -> None:
    """Give all processes the first one's buffers, as far as a state dict has them: the statistics of BNNecks.

    Each process normalises its own share of a batch, so its running statistics are its own; a test has to use those
    that are saved.
    """
    if world_size() == 1:
        return
    kept = model.state_dict()
    for name, buffer in model.named_buffers():
        if name in kept:
            distributed.broadcast(buffer, 0)


def _grouped() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())


def _gpu(local_rank: int, gpus: int) -> int:
    if local_rank >= gpus:
        raise ValueError(
            f"LOCAL_RANK {local_rank}: this machine has {gpus} GPUs for its processes; start torchrun with "
            f"--nproc-per-node {gpus} at most, or hide the GPUs with CUDA_VISIBLE_DEVICES="
        )
    return local_rank


def _described(error: Exception) -> tuple[type[Exception], str]:
    """An error in a form that can be sent; others than a user's lose their type, which may not be known elsewhere."""
    kind: type[Exception] = next((kind for kind in _OF_USERS if isinstance(error, kind)), RuntimeError)
    return kind, str(error)


def _raise_shared(own: Exception | None, described: tuple[type[Exception], str] | None) -> None:
    if own is not None:
        raise own
    if described is not None:
        kind, message = described
        raise kind(message)
