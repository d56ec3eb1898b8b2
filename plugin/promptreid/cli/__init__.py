"""The command ``promptreid``: one file per verb, and what they share.

A verb's module has ``arguments(parser)`` and ``run(args)``, and imports torch, torchreid and what needs them inside
``run``, so that ``--help`` and a mistyped command are answered at once.
"""

from __future__ import annotations

from promptreid.cli.command_line import main, run_verb

__all__ = ["main", "run_verb"]
