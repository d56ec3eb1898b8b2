"""What a training says about its prompts: scalars, one line per epoch, and warnings when something is wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from promptreid.engine.optimizers import prompt_families
from promptreid.methods.base import Finding, method_of
from promptreid.models.present_images import NO_IMAGE, labels_of_images

logger = logging.getLogger(__name__)


class PromptMonitor:
    """Measures the prompts once per epoch, on the batch that the epoch ended with.

    It changes nothing in the training: it runs no forward pass, and uses the gradients that are there and no random
    numbers. It measures the gradients of the prompt families, and what the model's method measures.
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
        layers = {name: [layer.detach() for layer in output.get(name, [])] for name in ("prompts", "prompt_logits")}
        if "present" in output:  # prompts belong to images
            rows = len(output["modality"]) if "modality" in output else None
            pids = labels_of_images(pids, output["present"], rows)
            if bool((pids == NO_IMAGE).any()):  # a compiled model has rows without an image
                seen = pids != NO_IMAGE
                pids, layers = pids[seen], {name: [layer[seen] for layer in some] for name, some in layers.items()}
        self._output = {**layers, "pids": pids}

    def report(self, model: Any) -> dict[str, float]:
        """Log what the prompts of the last step and of the model look like, and warn if they have collapsed.

        Returns:
            Scalars: ``<measure>/layer_01`` of each measure of the method and layer, as far as it is defined; and
            ``gradient/<family>``, an L2 norm. The first layer is 1.
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
            self._warn(Finding(
                f"gradient {family}",
                bool(trained) and not any(norms),
                f"NO GRADIENT: the prompts {family!r} did not learn anything from the epoch's last batch; no loss "
                "depends on them, or it has underflowed (train.amp_dtype float16)",
            ))  # fmt: skip
        return scalars

    def _report_prompts(self, model: nn.Module) -> dict[str, float]:
        output, self._output = self._output, {}
        report = method_of(model).report_step(model, output, output["pids"]) if output else None
        if report is None:
            return {}
        scalars = _scalars(report.layers)
        if scalars:
            logger.info("prompts, over the layers: %s", _line(report.layers))
        for finding in report.findings:
            self._warn(finding)
        return scalars

    def _warn(self, finding: Finding) -> None:
        """Once each time it goes wrong, not in each epoch that it stays so."""
        if finding.wrong and finding.kind not in self._warned:
            logger.warning("%s", finding.message)
        (self._warned.add if finding.wrong else self._warned.discard)(finding.kind)


def _scalars(measured: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {
        f"{name}/layer_{layer:02d}": value
        for name, values in measured.items()
        for layer, value in enumerate(values, start=1)
        if math.isfinite(value)
    }


def _line(measured: Mapping[str, Sequence[float]]) -> str:
    """``distance 39.7 to 40.1  spread ...``"""
    defined = {name: [value for value in values if not math.isnan(value)] for name, values in measured.items()}
    ranges = [
        f"{name.replace('_', ' ')} {min(values):.3g} to {max(values):.3g}" for name, values in defined.items() if values
    ]
    return "  ".join(ranges)
