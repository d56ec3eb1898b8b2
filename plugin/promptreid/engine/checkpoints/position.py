"""How far a training has come."""

from __future__ import annotations

from typing import Any, NamedTuple


class Position(NamedTuple):
    """A point between two optimisation steps.

    Attributes:
        epoch: finished epochs.
        step: batches of the next epoch that are done.
        batches: batches of the whole run that are done.
        evaluated: whether the test that follows the last finished epoch is done, where there is one.
    """

    epoch: int = 0
    step: int = 0
    batches: int = 0
    evaluated: bool = False

    @classmethod
    def of(cls, state: dict[str, Any]) -> Position:
        """The position of a checkpoint, also of one of torchreid's."""
        return cls(
            int(state["epoch"]),
            int(state.get("step", 0)),
            int(state.get("batches", 0)),
            bool(state.get("evaluated", False)),
        )

    def after(self, record: dict[str, Any]) -> bool:
        """Whether a record of ``metrics.jsonl`` was made before this point; its epoch counts from 1."""
        if record.get("final"):
            return False
        if "step" in record:
            return (record["epoch"], record["step"]) <= (self.epoch + 1, self.step)
        return bool(record["epoch"] < self.epoch + self.evaluated)

    def __str__(self) -> str:
        return f"epoch {self.epoch}" + (f" and {self.step} batches" if self.step else "")
