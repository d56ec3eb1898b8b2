"""How long a command line takes to answer, as a multiple of Python's own start.

Each row is a process of its own; rounds go through all rows, so that other work on the machine meets all alike::

    python benchmarks/startup.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOOL = Path(__file__).resolve().parents[1] / "tools" / "train_net.py"
ROWS = {
    "python -c pass": ["-c", "pass"],
    "import promptreid": ["-c", "import promptreid"],
    "promptreid --help": ["-m", "promptreid", "--help"],
    "promptreid train --help": ["-m", "promptreid", "train", "--help"],
    "promptreid evaluate --help": ["-m", "promptreid", "evaluate", "--help"],
    "tools/train_net.py --help": [str(TOOL), "--help"],
    "promptreid train with a mistyped key": ["-m", "promptreid", "train", "mip/quickstart", "train.lrr", "1"],
    "import torch": ["-c", "import promptreid, torch"],
    "import torchreid, everything registered": ["-c", "import promptreid, torchreid"],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    for arguments in ROWS.values():
        seconds(arguments)  # files come into the cache, and modules are compiled
    taken = [{name: seconds(arguments) for name, arguments in ROWS.items()} for _ in range(rounds)]
    medians = {name: statistics.median(each[name] for each in taken) for name in ROWS}
    print(f"{'':40}{'ms':>6}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:40}{1000 * median:6.0f}{median / medians['python -c pass']:8.1f}")


if __name__ == "__main__":
    main()
