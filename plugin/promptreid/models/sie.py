"""Side information embeddings (SIE) of TransReID."""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.inputs import UNKNOWN_CAMERA, assert_in_program, being_traced
from promptreid.models.records import Recorded

_logger = logging.getLogger(__name__)
_ROWS = "rows_record"
_REMEDY = f"build the model with more cameras, or mark them {UNKNOWN_CAMERA} (unknown)"


class SideInformation(Recorded, nn.Module):
    """One learned vector per camera (or modality), scaled, to be added to all tokens.

    An unknown id gets the neutral vector, the mean of the table: it favours no camera, and equals what the trained
    vectors have in common. ``UNKNOWN_CAMERA`` asks for it; any other id outside the table is an error in training
    and, with one warning, neutral in evaluation, where galleries may hold new cameras.

    Args:
        count: Rows of the table.
        dim: D.
        weight: Scale lambda; 3.0 in TransReID and MIP.

    References:
        He et al., TransReID: Transformer-based Object Re-Identification, ICCV 2021.
    """

    def __init__(self, count: int, dim: int, weight: float = 3.0) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"side information needs at least one row, got count={count}")
        self.weight = weight
        self.table = nn.Parameter(torch.empty(count, dim))
        nn.init.trunc_normal_(self.table, std=0.02)
        self._strangers: set[int] = set()  # a set, so that DataParallel's replicas share it and warn once

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ids (B,); returns (B, 1, D).

        Raises:
            ValueError: In training, an id that is neither in the table nor ``UNKNOWN_CAMERA``.
        """
        count = self.table.shape[0]
        known = (ids >= 0) & (ids < count)
        strange = ~known & (ids != UNKNOWN_CAMERA)
        if not being_traced():
            self._check(ids[strange])
        elif self.training:
            assert_in_program(~strange.any(), f"camera ids are outside the table of {count}; {_REMEDY}")
        table = torch.cat([self.table, self.table.mean(dim=0, keepdim=True)])
        return self.weight * F.embedding(torch.where(known, ids, count), table).unsqueeze(1)

    def records(self) -> dict[str, Tensor]:
        """How many rows the table has."""
        return {_ROWS: torch.tensor(self.table.shape[0])}

    def check_records(self, state: dict[str, Tensor], prefix: str) -> None:
        """See :meth:`fit_state`."""
        self.fit_state(state, prefix, adopt=True)

    def fit_state(self, state: dict[str, Tensor], prefix: str, adopt: bool) -> None:
        """Take on the number of rows of a state dict.

        Raises:
            ValueError: The state dict is said to have another number of rows than it has: they were left out.
        """
        table, rows = state.get(f"{prefix}table"), state.get(f"{prefix}{_ROWS}")
        if table is None or table.ndim != 2 or not adopt:
            state.pop(f"{prefix}{_ROWS}", None)
            return
        if rows is not None and int(rows) != table.shape[0]:
            raise ValueError(
                f"{prefix}table: the weights are of a model with {int(rows)} cameras, and a loader that goes by shape "
                f"has left their {int(rows)} rows out for {table.shape[0]} of its own; use model.load_state_dict, "
                "which takes on their number, or build the model with as many"
            )
        if table.shape[1] == self.table.shape[1] and table.shape != self.table.shape:
            own = self.table.detach()
            more = own.mean(dim=0).expand(max(0, table.shape[0] - own.shape[0]), -1)
            self.table.data = torch.cat([own, more])[: table.shape[0]].clone()

    def _check(self, strangers: Tensor) -> None:
        if not len(strangers):
            return
        found = set(strangers.tolist())
        message = f"camera ids {sorted(found)} are outside the table of {self.table.shape[0]}"
        if self.training:
            raise ValueError(f"{message}; {_REMEDY}")
        if not self._strangers:
            _logger.warning("%s: they, and any others, get the mean camera embedding", message)
        self._strangers |= found
