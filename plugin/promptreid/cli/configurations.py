"""Which configuration is meant: one that comes with promptreid, a file, or that of a run.

``promptreid/configs`` in an installed package, ``configs`` beside ``plugin`` in a checkout.
"""

from __future__ import annotations

import difflib
from pathlib import Path

SUFFIXES = (".yaml", ".yml")
RUN_FILE = "config.yaml"
"""The file of a run's folder with its whole configuration."""

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder() -> Path:
    """The folder with the configurations that come with promptreid.

    Raises:
        FileNotFoundError: neither the package nor a checkout around it has them.
    """
    places = (_PACKAGE / "configs", _PACKAGE.parents[1] / "configs")
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"no configurations in {places[0]} nor in {places[1]}; name a file instead")


def shipped_names() -> list[str]:
    """What they are called: paths in that folder without the suffix, such as ``mip/quickstart``."""
    folder = shipped_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def find_configuration(target: str) -> Path:
    """The YAML file that ``target`` means.

    Args:
        target: a YAML file, a run's folder, or one of :func:`shipped_names`; looked for in this order.

    Raises:
        FileNotFoundError: none of these; the nearest names are listed.
        ValueError: a folder without a run.
    """
    path = Path(target)
    if path.is_file():
        return path
    if (path / RUN_FILE).is_file():
        return path / RUN_FILE
    if path.suffix in SUFFIXES:
        raise FileNotFoundError(f"no configuration file {path}")
    if target in shipped_names():
        return shipped_folder() / f"{target}.yaml"
    if path.is_dir():
        raise ValueError(f"{path} is no run's folder: it has no {RUN_FILE}")
    raise FileNotFoundError(
        f"no configuration {target!r}: neither a file, nor a run's folder, nor one that comes with promptreid; "
        f"the nearest of these are {', '.join(_nearest(target))}"
    )


def is_run_folder(target: str) -> bool:
    """Whether :func:`find_configuration` takes ``target`` for a run's folder."""
    return (Path(target) / RUN_FILE).is_file()


def _nearest(target: str) -> list[str]:
    """Three names, by their last part too: ``quickstart`` is near to ``mip/quickstart``."""
    names = shipped_names()

    def distance(name: str) -> float:
        parts = (name, name.rpartition("/")[2])
        return max(difflib.SequenceMatcher(None, target.lower(), part).ratio() for part in parts)

    return sorted(names, key=distance, reverse=True)[:3]
