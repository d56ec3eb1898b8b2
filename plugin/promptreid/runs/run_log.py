"""The log of a run: the library's messages and torchreid's prints, on the console and in one file."""

from __future__ import annotations

import contextlib
import io
import logging
import logging.handlers
import sys
from collections.abc import Iterator
from pathlib import Path

from promptreid.config.plugins import left_out
from promptreid.engine.distributed.process_group import rank

LINE = "%(asctime)s %(message)s"
_CLOCK = "%H:%M:%S"


class _LogStream(io.TextIOBase):
    """A stand-in for standard output that turns printed lines into log records."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self.logger.info("%s", line.rstrip())
        return len(text)

    def writable(self) -> bool:
        return True


class RunLog:
    """Logs to the console from the start, and to a file as soon as there is a folder for it."""

    def __init__(self) -> None:
        self.console = _tqdm_safe_handler()
        # Nothing is written before the run is known to be possible: until then records wait in memory.
        self.memory = logging.handlers.MemoryHandler(capacity=100_000, flushLevel=logging.CRITICAL + 1)
        line = LINE if rank() == 0 else LINE.replace("%(message)s", f"[rank {rank()}] %(message)s")
        for handler in (self.console, self.memory):
            handler.setFormatter(logging.Formatter(line, _CLOCK))
            logging.getLogger().addHandler(handler)
        # These were told when the configuration was read, before there was a log.
        for text in left_out():
            self.memory.handle(logging.makeLogRecord({"msg": text, "levelno": logging.WARNING}))
        self.file: logging.FileHandler | None = None

    def to_file(self, path: Path) -> None:
        """Write what was logged so far, and everything from now on, to ``path``."""
        self.file = logging.FileHandler(path, encoding="utf-8")
        self.file.setFormatter(logging.Formatter(LINE, "%Y-%m-%d %H:%M:%S"))
        self.memory.setTarget(self.file)
        self.memory.close()
        logging.getLogger().removeHandler(self.memory)
        logging.getLogger().addHandler(self.file)

    def close(self) -> None:
        for handler in (self.console, self.memory, self.file):
            if handler is not None:
                logging.getLogger().removeHandler(handler)
        if self.file is not None:
            self.file.close()


@contextlib.contextmanager
def run_log() -> Iterator[RunLog]:
    """A ``RunLog`` for the duration of a run, with torchreid's prints in it.

    Of several processes the first one logs everything, the others their warnings and errors, with their rank.
    """
    log = RunLog()
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO if rank() == 0 else logging.WARNING)
    try:
        with contextlib.redirect_stdout(_LogStream(logging.getLogger("torchreid"))):
            yield log
    finally:
        root.setLevel(level)
        log.close()


def _tqdm_safe_handler() -> logging.Handler:
    """A console handler that does not tear a progress bar apart."""
    from tqdm import tqdm

    stream = sys.stdout

    class Handler(logging.StreamHandler):
        def emit(self, record: logging.LogRecord) -> None:
            tqdm.write(self.format(record), file=stream)
            stream.flush()

    return Handler(stream)
