"""Run a script of torchreid's, unchanged, with promptreid's data sets, models and losses registered.

    python tools/run_host.py deep-person-reid/scripts/main.py --config-file im_osnet.yaml -s sysu_mm01 -t sysu_mm01

The script finds its own neighbours (``default_config.py``), its own arguments, and ``from torchreid.utils import ...``,
whichever of the two packages called torchreid is installed.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script as ``__main__``; 2 when it isn't there."""
    args = _parse(argv)
    script: Path = args.script
    if not script.is_file():
        print(f"run_host.py: no such script: {script}", file=sys.stderr)
        return 2
    _register()
    sys.argv = [str(script), *args.args]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run_host.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("script", type=Path, help="a Python script written for torchreid, such as its scripts/main.py")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    return parser.parse_args(argv)


def _register() -> None:
    # Imported late: this takes seconds, and a mistyped script should be reported at once.
    import promptreid  # noqa: F401  (importing it registers everything)
    from promptreid import host

    host.alias_modules()


if __name__ == "__main__":
    sys.exit(main())
