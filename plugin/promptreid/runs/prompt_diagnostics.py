"""What training made of a model's prompts: its method's measures, on the model as built and as trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from promptreid.engine.checkpoints.random_state import random_states_kept, seed_everything
from promptreid.engine.feature_extraction import distinct_splits
from promptreid.methods.base import NO_METHOD, method_named
from promptreid.runs.build import build_model
from promptreid.runs.load_trained import open_target, trained_engine


@dataclass(frozen=True)
class PromptReport:
    """The measures before and after training.

    Attributes:
        before: measures of the model as the run built it: a dataclass of lists, and what each is called in ``labels``.
        after: those of the trained one.
        identities: P, among the test images.
    """

    before: Any
    after: Any
    identities: int

    def text(self) -> str:
        """A table in plain text: the smallest and the largest value of the layers."""
        lines = [f"prompts on {self.identities} unseen identities (chance {1 / self.identities:.3f}), over the layers"]
        lines.append(f"{'':48}{'before':>20}{'after':>20}")
        for name, label in self.after.labels.items():
            values = [_range(getattr(measures, name)) for measures in (self.before, self.after)]
            lines.append(f"{label:48}{values[0]:>20}{values[1]:>20}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, None for what is not defined."""
        stages = {"before": self.before, "after": self.after}
        return {
            "identities": self.identities,
            **{
                stage: {field.name: [_plain(v) for v in getattr(measures, field.name)] for field in fields(measures)}
                for stage, measures in stages.items()
            },
        }


@random_states_kept()
def diagnose_prompts(cfg: Any) -> PromptReport:
    """Measure the prompts on the test images of a run's one target, before and after its training.

    Before: the model of ``train.seed`` that the run started from. After: ``model.load_weights``, or else the run's
    newest checkpoint. Nothing is written.

    Args:
        cfg: a tree from ``load_config``.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or checkpoint that cannot be used, or a model
            whose prompts nobody measures.
    """
    datamanager, name = open_target(cfg)
    loaders = datamanager.test_loader[name]
    seed_everything(cfg.train.seed)
    images = [loaders[split] for split in distinct_splits({name: each.dataset for name, each in loaders.items()})]
    for loader in images:
        loader.dataset.on_bad_image = "stop"  # what is measured leaves nothing out
    method = method_named(cfg.model.name) or NO_METHOD
    use_gpu = torch.cuda.is_available()
    fresh = build_model(cfg, datamanager, use_gpu).eval()
    try:
        before, count = method.diagnose(fresh.cuda() if use_gpu else fresh, images)
    except ValueError as error:
        raise ValueError(f"model.name {cfg.model.name!r}: {error}") from None
    trained: Any = trained_engine(cfg, datamanager).model
    after, _ = method.diagnose(getattr(trained, "module", trained), images)
    return PromptReport(before, after, count)


def _range(values: Sequence[float]) -> str:
    defined = [value for value in values if not math.isnan(value)]
    return f"{min(defined):.3g} to {max(defined):.3g}" if defined else "-"


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
