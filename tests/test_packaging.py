"""What is built of this tree holds all that an installed package needs, and says what it is once."""

from __future__ import annotations

import email
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_environments import FakeEnvironment, write_wheel
from lower_bounds import project
from packaging.requirements import Requirement

import promptreid
from promptreid import versions

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
BUILD = """
import os, sys, tarfile
from setuptools import build_meta
out = sys.argv[1]
os.chdir(sys.argv[2])
source = build_meta.build_sdist(out)
with tarfile.open(os.path.join(out, source)) as archive:
    archive.extractall(os.path.join(out, "unpacked"), filter="data")
os.chdir(os.path.join(out, "unpacked", source.removesuffix(".tar.gz")))
build_meta.build_wheel(out)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the source distribution of a copy of this tree, as pip builds it, without network or isolation."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("built")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("plugin", "configs", "tests/helpers"):
        shutil.copytree(ROOT / name, tree / name, ignore=unwanted)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, tree)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out), str(tree)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (built,) = out.glob("*.whl")
    return built


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def text_in(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ending)]
        return archive.read(name).decode()


def files_below(folder: Path, *suffixes: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in suffixes}


def test_the_wheel_holds_the_code_the_weights_and_the_configurations_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "plugin" / "promptreid"
    expected = {f"promptreid/{name}" for name in files_below(package, ".py", ".json", ".safetensors", ".html", ".css")}
    expected |= {f"promptreid/configs/{name}" for name in files_below(ROOT / "configs", ".yaml")}
    expected |= {"promptreid/py.typed"}
    assert len([name for name in expected if name.endswith(".yaml")]) > 10
    found = {name for name in names_in(wheel) if ".dist-info/" not in name}
    assert found == expected


def test_the_wheel_s_configurations_are_those_of_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in files_below(ROOT / "configs", ".yaml"):
            assert archive.read(f"promptreid/configs/{name}") == (ROOT / "configs" / name).read_bytes()


def test_its_metadata_are_pyproject_s(wheel: Path) -> None:
    assert text_in(wheel, "entry_points.txt").split() == ["[console_scripts]", "promptreid", "=", "promptreid.cli:main"]
    about = email.message_from_string(text_in(wheel, ".dist-info/METADATA"))
    assert (about["Name"], about["License-Expression"], about["Requires-Python"]) == ("promptreid", "MIT", ">=3.10")
    assert about["Version"] == re.search(r'^version = "(.+)"$', PROJECT, re.MULTILINE)[1]  # type: ignore[index]
    assert str(about.get_payload()).startswith((ROOT / "README.md").read_text(encoding="utf-8")[:200])
    extras = {"fast", "parquet", "search", "milvus", "export", "openvino", "visual", "mlflow"}
    extras |= {"test", "check", "coverage", "docs", "fuzz"}
    assert {*about.get_all("Provides-Extra", [])} == extras
    needed = about.get_all("Requires-Dist", [])
    assert "torchreid>=0.2.5" in needed  # a user's checkout of 1.4.0 stays
    assert not any("://" in requirement for requirement in needed)


def as_a_distribution(packages: Path) -> None:
    """pip install of a checkout: the package and its metadata."""
    (packages / "torchreid.py").write_text("whose = 'mine'\n")
    about = packages / "torchreid-1.4.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchreid\nVersion: 1.4.0\n")
    (about / "RECORD").write_text("torchreid.py,,\ntorchreid-1.4.0.dist-info/METADATA,,\n")


def as_setup_develop_leaves_it(packages: Path) -> None:
    """A checkout elsewhere, with its metadata, on the path: what torchreid's own instructions make."""
    checkout = packages.parent / "deep-person-reid"
    (checkout / "torchreid.egg-info").mkdir(parents=True)
    (checkout / "torchreid.py").write_text("whose = 'mine'\n")
    (checkout / "torchreid.egg-info" / "PKG-INFO").write_text(
        "Metadata-Version: 1.0\nName: torchreid\nVersion: 1.4.0\n"
    )
    (packages / "easy-install.pth").write_text(f"{checkout}\n")
    (packages / "torchreid.egg-link").write_text(f"{checkout}\n.\n")


@pytest.mark.parametrize("present", [as_a_distribution, as_setup_develop_leaves_it])
def test_installing_leaves_a_checkout_of_torchreid_alone(wheel: Path, tmp_path: Path, present: Callable) -> None:
    """Even where everything is upgraded; the registry's torchreid comes where there is none."""
    pytest.importorskip("pip")
    for each in map(Requirement, project()["dependencies"]):
        (low,) = (bound.version for bound in each.specifier if bound.operator == ">=")
        write_wheel(
            tmp_path, each.name, low, **({"torchreid": "whose = 'registry'"} if each.name == "torchreid" else {})
        )
    environment = FakeEnvironment(tmp_path / "environment")
    present(environment.packages)
    environment.install("--upgrade", "--upgrade-strategy", "eager", wheel, links=tmp_path)
    seen = "import torchreid; from importlib.metadata import version; print(torchreid.whose, version('torchreid'))"
    assert environment.run(seen) == "mine 1.4.0\n"
    if present is as_a_distribution:
        empty = FakeEnvironment(tmp_path / "empty")
        empty.install(wheel, links=tmp_path)
        assert empty.run(seen) == "registry 0.2.5\n"


def test_every_dependency_has_its_reason() -> None:
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]$", PROJECT, re.MULTILINE | re.DOTALL)
    lines = block.splitlines()
    assert len(lines) > 10
    assert [line for line in lines if not re.fullmatch(r'    "[^"]+", +# \S.{3,}', line)] == []


def test_there_is_one_version() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', PROJECT, re.MULTILINE)
    assert re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE) == [version]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None and newest[1] == version
    assert promptreid.__version__ == version
    assert "version" not in (ROOT / "setup.py").read_text()


def test_what_is_pinned_is_what_the_metadata_allow() -> None:
    """The project's own environment has the registry's torchreid."""
    assert "torchreid==0.2.5" in (ROOT / "constraints.txt").read_text().splitlines()
    assert re.search(r"^\$\(VENV\)/\.ready:.*\bpyproject\.toml\b", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_a_checkout_that_is_not_installed_knows_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from promptreid.engine.checkpoints.random_state import versions as versions_of_a_run

    def missing(name: str) -> str:
        raise versions.metadata.PackageNotFoundError(name)

    installed = versions_of_a_run()
    monkeypatch.setattr(versions.metadata, "version", missing)
    assert versions.version_of("promptreid") == installed["promptreid"] == promptreid.__version__
    assert versions_of_a_run() == installed
    assert versions.version_of("opencv-python-headless") == "unknown"
    monkeypatch.setattr(versions, "_PROJECT", ROOT / "none.toml")
    assert versions.version_of("promptreid") == "unknown"
