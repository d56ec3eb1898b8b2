"""What a training says about its prompts: scalars, one line per epoch, and warnings when something is wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from promptreid.engine.optimizers import prompt_families
from promptreid.methods.mip.diagnostics import (
    identity_variance_ratio,
    instance_prompt_spread,
    modality_prompt_distance,
    prompt_accuracy,
    relative_spread,
)
from promptreid.methods.mip.model import MIP
from promptreid.methods.mip.options import MIPOptions
from promptreid.models.present_images import labels_of_images

logger = logging.getLogger(__name__)

COLLAPSED_SPREAD = 1e-3  # of the prompts' own length; a newly initialised ViT-B has 0.25 to 0.7
COLLAPSED_RATIO = 0.5  # prompts that are independent of the identity have 1


class PromptMonitor:
    """Measures the prompts once per epoch, on the batch that the epoch ended with.

    It changes nothing in the training: it runs no forward pass, and uses the gradients that are there and no random
    numbers. Of a MIP it measures the prompts themselves, of every model the gradients of its prompt families.
    """

    def __init__(self) -> None:
        self._output: dict[str, Any] = {}
        self._warned: set[str] = set()

    def keep(self, output: Any, pids: Tensor) -> None:
        """Remember the last training step.

        Args:
            output: The model's ``PromptOutput``; anything else is passed over.
            pids: Classes of the samples, shape (B,).
        """
        if not isinstance(output, Mapping):
            return
        logits = [layer.detach() for layer in output.get("prompt_logits", [])]
        if "present" in output:  # prompts belong to images
            pids = labels_of_images(pids, output["present"])
        self._output = {"prompts": output.get("prompts", []), "prompt_logits": logits, "pids": pids}

    def report(self, model: Any) -> dict[str, float]:
        """Log what the prompts of the last step and of the model look like, and warn if they have collapsed.

        Returns:
            Scalars such as ``distance/layer_01``: ``distance``, ``spread``, ``identity_ratio`` and ``accuracy`` of each
            layer, as far as they are defined; and ``gradient/<family>``, an L2 norm. The first layer is 1.
        """
        model = getattr(model, "module", model)  # behind DataParallel
        return {**self._report_prompts(model), **self._report_gradients(model)}

    def _report_gradients(self, model: nn.Module) -> dict[str, float]:
        if all(parameter.grad is None for parameter in model.parameters()):
            return {}
        scalars = {}
        for family, parameters in prompt_families(model).items():
            trained = [parameter for parameter in parameters if parameter.requires_grad]
            norms = [float(parameter.grad.norm()) for parameter in trained if parameter.grad is not None]
            scalars[f"gradient/{family}"] = math.hypot(*norms)
            self._warn(
                f"gradient {family}",
                bool(trained) and not any(norms),
                f"NO GRADIENT: the prompts {family!r} did not learn anything from the epoch's last batch; no loss "
                "depends on them, or it has underflowed (train.amp_dtype float16)",
            )
        return scalars

    def _report_prompts(self, model: nn.Module) -> dict[str, float]:
        if not isinstance(model, MIP) or not self._output:
            return {}
        prompts, pids = self._output["prompts"], self._output["pids"]
        measured = {
            "distance": modality_prompt_distance(model),
            "spread": instance_prompt_spread(prompts),
            "identity_ratio": identity_variance_ratio(prompts, pids),
            "accuracy": prompt_accuracy(self._output["prompt_logits"], pids),
        }
        scalars = _scalars(measured)
        if scalars:
            logger.info("prompts, over the layers: %s", _line(measured))
        if not _copies_by_design(model.options):
            self._warn_of_copies(relative_spread(prompts))
        self._warn_of_lost_identity(measured["identity_ratio"])
        self._output = {}
        return scalars

    def _warn_of_copies(self, spreads: list[float]) -> None:
        layers = [str(layer) for layer, spread in enumerate(spreads, start=1) if spread <= COLLAPSED_SPREAD]
        self._warn(
            "copies",
            bool(layers),
            f"COLLAPSED PROMPTS: the instance prompts of layer {', '.join(layers)} are copies of one another, which "
            "this model does not intend; see docs/mip.md, Diagnostics",
        )

    def _warn_of_lost_identity(self, ratios: list[float]) -> None:
        defined = [ratio for ratio in ratios if not math.isnan(ratio)]
        self._warn(
            "identity",
            bool(defined) and max(defined) < COLLAPSED_RATIO,
            f"COLLAPSED PROMPTS: the instance prompts of every layer vary less than {COLLAPSED_RATIO} times as much "
            "between identities as within them; see docs/mip.md, Diagnostics",
        )

    def _warn(self, kind: str, wrong: bool, message: str) -> None:
        """Once each time it goes wrong, not in each epoch that it stays so."""
        if wrong and kind not in self._warned:
            logger.warning("%s", message)
        (self._warned.add if wrong else self._warned.discard)(kind)


def _copies_by_design(options: MIPOptions) -> bool:
    return options.generator == "ipg" and options.queries == "zero"


def _scalars(measured: Mapping[str, list[float]]) -> dict[str, float]:
    return {
        f"{name}/layer_{layer:02d}": value
        for name, values in measured.items()
        for layer, value in enumerate(values, start=1)
        if math.isfinite(value)
    }


def _line(measured: Mapping[str, list[float]]) -> str:
    """``distance 39.7 to 40.1  spread ...``"""
    defined = {name: [value for value in values if not math.isnan(value)] for name, values in measured.items()}
    ranges = [
        f"{name.replace('_', ' ')} {min(values):.3g} to {max(values):.3g}" for name, values in defined.items() if values
    ]
    return "  ".join(ranges)
