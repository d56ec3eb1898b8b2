"""How many bytes of tensors there are at each moment of a computation, on any device."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Within the block, each operation is followed by a count of the bytes of all tensors that it and others before
    have made and that still exist, each storage once.

    The forward and the backward pass of this thread are seen, what is recomputed too; memory that a kernel takes for
    itself is not.

    Args:
        own: Tensors that exist before the block and are not counted, nor views of them.

    Attributes:
        moments: The bytes after each operation, in their order.
    """

    def __init__(self, own: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.moments: list[int] = []
        self._own = {tensor.untyped_storage()._cdata for tensor in own}
        self._live: dict[int, tuple[int, weakref.ref[Any]]] = {}
        self._bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the operation, and count."""
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._see(value)
        self.moments.append(self._bytes)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place in self._own or place in self._live:
            return
        size = storage.nbytes()
        self._bytes += size
        self._live[place] = (size, weakref.ref(storage, lambda _: self._forget(place)))

    def _forget(self, place: int) -> None:
        self._bytes -= self._live.pop(place)[0]
