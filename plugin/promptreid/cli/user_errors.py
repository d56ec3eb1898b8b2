"""What every verb does with an error of its user's: one clear line, exit code 2, no traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import NoReturn

USER_ERRORS = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


def run_tool(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` and leave the process: with its return value, 2 after a user's error, 130 after Ctrl-C."""
    try:
        code = main()
    except USER_ERRORS as error:
        sys.stderr.write(f"error: {message_of(error)}\n")
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code or 0)


def message_of(error: BaseException) -> str:
    """The message of an error; of one from a loader's worker process, the original without its traceback."""
    text = str(error)
    if "Original Traceback" not in text:
        return text
    last = text.rstrip().splitlines()[-1]
    return re.sub(r"^[\w.]*(Error|Exception): ", "", last)
