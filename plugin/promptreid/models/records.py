"""What a state dict says beside the weights, so that none of them is taken for something else.

A record is an entry whose shape is the same in every model. torchreid's loader passes over entries of other shapes and
fills the gaps with the model's own; a record always arrives, and shows then that its weights did not. State dicts
without records, from before there were any, are loaded as they are.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_logger = logging.getLogger(__name__)
_SUFFIX = "_record"
_MEANING = f"modalities{_SUFFIX}"


def is_record(name: str) -> bool:
    """Whether an entry of a state dict is a record, which a loader may miss."""
    return name.endswith(_SUFFIX)


def fit_state(model: nn.Module, state: Mapping[str, Tensor], adopt: bool) -> dict[str, Tensor]:
    """Let every part of a model that can do so fit itself to a state dict, or the state dict to itself.

    A part that can has a method ``fit_state(state, prefix, adopt)``. It may replace tensors of the state dict whose
    names begin with ``prefix``. It raises a ``ValueError`` for a state of other sizes that it cannot take.

    Args:
        model: Of which all parts are asked.
        state: Names and tensors; stays as it is.
        adopt: Parts take on the state's sizes; otherwise they keep their own.

    Returns:
        The state dict to load.
    """
    prepared = dict(state)
    for name, part in model.named_modules():
        fit = getattr(part, "fit_state", None)
        if fit is not None:
            fit(prepared, f"{name}." if name else "", adopt)
    return prepared


class Recorded:
    """A module with records: a mixin, before ``nn.Module`` among the bases."""

    def records(self) -> dict[str, Tensor]:
        """The own records, by names that end in ``_record``."""
        raise NotImplementedError

    def check_records(self, state: dict[str, Tensor], prefix: str) -> None:
        """Look at a state dict before it is loaded.

        Raises:
            ValueError: It belongs to another model.
        """
        raise NotImplementedError

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)  # type: ignore[misc]
        destination.update({f"{prefix}{name}": value for name, value in self.records().items()})

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        metadata: Any,
        strict: bool,
        missing: Any,
        extra: Any,
        errors: Any,
    ) -> None:
        try:
            self.check_records(state_dict, prefix)
        except ValueError as error:
            errors.append(str(error))
            return
        for name in [name for name in state_dict if name.startswith(prefix) and is_record(name)]:
            if "." not in name[len(prefix) :]:
                del state_dict[name]
        super()._load_from_state_dict(  # type: ignore[misc]
            state_dict, prefix, metadata, strict, missing, extra, errors
        )


class KnowsModalities(Recorded):
    """A model whose state dict says what its modalities mean: their names in order and, of some, words for them.

    Attributes:
        meaning: JSON types; None where nothing in the model depends on it.
        words: Ends of the names of entries that hold the meaning itself, for weights that go to another meaning.
    """

    meaning: Any = None
    words: tuple[str, ...] = ()

    def records(self) -> dict[str, Tensor]:
        """The sha256 of the meaning, uint8 (32,)."""
        return {} if self.meaning is None else {_MEANING: self._digest()}

    def check_records(self, state: dict[str, Tensor], prefix: str) -> None:
        """Refuse another meaning; warn where the state dict does not tell its own."""
        if self.meaning is None:
            return
        theirs = state.get(f"{prefix}{_MEANING}")
        if theirs is None:
            _logger.warning(
                "the weights do not say which modalities they were trained with; they are taken for %s", self._said()
            )
        elif theirs.tolist() != self._digest().tolist():
            raise ValueError(
                f"{prefix}{_MEANING}: the state dict was trained with other modalities, in another order or with other "
                f"words (here {self._said()}); build the model with those of its training"
            )

    def fit_state(self, state: dict[str, Tensor], prefix: str, adopt: bool) -> None:
        """Weights that need not fit may come from a model of another meaning: its words stay behind."""
        theirs = state.get(f"{prefix}{_MEANING}")
        if adopt or theirs is None or self.meaning is None or theirs.tolist() == self._digest().tolist():
            return
        _logger.warning("the weights were trained with other modalities, orders or words than %s", self._said())
        state[f"{prefix}{_MEANING}"] = self._digest()
        for name in [name for name in state if name.startswith(prefix) and name.endswith(self.words or "\0")]:
            del state[name]

    def _digest(self) -> Tensor:
        content = json.dumps(self.meaning, ensure_ascii=True).encode()
        return torch.tensor(list(hashlib.sha256(content).digest()), dtype=torch.uint8)

    def _said(self) -> str:
        return "; ".join(", ".join(part) if isinstance(part, list) else str(part) for part in self.meaning if part)
