"""Base class of methods: a family of models, its configuration keys, its loss and its diagnostics.

The engine and the runs know this file alone and ask the method, so another method needs no change anywhere else:
subclass :class:`Method`, and hand an object of it to :func:`register_method`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor, nn

from promptreid import host
from promptreid.config.schema import Flat, Key, Section
from promptreid.config.sections import register_section
from promptreid.losses.identity_triplet import IdentityTripletLoss
from promptreid.losses.registry import LOSSES

Builder = Callable[..., nn.Module]
_HOST_ARGUMENTS = {"num_classes": 1, "loss": "softmax", "pretrained": False, "use_gpu": False}


@dataclass(frozen=True)
class DataFacts:
    """Facts of the data that shape a model.

    Attributes:
        cameras: how many there are.
        modalities: their names; a modality's id is its index.
        images_per_sample: M.
        image_size: height and width in pixels.
    """

    cameras: int
    modalities: tuple[str, ...]
    images_per_sample: int
    image_size: tuple[int, int]


class Finding(NamedTuple):
    """Possible fault in a training step.

    Attributes:
        kind: what is looked at; a message is logged once each time that its kind goes wrong.
        wrong: whether it is.
        message: what to say then.
    """

    kind: str
    wrong: bool
    message: str


class StepReport(NamedTuple):
    """Report of a method on an epoch's last training step.

    Attributes:
        layers: one value per layer, by the name of the measure; nan where it is not defined.
        findings: what was looked at for mistakes.
    """

    layers: Mapping[str, Sequence[float]]
    findings: Sequence[Finding] = ()


class Method:
    """Method: a family of models. A subclass overrides its own parts; every part has a default.

    Attributes:
        name: of the method and of its node of the configuration, lower case.
        title: heading of its keys in the documentation; the name when empty.
        keys: its keys, named without the node; see :class:`~promptreid.config.schema.Key`.
        reads: beginnings of shared keys that it reads besides, such as ``backbone.``.
        renamed: full names of keys in earlier releases; each with its name of today and its default of then.
        models: by name, what torchreid's ``build_model`` calls with ``num_classes``, ``loss``, ``pretrained`` and
            ``use_gpu``. Models take a ``ModalBatch`` and return, in training with ``loss="prompt"``, a
            :class:`~promptreid.models.outputs.PromptOutput`; see ``docs/extending.md``.
        model_types: classes of its models, so that an engine finds the method of a model that it is given.
        losses: losses of its own by name, which ``torchreid.losses`` then has under their class names.
    """

    name: str = ""
    title: str = ""
    keys: Sequence[Key] = ()
    reads: Sequence[str] = ()
    renamed: Mapping[str, tuple[str, Any]] = {}
    models: Mapping[str, Builder] = {}
    model_types: tuple[type[nn.Module], ...] = ()
    losses: Mapping[str, type[nn.Module]] = {}

    def arguments(self, cfg: Any, data: DataFacts, weights_follow: bool) -> dict[str, Any]:
        """Return further arguments of the builder of ``cfg.model.name``.

        By default: the keys of the method's node, and of ``data`` and ``strict_pretrained`` what the builder's
        signature names.

        Args:
            cfg: a tree from ``load_config``.
            data: of the data that the model is for.
            weights_follow: a checkpoint is loaded next.

        Raises:
            ValueError: keys that contradict each other.
        """
        known = {**vars(data), "strict_pretrained": True}
        named = inspect.signature(self.models[cfg.model.name]).parameters
        own = {key.name: cfg[self.name][key.name] for key in self.keys if "." not in key.name}
        return {**{name: value for name, value in known.items() if name in named}, **own}

    def criterion(self, cfg: Any, model: Any) -> nn.Module:
        """The loss for ``loss.name: prompt``: cross-entropy and triplet over the model's heads by default.

        Returns:
            a module that is called with the model's ``PromptOutput`` and the identities, and returns the total and a
            dict of its parts. It may have ``set_epoch(number from 1)``.
        """
        loss = cfg.loss.prompt
        return IdentityTripletLoss(loss.weight_x, loss.weight_t, loss.label_smoothing, loss.margin or None)

    def learning_rates(self, cfg: Any) -> dict[str, float]:
        """Factors on ``train.lr`` by role; modules name the roles of their parameters in ``learning_rate_roles``."""
        return dict(cfg.train.lr_mult)

    def contradictions(self, flat: Flat) -> Iterator[str]:
        """One line for each pair of keys that contradict each other, where the method is in use."""
        return iter(())

    def checkpoint_is_whole(self, cfg: Any) -> bool:
        """Whether a checkpoint holds all weights of the model, so that pretrained ones need not be found first."""
        return True

    def prepare(self, model: Any, cfg: Any, use_gpu: bool) -> None:
        """Last changes to a built model before its engine is made.

        Raises:
            ValueError: keys that ask for what the model cannot.
        """

    def start(self, model: Any, cfg: Any, samples: Callable[[int], Any]) -> None:
        """First values that depend on the training data, before a training that starts anew.

        A training that is continued, and a test, have the values that were trained; all processes do the same.

        Args:
            model: as built.
            cfg: a tree from ``load_config``.
            samples: gives a batch of so many training samples, as the model takes them. They are drawn by
                ``train.seed`` and augmented like others; no random state changes.

        Raises:
            ValueError: data that cannot give them.
        """

    def every_step_uses_all(self, model: Any, criterion: Any) -> bool:
        """Whether it is certain that each step gives each trained parameter a gradient, so none is looked for."""
        return False

    def report_step(self, model: Any, output: Mapping[str, Any], pids: Tensor) -> StepReport | None:
        """Measures of an epoch's last training step, which are logged and go to TensorBoard; None for none.

        Args:
            model: as trained.
            output: the model's ``PromptOutput`` of that step, its tensors detached.
            pids: classes, one for each image that is present where the output has ``present``, else per sample.
        """
        return None

    def prompts(self, model: Any) -> Mapping[str, Mapping[str, Tensor]]:
        """The learned prompts as the blocks see them, for the map of their cosines; none by default.

        Args:
            model: in training; its mode and its random numbers stay as they are.

        Returns:
            by group (a modality, a kind of prompt) and name (a layer) sets of prompts (j, D), all of one D.
        """
        return {}

    def diagnose(self, model: Any, batches: Sequence[Any]) -> Any:
        """Measures of a model's prompts on test images, for ``promptreid diagnose``.

        Args:
            model: in evaluation mode.
            batches: iterables of batches with ``img`` and ``pid``.

        Returns:
            a dataclass of lists with a value per layer, whose ``labels`` say what each is called, and the number of
            identities.

        Raises:
            ValueError: the model has nothing to measure.
        """
        raise ValueError(f"{type(model).__name__} has no prompts that are measured; choose one of mip_* or dmpt_*")


NO_METHOD = Method()
"""What is asked about a model of nobody's method, such as one of torchreid's."""

METHODS: dict[str, Method] = {}
"""Every method by its name."""
MODELS: dict[str, Builder] = {}
"""The models of all methods by name: ``build(num_classes, loss="softmax", pretrained=True, use_gpu=True)``."""
_owner: dict[str, Method] = {}


def register_method(method: Method) -> Method:
    """Register a method: its models in torchreid, its keys in the configuration. A second, equal call does nothing.

    Raises:
        ValueError: another method, model or key has one of its names, or a builder cannot be called as torchreid does.
    """
    present = METHODS.get(method.name)
    if present is method:
        return method
    if present is not None:
        raise ValueError(f"two methods are called {method.name!r}: {_where(present)} and {_where(method)}; rename one")
    if not method.name.isidentifier() or method.name != method.name.lower():
        raise ValueError(f"{_where(method)}: name {method.name!r}: use lower-case letters, digits and underscores")
    for name, builder in method.models.items():  # all of it is checked first: what fails leaves nothing behind
        _check_builder(method, name, builder)
        host.check_free("model", name, builder)
    register_section(_section(method))
    for name, builder in method.models.items():
        host.register_model(name, builder)
        MODELS[name] = builder
        _owner[name] = method
    for name, loss in method.losses.items():
        host.register_loss(loss)
        LOSSES[name] = loss
    METHODS[method.name] = method
    return method


def method_named(model_name: str) -> Method | None:
    """The method that has a model of this name; None for a model of torchreid or of nobody's method."""
    return _owner.get(model_name)


