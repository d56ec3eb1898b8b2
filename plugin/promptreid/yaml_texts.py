"""YAML that others wrote: any text is a value of plain types or a ``ValueError``, and costs no more than its length.

Aliases let a text of a kilobyte stand for more values than there is memory, or for a value that holds itself; PyYAML
builds both without a word, and its errors are of half a dozen types.
"""

from __future__ import annotations

import re
from typing import Any

import yaml  # type: ignore[import-untyped]

LONGEST = 64_000
"""Characters of a text; a whole configuration has 4000."""
MOST = 20_000
"""Values that a text may stand for, each one as often as it is named."""
DEEPEST = 50
"""Brackets that may be open at once: PyYAML's time goes with the square of them before it looks at the first."""
_BRACKETS = re.compile(r"[\[\]{}]")
_ERRORS = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The value of a YAML text.

    Args:
        text: one document.
        loader: PyYAML's safe one, or one made from it.

    Raises:
        ValueError: not YAML, a tag or value that plain types do not have, or too long, too deep or too large.
    """
    if len(text) > LONGEST:
        raise ValueError(f"{len(text)} characters, more than {LONGEST}")
    _check_brackets(text)
    try:
        made = loader(text)
        try:
            node = made.get_single_node()
            if node is None:
                return None
            _count(node, {})
            return made.construct_document(node)
        finally:
            made.dispose()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except _ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from None


def _check_brackets(text: str) -> None:
    """Refuse a text in which more than :data:`DEEPEST` brackets are open; those in quotes and comments count, too."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth = depth + 1 if match[0] in "[{" else max(0, depth - 1)
        if depth > DEEPEST:
            raise ValueError(f"nested too deeply, more than {DEEPEST} brackets are open")


def _count(node: Any, known: dict[int, int]) -> int:
    """How many values a node stands for, with those of its aliases."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError(f"a value that holds itself{node.start_mark}")
        return known[id(node)]
    known[id(node)] = 0  # it is being counted
    parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
    total = 1 + sum(_count(part, known) for part in parts)
    if total > MOST:
        raise ValueError(f"more than {MOST} values, counting each as often as it is named")
    known[id(node)] = total
    return total
