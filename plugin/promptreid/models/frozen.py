"""Weights that cannot be trained by accident: buffers instead of parameters, outside the state dict.

torchreid sets ``requires_grad = True`` on every parameter in each epoch, puts all of them into its optimiser and saves
whole state dicts. Frozen weights are therefore no parameters at all, so that it only meets the tuned ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def freeze(module: nn.Module, dtype: torch.dtype = torch.float32) -> None:
    """Turn every parameter and buffer of a module into a non-persistent buffer under its own name, in place.

    The module is put into evaluation mode. Parameters that parts share stay shared.

    Args:
        module: Any module.
        dtype: What floating point weights are kept as.
    """
    module.eval()
    kept: dict[int, Tensor] = {}
    for part in module.modules():
        own = {**part._parameters, **part._buffers}
        for name, tensor in own.items():
            if tensor is None:
                continue
            if id(tensor) not in kept:
                frozen = tensor.detach()
                kept[id(tensor)] = frozen.to(dtype) if frozen.is_floating_point() else frozen
            part._parameters.pop(name, None)
            part._buffers.pop(name, None)
            part.register_buffer(name, kept[id(tensor)], persistent=False)


class Frozen(nn.Module):
    """A module whose weights no optimiser, engine or checkpoint sees, and the sha256 by which they are known.

    The state dict has one entry, ``digest`` (uint8, 32). Loading one that holds another digest is an error, whatever
    the loader and also with ``strict=False``: tuned weights mean nothing on other frozen ones. A state dict without
    the digest is an error in strict loading. ``train()`` leaves the module in evaluation mode.

    Args:
        module: Taken over and frozen in place; see :func:`freeze`.
        dtype: What floating point weights are kept as. The digest is over the weights as they are kept.
    """

    digest: Tensor

    def __init__(self, module: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        freeze(module, dtype)
        self.module = module
        self.register_buffer("digest", torch.tensor(list(weights_digest(module)), dtype=torch.uint8))
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own."""
        return self.module(*args, **kwargs)

    def train(self, mode: bool = True) -> Frozen:
        """Stay in evaluation mode."""
        return super().train(False)

    def check_unchanged(self) -> bool:
        """Whether the weights are, bit by bit and in the same dtype, those that the digest was made of."""
        return list(weights_digest(self.module)) == self.digest.tolist()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        theirs = state_dict.get(f"{prefix}digest")
        if theirs is not None and not self._is_own(theirs):
            error_msgs.append(
                f"{prefix}digest: the state dict was trained on other frozen weights (sha256 {_short(theirs)}, here "
                f"{_short(self.digest)}); build the model with the same pretrained file and frozen_dtype"
            )
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def _is_own(self, digest: Any) -> bool:
        return isinstance(digest, Tensor) and digest.tolist() == self.digest.tolist()


def weights_digest(module: nn.Module) -> bytes:
    """The sha256 of a module's parameters and buffers: names in order, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_tensors(module)):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if not tensor.is_meta:  # shapes alone, as when parameters are only counted
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _short(digest: Any) -> str:
    return bytes(digest.tolist()).hex()[:12] if isinstance(digest, Tensor) else "unreadable"