def method_of(model: nn.Module) -> Method:
    """The method that a model belongs to, by its class."""
    return next((method for method in METHODS.values() if isinstance(model, method.model_types)), NO_METHOD)


def _section(method: Method) -> Section:
    prefix = f"{method.name}."
    keys = tuple(replace(key, name=prefix + key.name, needs=_needs(prefix, key, method.keys)) for key in method.keys)
    return Section(
        method.title or method.name,
        keys,
        owner=_where(method),
        in_use=lambda flat: flat["model.name"] in tuple(method.models),  # a list in a YAML file has no hash
        contradictions=method.contradictions,
        reads=tuple(method.reads),
        of_model=True,
        renamed=method.renamed,
    )


def _needs(prefix: str, key: Key, siblings: Sequence[Key]) -> str:
    """A key may name a sibling that it needs without the node."""
    other = key.needs.partition("=")[0]
    return prefix + key.needs if other in {sibling.name for sibling in siblings} else key.needs


def _check_builder(method: Method, name: str, builder: Builder) -> None:
    signature = inspect.signature(builder)
    own: dict[str, Any] = {}
    if type(method).arguments is Method.arguments:
        facts = {*DataFacts.__dataclass_fields__, "strict_pretrained"} & signature.parameters.keys()
        own = dict.fromkeys([*facts, *(key.name for key in method.keys if "." not in key.name)])
    try:
        signature.bind(**_HOST_ARGUMENTS, **own)
    except TypeError as error:
        wanted = ", ".join([*_HOST_ARGUMENTS, *own])
        raise ValueError(
            f"{_where(method)}: the builder of {name!r} cannot be called as build({wanted}): {error}; give it these "
            "parameters, and defaults to others"
        ) from None


def _where(method: Method) -> str:
    return f"{type(method).__module__}.{type(method).__qualname__}"
