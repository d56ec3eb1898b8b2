"""The bridge to torchreid, and the only module of promptreid that imports it.

Two packages are called torchreid: the one from GitHub keeps its code directly under ``torchreid``, the one in the
package registry under ``torchreid.reid``. Their code is the same, their version numbers contradict each other, and
only attribute access (``torchreid.data.X``) works on both. Everything version- or layout-dependent lives here.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch


def _import_host() -> ModuleType:
    try:
        return importlib.import_module("torchreid")
    except ModuleNotFoundError as error:
        if error.name != "torchreid":
            raise
        raise ModuleNotFoundError(
            "promptreid is a plugin for torchreid, which is not installed: "
            "pip install torchreid==0.2.5, or put a checkout of deep-person-reid on PYTHONPATH",
            name="torchreid",
        ) from None


torchreid = _import_host()
LAYOUT = "registry" if f"{torchreid.__name__}.reid" in sys.modules else "github"
"""``registry`` (modules under ``torchreid.reid``) or ``github`` (directly under ``torchreid``)."""

data = torchreid.data
engine = torchreid.engine
losses = torchreid.losses
metrics = torchreid.metrics
models = torchreid.models
optim = torchreid.optim
utils = torchreid.utils

ImageDataset: Any = data.ImageDataset
ImageDataManager: Any = data.ImageDataManager
ImageTripletEngine: Any = engine.ImageTripletEngine
ImageSoftmaxEngine: Any = engine.ImageSoftmaxEngine

# The names below start with two underscores: written as attributes inside a class they would be mangled.
_DATASETS: dict[str, Any] = vars(data.datasets)["__image_datasets"]
_MODELS: dict[str, Any] = vars(models)["__model_factory"]

_ours: dict[tuple[str, str], Any] = {}


def check_free(kind: str, name: str, value: Any) -> bool:
    """Whether ``value`` is yet to be registered as a ``"dataset"`` or ``"model"``; False when this very object is.

    Raises:
        ValueError: another one has this name, or it is none.
    """
    if not name.isidentifier() or name != name.lower():
        raise ValueError(f"{kind} name {name!r}: use lower-case letters, digits and underscores")
    if _ours.get((kind, name)) is value:
        return False
    if name in {"dataset": _DATASETS, "model": _MODELS}[kind]:
        raise ValueError(f"torchreid already has a {kind} named {name!r}; choose another name, nothing is overwritten")
    return True


def _claim(kind: str, name: str, value: Any) -> bool:
    """Remember that ``value`` is ours; False when this very object is registered already."""
    free = check_free(kind, name, value)
    _ours[kind, name] = value
    return free


def register_dataset(name: str, factory: Callable[..., Any]) -> None:
    """Make ``factory`` available as ``ImageDataManager(sources=name)``. A second, equal call does nothing.

    Args:
        name: the key, lower case.
        factory: a class, function or ``functools.partial``; torchreid calls it with keyword arguments only.

    Raises:
        ValueError: another dataset has this name.
    """
    if _claim("dataset", name, factory):
        data.register_image_dataset(name, factory)


def register_model(name: str, builder: Callable[..., torch.nn.Module]) -> None:
    """Make ``builder`` available as ``torchreid.models.build_model(name, ...)``. A second, equal call does nothing.

    torchreid has no call for this, so the builder is inserted into its factory dict; nothing is replaced.

    Args:
        name: the key, lower case.
        builder: called as ``builder(num_classes=, loss=, pretrained=, use_gpu=)``.

    Raises:
        ValueError: another model has this name.
    """
    if _claim("model", name, builder):
        _MODELS[name] = builder


@contextmanager
def bound_model(name: str, builder: Callable[..., torch.nn.Module]) -> Iterator[None]:
    """For the duration of the block, let a model name of ours mean a builder that a configuration is bound to.

    Raises:
        ValueError: the name is not one of ours.
    """
    if ("model", name) not in _ours:
        raise ValueError(f"{name!r} is not a model of promptreid; only its own models can be bound to a configuration")
    plain = _MODELS[name]
    _MODELS[name] = builder
    try:
        yield
    finally:
        _MODELS[name] = plain


def dataset_factory(name: str) -> Callable[..., Any]:
    """Factory behind a registered dataset of promptreid: a class, function or ``functools.partial``.

    Raises:
        ValueError: the name is not one of ours.
    """
    if ("dataset", name) not in _ours:
        raise ValueError(f"{name!r} is not a dataset of promptreid; only its own datasets take options")
    factory: Callable[..., Any] = _DATASETS[name]
    return factory


def host_dataset(name: str) -> Any:
    """torchreid's own class of image data sets of this name.

    Raises:
        ValueError: torchreid has none.
    """
    if name not in _DATASETS or is_ours("dataset", name):
        raise ValueError(f"torchreid has no image data set {name!r} of its own")
    return _DATASETS[name]


def takes_split(name: str) -> bool:
    """Whether a data set, whoever brings it, has several splits, among which ``split_id`` chooses.

    Raises:
        ValueError: there is no such data set.
    """
    if name not in _DATASETS:
        raise ValueError(f"there is no data set {name!r}; torchreid and promptreid have {', '.join(dataset_names())}")
    factory = _DATASETS[name]
    if isinstance(factory, partial) and "host_name" in factory.keywords:
        factory = _DATASETS[factory.keywords["host_name"]]
    while isinstance(factory, partial):
        factory = factory.func
    return "split_id" in inspect.signature(factory).parameters


@contextmanager
def no_downloads() -> Iterator[None]:
    """For the duration of the block, a data set of torchreid's that isn't there is an error instead of a download."""
    base: Any = ImageDataset.__mro__[1]
    download = base.download_dataset

    def refuse(self: Any, folder: str, url: str) -> None:
        if not Path(folder).exists():
            raise FileNotFoundError(
                f"{folder}: no such folder; put {type(self).__name__} there, or choose another data set in "
                "data.sources and data.targets. Nothing is downloaded"
            )

    base.download_dataset = refuse
    try:
        yield
    finally:
        base.download_dataset = download


@contextmanager
def train_not_needed() -> Iterator[None]:
    """For the duration of the block, a data set of torchreid's may lack the folder of its training images.

    Its train list is of no use then: torchreid takes no empty one, so that its queries stand in.
    """
    base: Any = ImageDataset.__mro__[1]
    check, build = base.check_before_run, base.__init__

    def check_tested(self: Any, required_files: str | list[str]) -> None:
        files = [required_files] if isinstance(required_files, str) else required_files
        check(self, [file for file in files if "train" not in Path(file).name])

    def build_tested(self: Any, train: list[Any], query: list[Any], gallery: list[Any], **kwargs: Any) -> None:
        build(self, train or query, query, gallery, **kwargs)

    base.check_before_run, base.__init__ = check_tested, build_tested
    try:
        yield
    finally:
        base.check_before_run, base.__init__ = check, build


@contextmanager
def bound_datasets(factories: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """For the duration of the block, let dataset names of ours mean factories that a configuration is bound to.

    Args:
        factories: by name; each is called as the registered one is.

    Raises:
        ValueError: a name is not one of ours.
    """
    plain = {name: dataset_factory(name) for name in factories}
    _DATASETS.update(factories)
    try:
        yield
    finally:
        _DATASETS.update(plain)


def register_loss(loss: type[torch.nn.Module]) -> None:
    """Make ``loss`` available as an attribute of ``torchreid.losses`` under its class name.

    Raises:
        ValueError: torchreid has something else of that name.
    """
    name = loss.__name__
    present = getattr(losses, name, None)
    if present is None:
        setattr(losses, name, loss)
    elif present is not loss:
        raise ValueError(f"torchreid.losses already has {name!r}; choose another name, nothing is overwritten")


def dataset_names() -> list[str]:
    """Every dataset name that torchreid knows, its own and ours."""
    return sorted(_DATASETS)


def model_names() -> list[str]:
    """Every model name that torchreid knows, its own and ours."""
    return sorted(_MODELS)


def is_ours(kind: str, name: str) -> bool:
    """Whether promptreid registered this ``"dataset"`` or ``"model"``."""
    return (kind, name) in _ours


def is_torchreids_own(kind: str, name: str) -> bool:
    """Whether torchreid itself brings this ``"dataset"`` or ``"model"``, rather than anyone who registered it."""
    registry = {"dataset": _DATASETS, "model": _MODELS}[kind]
    return name in registry and registry[name].__module__.partition(".")[0] == torchreid.__name__


def allow_host_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read torchreid's checkpoints.

    torchreid stores the rank-1 as a numpy scalar, so that since torch 2.6 it cannot read its own files. The three
    globals such a scalar needs carry data, not code.
    """
    scalar = np.float64(0).__reduce__()[0]
    scalar_types = (np.dtype, *{type(np.dtype(kind)) for kind in (np.float32, np.float64)})
    # A file written under numpy 1 names the module numpy.core, one written under numpy 2 numpy._core.
    names = [(scalar, f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")]
    allowed: list[Any] = [*names, *scalar_types]
    torch.serialization.add_safe_globals(allowed)


def alias_modules() -> None:
    """Make ``from torchreid.utils import X`` work on the registry's layout too.

    Every loaded ``torchreid.reid.*`` module becomes importable under ``torchreid.*``: the same objects, no second
    import. Does nothing on GitHub's layout.
    """
    prefix = f"{torchreid.__name__}.reid."
    for name, module in list(sys.modules.items()):
        if name.startswith(prefix):
            sys.modules.setdefault(f"{torchreid.__name__}.{name.removeprefix(prefix)}", module)
