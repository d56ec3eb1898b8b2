"""What every verb does with an error of its user's: one clear line, exit code 2, no traceback.

An error that comes out of other code, a plugin's or a library's, may be a mistake in that code: its traceback is shown
besides.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from promptreid.errors import message_of

USER_ERRORS = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)
_PACKAGE = str(Path(__file__).parents[1])


def run_tool(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` and leave the process: with its return value, 2 after a user's error, 130 after Ctrl-C."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read this has left, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except USER_ERRORS as error:
        if _is_of_other_code(error):
            traceback.print_exception(error)
        sys.stderr.write(f"error: {message_of(error)}\n")
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code or 0)


def _is_of_other_code(error: BaseException) -> bool:
    """Whether a ``ValueError`` was raised neither here, nor in torchreid, nor in Python's own library."""
    frames = traceback.extract_tb(error.__traceback__)
    if not isinstance(error, ValueError) or "Original Traceback" in str(error) or not frames:
        return False
    raised = frames[-1].filename
    if raised.startswith((_PACKAGE, "<")):
        return False
    installed = f"{os.sep}site-packages{os.sep}" in raised
    if installed:
        return f"{os.sep}torchreid{os.sep}" not in raised
    return not raised.startswith(sysconfig.get_path("stdlib"))
