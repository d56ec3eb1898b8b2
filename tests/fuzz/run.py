"""Long runs: ``python -m tests.fuzz.run TARGET --seconds 600``.

With atheris installed, its engine sees which branches an input takes (``pip install atheris``); without, inputs are
random edits of valid ones. Either way an input that breaks a promise is written to a folder, once for each kind.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import random
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import NoReturn

try:
    import atheris
except ImportError:
    atheris = None

if atheris is not None and "--random" not in sys.argv:
    with atheris.instrument_imports(include=["promptreid"], enable_loader_override=False):
        from tests.fuzz.catalogue import TARGETS, kept
else:
    from tests.fuzz.catalogue import TARGETS, kept
from tests.fuzz.mutations import mutated
from tests.fuzz.outcome import Finding, Target, outcome


class Session:
    """Feeds a target, counts, and keeps one input of each kind of finding.

    Args:
        target: the parser.
        found: the folder for findings.
        seconds: how long.
    """

    def __init__(self, target: Target, found: Path, seconds: float) -> None:
        self.target, self.found, self.seconds = target, found, seconds
        self.counts: Counter[str] = Counter()
        self.started = time.monotonic()
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=base)
        self.place, self.last = Path(self.folder.name, "files"), Path(self.folder.name, "last")
        self.place.mkdir()

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self.started > self.seconds

    def feed(self, content: bytes) -> None:
        """Feed one input."""
        self.last.write_bytes(content)
        try:
            self.counts[outcome(self.target, self.place, content)] += 1
        except Finding as finding:
            self.counts["findings"] += 1
            self._keep(finding, content)

    def _keep(self, finding: Finding, content: bytes) -> None:
        cause = finding.__cause__ or finding
        frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if "/promptreid/" in frame.filename]
        place = f"{Path(frames[-1].filename).name}-{frames[-1].lineno}" if frames else "here"
        kind = hashlib.sha256(f"{type(cause).__name__} {place}".encode()).hexdigest()[:8]
        path = self.found / self.target.name / f"{place}-{kind}"
        if path.exists() and path.stat().st_size <= len(content):
            return
        fresh = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if fresh:
            message = re.sub(r"\s+", " ", str(finding))[:300]
            print(f"FOUND {path}: {message}", flush=True)

    def report(self) -> None:
        """One line."""
        seconds = time.monotonic() - self.started
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        how = "random edits" if atheris is None or "--random" in sys.argv else "atheris"
        print(
            f"{self.target.name}: {sum(self.counts.values())} inputs in {seconds:.0f} s ({how}): {counts}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="+", choices=[*TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--random", action="store_true", help="random edits even where atheris is installed")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    options.found.mkdir(parents=True, exist_ok=True)
    for name in options.targets:
        _in_a_process_of_its_own(Session(TARGETS[name], options.found, options.seconds), options)


def _in_a_process_of_its_own(session: Session, options: argparse.Namespace) -> None:
    """A target that ends the process ends no other target's run; what did it is kept."""
    process = os.fork()
    if not process:
        seeds = session.target.seeds() + [path.read_bytes() for path in kept(session.target)]
        for seed in seeds:
            session.feed(seed)
        if atheris is None or options.random:
            _randomly(session, seeds, options.seed)
        else:
            _guided(session, seeds, options)
    _, status = os.waitpid(process, 0)
    if status:
        path = options.found / session.target.name / f"end-{os.waitstatus_to_exitcode(status)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(session.last.read_bytes() if session.last.exists() else b"")
        print(f"FOUND {path}: {session.target.name} ended its process", flush=True)
    session.folder.cleanup()


def _randomly(session: Session, seeds: list[bytes], seed: int) -> NoReturn:
    rng = random.Random(seed)
    while not session.over:
        session.feed(mutated(session.target, seeds, rng))
    session.report()
    os._exit(0)


def _guided(session: Session, seeds: list[bytes], options: argparse.Namespace) -> NoReturn:
    corpus = tempfile.TemporaryDirectory(prefix="fuzz-corpus-")
    for number, seed in enumerate(seeds):
        Path(corpus.name, str(number)).write_bytes(seed)
    words = Path(corpus.name + ".dict")
    entries = [word for word in session.target.words if len(word) < 60]
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in entries))

    def once(content: bytes) -> None:
        session.feed(content)
        if session.over:
            session.report()
            corpus.cleanup()
            words.unlink(missing_ok=True)
            os._exit(0)

    longest = max([session.target.most, *map(len, seeds)])
    arguments = [
        sys.argv[0],
        f"-max_len={longest}",
        *([f"-dict={words}"] if entries else []),
        f"-seed={options.seed + 1}",
        "-timeout=60",
        "-rss_limit_mb=6000",
        "-verbosity=0",
        f"-artifact_prefix={options.found}/",
        corpus.name,
    ]
    atheris.Setup(arguments, once)
    atheris.Fuzz()
    os._exit(1)


if __name__ == "__main__":
    main()
