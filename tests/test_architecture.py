"""Who may import whom, and other rules that a reviewer should not have to check by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import promptreid

ROOT = Path(promptreid.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = {
    0: (
        "host",
        "compat",
        "errors",
        "files",
        "json_texts",
        "numpy_files",
        "safetensors_header",
        "versions",
        "yaml_texts",
    ),
    1: ("data", "config", "evaluation"),
    2: ("losses", "models", "datasets", "synthetic"),
    3: ("engine", "methods", "pretraining"),
    4: ("runs", "retrieval", "visual"),
    5: ("registration", "on_import", "moved"),
    6: ("cli", "__main__"),
}
LEVEL = {name: level for level, names in LAYERS.items() for name in names}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_host_imports_torchreid(path: Path) -> None:
    users = [name for name in imports(path) if name.split(".")[0] == "torchreid"]
    assert not users or path == ROOT / "host.py"


def test_host_imports_it_in_one_place() -> None:
    assert 'import_module("torchreid")' in (ROOT / "host.py").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    if path == ROOT / "__init__.py":
        return
    level = LEVEL[package_of(path)]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "promptreid" and len(parts) > 1 and parts[1] in LEVEL:
            assert LEVEL[parts[1]] <= level, f"{path.relative_to(ROOT)} imports {name}, which lies above it"


def of_methods(path: Path) -> set[str]:
    """What a file imports of ``methods/``, and of which room."""
    found = {name.removeprefix("promptreid.methods") for name in imports(path) if name.startswith("promptreid.methods")}
    return {name.split(".")[1] if name else "" for name in found}


def test_no_room_but_methods_knows_a_method() -> None:
    """The engine and the runs ask ``methods/base.py``; importing ``promptreid.methods`` as a whole registers them."""
    for path in FILES:
        room = package_of(path)
        if room == "methods" or path == ROOT / "__init__.py":
            continue
        allowed = {"base", ""} if room in ("engine", "runs", "retrieval", "registration") else set()
        # A checkpoint of the authors' own code is converted by name, since it is theirs.
        allowed |= {"mip"} if path == ROOT / "cli" / "convert.py" else set()
        assert of_methods(path) <= allowed, path


@pytest.mark.parametrize("room", ["mip", "dmpt"])
def test_mip_and_dmpt_know_no_other_method(room: str) -> None:
    """What they share is in ``models/`` and ``losses/``."""
    for path in (ROOT / "methods" / room).rglob("*.py"):
        assert of_methods(path) <= {"base", "", room}, path


def test_a_room_of_methods_is_pure_but_for_its_method_file() -> None:
    """A model and its loss know neither torchreid nor a configuration; ``method.py`` binds them to both."""
    adapters = {"base.py", "method.py", "keys.py", "convert.py", "prompt_report.py", "torchreid_backbones.py"}
    for path in (ROOT / "methods").rglob("*.py"):
        if path.name in adapters or path.name == "__init__.py":
            continue
        for name in imports(path):
            assert not name.startswith(("promptreid.host", "promptreid.config", "promptreid.data", "yacs")), path


def named(path: Path) -> Iterator[str]:
    """Names and texts in a file's code, docstrings apart."""
    tree = ast.parse(path.read_text())
    plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in plain:
            yield node.value
        elif isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else node.attr


def test_no_code_outside_methods_names_one() -> None:
    """But registries and tables of names: keys and their meanings, published tables, protocols, the verbs' help."""
    registries = {
        "config/host_keys.py",
        "config/own_keys.py",
        "runs/tables/definitions.py",
        "evaluation/protocols/sysu.py",
    }
    for path in FILES:
        relative = path.relative_to(ROOT)
        if relative.parts[0] in ("methods", "cli", "moved.py") or str(relative) in registries:
            continue
        found = [name for name in named(path) if re.search(r"mip|dmpt", name, re.IGNORECASE) and name != "mip_cosine"]
        assert not found, f"{relative} names {found}"


@pytest.mark.parametrize("package", ["models", "losses", "evaluation"])
def test_pure_packages_know_neither_host_nor_config_nor_data(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for name in imports(path):
            assert not name.startswith(("promptreid.host", "promptreid.config", "promptreid.data", "yacs")), path


def test_weight_files_are_read_in_one_place() -> None:
    readers = {"torch.load", "load_file", "safe_open", "load_state_dict_from_url"}
    allowed = {
        ROOT / "models" / "weights.py": readers,
        # Files of features, of vectors and of galleries: arrays that fill no model.
        ROOT / "evaluation" / "features_io.py": {"safe_open"},
        ROOT / "retrieval" / "array_files.py": {"safe_open"},
    }
    for path in FILES:
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        found = {call for call in calls if call in readers or call.rpartition(".")[2] in readers - {"torch.load"}}
        assert found <= allowed.get(path, set()), (path, found)


def test_files_are_written_whole_in_one_place() -> None:
    """Others use its context managers; it needs nothing of the package."""
    own = {"os.replace", "os.rename", "tempfile.mkstemp", "tempfile.NamedTemporaryFile", "fcntl.flock"}
    for path in FILES:
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        assert path == ROOT / "files.py" or not own & calls, path
    assert not [name for name in imports(ROOT / "files.py") if name.startswith("promptreid")]


def test_numpy_files_are_read_without_pickle() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert settings.get("allow_pickle") == "False", f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small_and_public_functions_typed(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
            assert not bare, f"{path.name}:{node.lineno} {node.name} has no type for {bare}"
            assert node.returns is not None, f"{path.name}:{node.lineno} {node.name} has no return type"
