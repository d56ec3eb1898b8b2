"""torchreid in GitHub's layout: a checkout that ``TORCHREID_SRC`` names, or an emulated one.

``TORCHREID_SRC=/path/to/deep-person-reid make test`` runs the whole suite on that checkout,
``TORCHREID_SRC=emulated make test`` on one that is made of the installed package.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "TORCHREID_SRC"
EMULATED = "emulated"
_INIT = "__version__ = '1.4.0'\nfrom torchreid import data, engine, losses, metrics, models, optim, utils\n"


def installed_package() -> Path:
    """The folder of the torchreid that would be imported, which is not imported here."""
    spec = find_spec("torchreid")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchreid is not installed", name="torchreid")
    return Path(spec.origin).parent


def emulate_github(folder: Path) -> None:
    """Write ``folder/torchreid`` in GitHub's layout, from the installed torchreid of either layout.

    The registry's code is GitHub's with ``torchreid.reid`` instead of ``torchreid``, so its packages move up one level
    and their imports lose that part.
    """
    package = installed_package()
    inner = package / "reid"
    target = folder / "torchreid"
    shutil.copytree(inner if inner.is_dir() else package, target, ignore=shutil.ignore_patterns("__pycache__"))
    if inner.is_dir():
        for file in target.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace("torchreid.reid", "torchreid"), encoding="utf-8")
        (target / "__init__.py").write_text(_INIT, encoding="utf-8")


def use_layout_of_environment() -> None:
    """Put the checkout of ``TORCHREID_SRC`` before the installed torchreid, here and in processes started later.

    An emulated one is made once: the variable then names it, for workers of pytest-xdist and for subprocesses.

    Raises:
        FileNotFoundError: the variable names no folder with a package torchreid in it.
    """
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return
    if wanted == EMULATED:
        wanted = tempfile.mkdtemp(prefix="torchreid-")
        atexit.register(shutil.rmtree, wanted, ignore_errors=True)
        emulate_github(Path(wanted))
    folder = Path(wanted).resolve()
    if not (folder / "torchreid" / "__init__.py").is_file():
        raise FileNotFoundError(
            f"{VARIABLE}={wanted}: no torchreid/__init__.py there; name a checkout of deep-person-reid, or {EMULATED!r}"
        )
    os.environ[VARIABLE] = str(folder)
    sys.path.insert(0, str(folder))
    others = os.environ.get("PYTHONPATH", "")
    if str(folder) not in others.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), others]))
