"""pyproject.toml has the metadata; here configs/, which lies beside the package, gets into it on the way to a wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:  # a checkout has them where they are
            inside = Path(self.build_lib) / "promptreid" / "configs"
            shutil.rmtree(inside, ignore_errors=True)  # of an earlier build
            shutil.copytree("configs", inside, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": BuildWithConfigs})
