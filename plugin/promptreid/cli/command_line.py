"""From the words of a command line to a verb that runs, and to the exit code of the process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import promptreid
from promptreid.cli.parsing import Parser
from promptreid.cli.user_errors import run_tool

VERBS = {
    "train": "train",
    "evaluate": "evaluate",
    "missing": "missing",
    "extract": "extract",
    "embed": "embed",
    "export": "export",
    "search": "search",
    "compress": "compress",
    "sweep": "sweep",
    "table": "table",
    "diagnose": "diagnose",
    "show": "show",
    "report": "report",
    "check-data": "check_data",
    "render": "render",
    "pack": "pack",
    "market-mm": "market_mm",
    "convert": "convert",
    "pretrain": "pretrain",
    "host": "host",
}
"""The verbs in the order of the help, and the modules in this folder that run them."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Do what ``promptreid VERB ...`` says and leave the process with its exit code.

    Args:
        argv: the words after ``promptreid``; those of this process, if not given.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-"):
        run_verb(words[0], words[1:], f"promptreid {words[0]}")
    parser = _overview()
    parser.parse_args(words)  # ends here at --help and --version
    parser.print_help()
    sys.exit(2)


def run_verb(name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> NoReturn:
    """Run a verb and leave the process with its exit code.

    Args:
        name: one of :data:`VERBS`.
        argv: its arguments; those of this process, if not given.
        prog: what the help calls the command; the name of this process's script, if not given.
    """
    if name not in VERBS:
        _refuse(name)
    run_tool(lambda: _run(name, argv, prog))


def parser_of(name: str, prog: str | None = None) -> Parser:
    """The parser of a verb, without running anything."""
    module = _module(name)
    parser = Parser(prog=prog or Path(sys.argv[0]).name, description=module.__doc__)
    module.arguments(parser)
    return parser


def _run(name: str, argv: Sequence[str] | None, prog: str | None) -> int | None:
    args = parser_of(name, prog).parse(sys.argv[1:] if argv is None else argv)
    code: int | None = _module(name).run(args)
    return code


def _module(name: str) -> ModuleType:
    return import_module(f"promptreid.cli.{VERBS[name]}")


def _refuse(name: str) -> NoReturn:
    from promptreid.config.keys import did_you_mean

    near = did_you_mean(name, VERBS)
    sys.stderr.write(f"error: promptreid has no verb {name!r}{near or '; promptreid --help lists them'}\n")
    sys.exit(2)


def _overview() -> argparse.ArgumentParser:
    lines = [f"  {name:12}{_summary(name)}" for name in VERBS]
    parser = Parser(
        prog="promptreid",
        usage="promptreid VERB ...",
        description="Multi-modal person and vehicle re-identification with prompts, a plugin for torchreid.",
        epilog="\n".join(["verbs:", *lines, "", "promptreid VERB --help says what a verb takes."]),
    )
    parser.add_argument("--version", action="version", version=f"promptreid {promptreid.__version__}")
    return parser


def _summary(name: str) -> str:
    """A verb's docstring up to its example."""
    first = (_module(name).__doc__ or "").splitlines()[0]
    return first.partition(": ")[0].rstrip(".")
