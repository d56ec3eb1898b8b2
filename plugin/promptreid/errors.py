"""What an error says to a user."""

from __future__ import annotations

import re


def message_of(error: BaseException) -> str:
    """The message of an error; of one from a loader's worker process, the original without its traceback."""
    text = str(error)
    if "Original Traceback" not in text:
        return text
    last = text.rstrip().splitlines()[-1]
    return re.sub(r"^[\w.]*(Error|Exception): ", "", last)
