"""A parser for command lines that end in ``KEY VALUE`` pairs, and whose mistakes are one line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from promptreid.cli.choices import TOP_LEVEL_KEYS
from promptreid.cli.configurations import SUFFIXES

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_END = "--end-of-list"  # inserted where a list ends and a pair begins; argparse would go on to the next option


def is_key(word: str) -> bool:
    """Whether a word of a command line is a key of the configuration, known or mistyped, and no file or value."""
    if _DOTTED.fullmatch(word):
        return Path(word).suffix not in SUFFIXES and not Path(word).exists()
    return word in TOP_LEVEL_KEYS


def is_no_name(word: str) -> bool:
    """Whether a word can't be the name of a data set or an augmentation: a key, a path."""
    return "." in word or "/" in word or word in TOP_LEVEL_KEYS


def is_no_number(word: str) -> bool:
    """Whether a word isn't a number."""
    try:
        float(word)
    except ValueError:
        return True
    return False


def positive(text: str) -> int:
    """A whole number from 1 on, as an argument's type."""
    if not re.fullmatch(r"[+-]?\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return int(text)


class Parser(argparse.ArgumentParser):
    """argparse's parser, with lists that end before a key, and errors in one line with exit code 2."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **settings})
        self.takes_pairs = False
        self._ends: dict[str, Callable[[str], bool]] = {}
        self._keyed: set[str] = set()

    def add_list(
        self,
        *flags: str,
        ends: Callable[[str], bool],
        group: argparse._ArgumentGroup | None = None,
        keyed: bool = False,
        **settings: Any,
    ) -> argparse.Action:
        """Add an option with one value or more; the first word of which ``ends`` is true belongs to it no more.

        With ``keyed`` the first word of all belongs to it in any case.
        """
        if not self._ends:
            self.add_argument(_END, action="store_true", help=argparse.SUPPRESS)
        self._ends.update(dict.fromkeys(flags, ends))
        self._keyed.update(flags if keyed else ())
        return (group or self).add_argument(*flags, nargs="+", **settings)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments; positional ones and options may be mixed where there are pairs."""
        words = self._end_lists(argv)
        if "--resume" in self._option_string_actions:
            self._check_resume(words)
        return self.parse_intermixed_args(words) if self.takes_pairs else self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        message = message.removesuffix(", KEY VALUE")  # argparse counts pairs, of which there may be none
        self.exit(2, f"error: {message} ({self.prog} --help says more)\n")

    def _end_lists(self, argv: Sequence[str]) -> list[str]:
        words: list[str] = []
        ends: Callable[[str], bool] | None = None
        for before, word in pairwise(["", *argv]):
            if word.startswith("-") and is_no_number(word):
                ends = self._list_named(word)
            elif self._is_named(before, self._keyed):
                pass
            elif ends is not None and ends(word):
                words.append(_END)
                ends = None
            words.append(word)
        return words

    def _list_named(self, word: str) -> Callable[[str], bool] | None:
        """What ends the list of an option, whose name may be abbreviated."""
        named = [ends for flag, ends in self._ends.items() if self._is_named(word, [flag])]
        return named[0] if named else None

    @staticmethod
    def _is_named(word: str, flags: Collection[str]) -> bool:
        return any(flag == word or (len(word) > 3 and flag.startswith(word)) for flag in flags)

    def _check_resume(self, words: Sequence[str]) -> None:
        """Refuse a value of ``--resume``, which took one once."""
        for word, after in pairwise([*words, ""]):
            if word.startswith("--resume="):
                self._refuse_resume(word.partition("=")[2])
            if word == "--resume" and _is_run(after):
                self._refuse_resume(after)

    def _refuse_resume(self, path: str) -> NoReturn:
        remedy = f"write --resume-from {path}" if "--resume-from" in self._option_string_actions else "leave it out"
        self.error(
            f"--resume takes no value, it continues the run in data.save_dir; to continue {path!r}, {remedy}. A "
            "configuration stands before --resume"
        )


def _is_run(text: str) -> bool:
    """Whether this may be what ``--resume`` took: a run's folder or a checkpoint."""
    return bool(text) and Path(text).exists() and Path(text).suffix not in SUFFIXES
