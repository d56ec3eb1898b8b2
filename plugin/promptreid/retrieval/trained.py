"""Embedder in PyTorch: the functions that need the weights of the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from promptreid.json_texts import read_json
from promptreid.models.frozen import Frozen
from promptreid.models.parameter_count import count_parameters
from promptreid.retrieval.bundles import card_of, write_bundle
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embedder import Embedder
from promptreid.retrieval.torch_backend import TorchBackend

DEFAULT = "default"
_logger = logging.getLogger(__name__)


class TrainedEmbedder(Embedder):
    """An embedder that runs in PyTorch. Its weights can be saved, exchanged and folded.

    Args:
        model: what its vectors are.
        backend: runs it.
        data: the record of its training data.
        results: contents of the run's ``results-*.json`` by data set, for the card.
        kwargs: as :class:`Embedder`.
    """

    backend: TorchBackend

    def __init__(
        self,
        model: ModelDescription,
        backend: TorchBackend,
        data: Mapping[str, Any],
        results: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, backend, **kwargs)
        self._results = dict(results or {})
        self._adapters: dict[str, tuple[ModelDescription, nn.Module, dict[str, Any]]] = {
            DEFAULT: (model, backend.model, dict(data))
        }
        self._active, self._folded = DEFAULT, False

    @property
    def network(self) -> nn.Module:
        """Model in evaluation mode."""
        return self.backend.model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights, configuration and card in the Hugging Face hub's layout; :func:`promptreid.load` reads it.

        Weights of a frozen tower stay out; they are named by their sha256.

        Raises:
            ValueError: the model was folded, or the file system refuses.
        """
        card = card_of(self.model, self._results if self._active == DEFAULT else None)
        write_bundle(Path(folder), self._tuned(), self.model, self._data, card=card)

    def save_adapter(self, folder: str | Path) -> None:
        """Write the weights that make descriptors and a JSON that describes their tower, in the layout of peft.

        Raises:
            ValueError: the model was folded, or the file system refuses.
        """
        write_bundle(Path(folder), self._tuned(), self.model, self._data, adapter=True)

    @property
    def adapters(self) -> list[str]:
        """The names of the tuned weights that are loaded; the first ones are called ``default``."""
        return list(self._adapters)

    @property
    def active_adapter(self) -> str:
        """Name of the tuned weights in use."""
        return self._active

    def load_adapter(self, folder: str | Path, name: str, tower: str | Path | None = None) -> None:
        """Load other tuned weights for the same frozen tower; memory holds the tower once.

        Args:
            folder: what :meth:`save_adapter` or :meth:`save_pretrained` wrote, a run's folder, or a file of weights.
            name: by which :meth:`set_adapter` finds it.
            tower: the tower's pretrained weights, as in :func:`promptreid.load`.

        Raises:
            ValueError: the name is taken, nothing here is frozen, or the weights belong to another tower.
            FileNotFoundError: no such folder.
        """
        from promptreid.retrieval.loading import load_parts

        if name in self._adapters:
            raise ValueError(f"adapter {name!r} is there already; choose another name")
        here = frozen_parts(self.network)
        if not here:
            raise ValueError(
                f"{self.model.name} has no frozen tower that adapters could share; load each model with promptreid.load"
            )
        model, description, data = load_parts(Path(folder), tower=tower)
        for part, theirs in frozen_parts(model).items():
            ours = here.get(part)
            if ours is None or ours.digest.tolist() != theirs.digest.tolist():
                raise ValueError(
                    f"{folder}: its weights were tuned on another frozen tower ({part}: sha256 "
                    f"{bytes(theirs.digest.tolist()).hex()[:12]}); load it with promptreid.load"
                )
            parent, _, own = part.rpartition(".")
            setattr(model.get_submodule(parent), own, ours)
        self._adapters[name] = (description, model.to(self.backend.device).eval(), data)

    def set_adapter(self, name: str) -> None:
        """Switch to other tuned weights.

        Raises:
            ValueError: no such adapter.
        """
        if name not in self._adapters:
            raise ValueError(f"adapter {name!r} is none of {', '.join(self._adapters)}; load it with load_adapter")
        description, self.backend.model, _ = self._adapters[name]
        self._active = name
        self.use(description)

    def trainable_parameters(self) -> tuple[int, int]:
        """Number of trained parameters, without classifiers, and of all parameters."""
        unused = tuple(getattr(self.network, "training_only", ("classifier.",)))
        counts = {
            name: count for name, count in count_parameters(self.network).items() if not f"{name}.".startswith(unused)
        }
        tuned = sum(count.trainable for count in counts.values())
        return tuned, tuned + sum(count.frozen for count in counts.values())

    def print_trainable_parameters(self) -> None:
        """Log :meth:`trainable_parameters`, as peft prints them."""
        tuned, everything = self.trainable_parameters()
        _logger.info(
            "trainable params: %s || all params: %s || trainable%%: %.4f",
            f"{tuned:,}", f"{everything:,}", 100 * tuned / everything,
        )  # fmt: skip

    def fold(self) -> list[str]:
        """Replace parts that are constant after training by tables: same vectors, less memory and computation.

        A folded model is saved no more; export it.

        Returns:
            the names of the parts that became tables.
        """
        self._folded = True
        return self.backend.fold()

    @property
    def _data(self) -> dict[str, Any]:
        return self._adapters[self._active][2]

    def _tuned(self) -> dict[str, Tensor]:
        if self._folded:
            raise ValueError("the model was folded and cannot be saved; load it anew")
        unused = tuple(getattr(self.network, "training_only", ("classifier.",)))
        return {name: value for name, value in self.network.state_dict().items() if not name.startswith(unused)}


def frozen_parts(model: nn.Module) -> dict[str, Frozen]:
    """The frozen parts of a model by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, Frozen)}


def results_beside(folder: Path) -> dict[str, Any]:
    """The results of a run by data set; empty for anything else."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("results-*.json")) if folder.is_dir() else ():
        if not path.name.endswith(".eval.json"):
            record = read_json(path, "a file of results", "test again, or remove it")
            found[str(record.get("dataset", path.stem))] = record
    return found
