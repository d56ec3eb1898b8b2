"""The arguments that say which configuration is meant, the same in every verb that takes one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptreid.cli.configurations import find_configuration, is_run_folder
from promptreid.cli.parsing import Parser, is_key

if TYPE_CHECKING:
    from yacs.config import CfgNode


def add_configuration(parser: Parser, about: str = "the configuration", other: str = "") -> None:
    """Add a positional configuration, ``KEY VALUE`` pairs, ``--config-file``, ``--overlay`` and ``--root``.

    Args:
        parser: of a verb.
        about: what kind of configuration it is.
        other: what else the positional argument may be.
    """
    parser.add_argument(
        "target",
        nargs="?",
        metavar="CONFIG",
        help=f"{about}: a name of promptreid's own (mip/quickstart), a YAML file, or a run's folder{other}",
    )
    add_pairs(parser)
    parser.add_argument(
        "--config-file", metavar="FILE", help=f"{about}, as a YAML file; torchreid's own files load unchanged"
    )
    add_overlays(parser)
    add_root(parser)


def add_overlays(parser: Parser) -> None:
    """Add ``--overlay``."""
    parser.add_argument(
        "--overlay",
        dest="overlays",
        action="append",
        default=[],
        metavar="CONFIG",
        help="lay this over the configuration: a name (profiles/8gb) or a YAML file; repeat it for several; KEY VALUE "
        "pairs override it; default: nothing",
    )


def overlays_of(args: argparse.Namespace) -> list[Path]:
    """The files of ``--overlay``.

    Raises:
        ValueError: a run's folder, whose configuration would replace all that it is laid over.
        FileNotFoundError: no such configuration.
    """
    runs = [name for name in args.overlays if is_run_folder(name)]
    if runs:
        raise ValueError(f"--overlay {runs[0]} is a run's folder, of which every key would win: name a profile or file")
    return [find_configuration(name) for name in args.overlays]


def add_root(parser: Parser) -> None:
    """Add ``--root``."""
    parser.add_argument("--root", metavar="DIR", help="folder of the data sets (data.root)")


def add_pairs(parser: Parser) -> None:
    """Add ``KEY VALUE`` pairs."""
    parser.takes_pairs = True
    parser.add_argument(
        "opts", nargs="*", metavar="KEY VALUE", help="any key of the configuration and its value, as often as you like"
    )


def add_weights(parser: Parser, default: str) -> None:
    """Add ``--weights``; ``default`` says what is read without it."""
    parser.add_argument(
        "--weights", metavar="PATH", help=f"checkpoint or run folder (model.load_weights); default: {default}"
    )


def add_plugins(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> argparse.Action:
    """Add ``--plugin`` to a verb without a configuration, or to a group of its options."""
    return parser.add_argument(
        "--plugin",
        dest="plugins",
        action="append",
        metavar="FILE-OR-MODULE",
        help="import this plugin first; it runs as a program; repeat it for several",
    )


def load_plugins_of(args: argparse.Namespace) -> None:
    """Import the plugins of installed packages and what ``--plugin`` names; nothing, where there are none."""
    from promptreid.config.plugins import are_installed, load_plugins, resolved

    if args.plugins or are_installed():
        load_plugins(resolved(args.plugins or [], Path()))


def add_resume_and_overwrite(parser: Parser, aside: str) -> argparse._MutuallyExclusiveGroup:
    """Add the two to a verb that passes over what is finished anyway; ``aside`` is what is moved away."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--resume", action="store_true", help="skip finished trainings and continue the rest; this is the default"
    )
    group.add_argument("--overwrite", action="store_true", help=f"train everything anew; {aside} moved aside")
    return group


def add_old_opts(parser: Parser) -> None:
    """Add the hidden ``--opts``, which pairs needed once."""
    parser.add_argument("--opts", dest="old_opts", nargs="*", default=[], help=argparse.SUPPRESS)


def pairs_of(args: argparse.Namespace) -> list[str]:
    """The ``KEY VALUE`` pairs, after those of ``--opts``."""
    old = list(getattr(args, "old_opts", []))
    if old:
        sys.stderr.write("warning: --opts will go away; KEY VALUE pairs are taken without it\n")
    return [*old, *args.opts]


def read_configuration(
    args: argparse.Namespace, given: Mapping[str, Any] | None = None, required: bool = False
) -> CfgNode:
    """The configuration that the arguments name, with their pairs.

    Args:
        args: parsed by a parser with :func:`add_configuration`.
        given: values of other options by key; those that are None are left out.
        required: whether it is an error to name no configuration.

    Raises:
        ValueError, FileNotFoundError: a configuration, key or value that cannot be used.
    """
    from promptreid.config import load_config

    target, pairs = _target_and_pairs(args)
    overrides = {"data.root": args.root, **(given or {})}
    path = args.config_file
    if target is not None:
        path = find_configuration(target)
        if is_run_folder(target):
            overrides["data.save_dir"] = target
    asked = pairs or any(value is not None for value in (given or {}).values())
    if path is None and (required or not asked):
        raise ValueError("no configuration: give the name of one, a YAML file or a run's folder (--help says more)")
    given_values = {key: value for key, value in overrides.items() if value is not None}
    return load_config(path, pairs, given_values, overlays_of(args))


def _target_and_pairs(args: argparse.Namespace) -> tuple[str | None, Sequence[str]]:
    """The first word is a configuration, unless it is a key, or ``--config-file`` has named one."""
    pairs = pairs_of(args)
    target: str | None = args.target
    if target is None or is_key(target):
        return None, ([] if target is None else [target]) + pairs
    if args.config_file is None:
        return target, pairs
    if len(pairs) % 2 == 0:
        raise ValueError(f"two configurations, --config-file {args.config_file} and {target!r}: give one of them")
    return None, [target, *pairs]
