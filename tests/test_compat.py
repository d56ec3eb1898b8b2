"""torchvision can be imported beside a torch of another build."""

from __future__ import annotations

import subprocess
import sys

import torch

from promptreid import compat


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_torchvision_imports_and_transforms() -> None:
    code = (
        "from promptreid import compat; compat.declare_torchvision_operators(); import torchvision.transforms.v2 as v2;"
        "import torch; print(v2.Resize((4, 2))(torch.zeros(3, 8, 8)).shape[1:])"
    )
    assert fresh(code) == "torch.Size([4, 2])\n"


def test_nothing_is_declared_twice_or_after_the_import() -> None:
    import torchvision  # noqa: F401

    assert compat.declare_torchvision_operators() is False
    assert hasattr(torch.ops.torchvision, "nms")


def test_nothing_is_declared_where_native_operators_load() -> None:
    """A torchvision whose library loads is stood in for by an operator that exists before the check."""
    code = (
        "import torch; library = torch.library.Library('torchvision', 'FRAGMENT');"
        "library.define('nms(Tensor d, Tensor s, float t) -> Tensor'); from promptreid import compat;"
        "print(compat.torchvision_operators_load(), compat.declare_torchvision_operators())"
    )
    # Importing the package imports torchreid, hence compat runs twice; neither call may declare anything.
    assert fresh(code.replace("from promptreid import compat", IMPORT_COMPAT_ALONE)) == "True False\n"


IMPORT_COMPAT_ALONE = (
    "import importlib.util as u; spec = u.spec_from_file_location('compat', " + repr(compat.__file__) + ");"
    "compat = u.module_from_spec(spec); spec.loader.exec_module(compat)"
)
