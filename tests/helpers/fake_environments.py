"""Empty environments and small wheels, so that pip's own choice can be seen without a network."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(folder: Path, name: str, version: str, **modules: str) -> None:
    """A wheel of a distribution with these modules' texts, and no requirements."""
    stem = f"{name.replace('-', '_')}-{version}"
    texts = {f"{module}.py": text for module, text in modules.items()}
    texts[f"{stem}.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    texts[f"{stem}.dist-info/WHEEL"] = _WHEEL
    record = f"{stem}.dist-info/RECORD"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in texts.items():
            archive.writestr(path, text)
        archive.writestr(record, "".join(f"{path},,\n" for path in [*texts, record]))


class FakeEnvironment:
    """A virtual environment without anything, for which this process's pip installs."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        (self.packages,) = folder.glob("lib/python*/site-packages")

    def install(self, *arguments: object, links: Path) -> str:
        """What pip prints; it sees the wheels in ``links`` and nothing else."""
        pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--python", self.python]
        command = [*pip, "install", "--no-index", "--find-links", links, *arguments]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def run(self, code: str) -> str:
        """Standard output of the environment's Python, without what this process has on its path."""
        command = [str(self.python), "-I", "-c", code]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
