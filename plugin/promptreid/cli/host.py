"""Run a script of torchreid's, unchanged, with promptreid registered: promptreid host SCRIPT [ARGUMENT ...].

    promptreid host deep-person-reid/scripts/main.py --config-file im_osnet.yaml -s sysu_mm01 -t sysu_mm01

The script finds its own neighbours (default_config.py), its own arguments, and "from torchreid.utils import ...",
whichever of the two packages called torchreid is installed.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from pathlib import Path

from promptreid.cli.parsing import Parser


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument(
        "script", type=Path, metavar="SCRIPT", help="a Python script written for torchreid, such as its scripts/main.py"
    )
    own = parser.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="the script's own arguments")
    own.required = False  # argparse would name it beside a script that is missing


def run(args: argparse.Namespace) -> int:
    """Run the script as ``__main__``; 1 after an error of its own, which keeps its traceback."""
    script: Path = args.script
    if not script.is_file():
        raise FileNotFoundError(f"no such script: {script}")
    from promptreid import host  # torchreid is imported here, and everything registered in it

    host.alias_modules()
    sys.argv = [str(script), *args.args]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        runpy.run_path(str(script), run_name="__main__")
    except Exception:
        traceback.print_exc()
        return 1
    return 0
