"""A training that takes no time, as a process of its own: what ``promptreid.runs.tables.worker`` is to a real one.

``TOY_FAILS`` is the part of a folder's name with which it fails; with ``TOY_WAITS`` it waits for SIGTERM, and says so.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import yaml
from toy_trainings import write_run


def main(text: str) -> int:
    order = json.loads(text)
    settings = yaml.safe_load(order["config"])
    folder = Path(settings["data"]["save_dir"])
    print("threads", os.environ["OMP_NUM_THREADS"], flush=True)
    if os.environ.get("TOY_FAILS", "nothing") in str(folder):
        print("something about the data")
        return 2
    if "TOY_WAITS" in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        (folder.parent / f"{folder.name}.waits").touch()
        try:
            time.sleep(60)
        finally:
            (folder.parent / f"{folder.name}.told").touch()
    world, seed = settings["data"]["synthetic"]["seed"], settings["train"]["seed"]
    write_run(folder, order["config"], order["commit"], world, seed if order["trained"] else 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.read()))
