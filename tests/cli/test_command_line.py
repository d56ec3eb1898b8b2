"""The command as a whole: its verbs, their help, what a tool is, and exit codes."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import REPO, promptreid, python

import promptreid as package
from promptreid.cli.command_line import VERBS, parser_of

TOOLS = {path.name: re.findall(r'run_verb\("([\w-]+)"\)', path.read_text()) for path in (REPO / "tools").glob("*.py")}
HEAVY = ("torch", "torchvision", "torchreid", "numpy", "yacs")


def helps(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The actions of a parser and of its sub-parsers."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from helps(inner)
        elif action.help != argparse.SUPPRESS:
            yield action


def test_no_help_imports_torch() -> None:
    """Of the command, of every verb and of every tool, in one fresh interpreter."""
    commands = [["--help"], ["--version"], [], ["trian"], *([verb, "--help"] for verb in VERBS)]
    code = f"""
import contextlib, io, json, runpy, sys
from pathlib import Path
from promptreid.cli import main
printed = {{}}
def keep(name, run):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            run()
        except SystemExit as end:
            printed[name] = [end.code, out.getvalue()]
    return [heavy for heavy in {HEAVY} if heavy in sys.modules]
found = [keep(" ".join(words), lambda: main(words)) for words in {commands} if words != ["trian"]]
for path in sorted(Path({str(REPO / "tools")!r}).glob("*.py")):
    sys.argv = [str(path), "--help"]
    found.append(keep(path.name, lambda: runpy.run_path(str(path), run_name="__main__")))
print(json.dumps([found, printed]))
"""
    done = python("-c", code)
    found, printed = json.loads(done.stdout)
    assert not any(found), found
    assert printed[""][0] == 2 and printed["--help"][0] == printed["--version"][0] == 0
    assert printed[""][1] == printed["--help"][1]
    assert all(f"\n  {verb} " in printed["--help"][1] for verb in VERBS)
    assert printed["--version"][1] == f"promptreid {package.__version__}\n"
    assert sorted(verb for (verb,) in TOOLS.values()) == sorted(VERBS)
    for name, (verb,) in TOOLS.items():
        code, text = printed[name]
        assert code == 0
        # Only the name differs, and where it makes a line of the usage break.
        assert text.replace(name, f"promptreid {verb}").split() == printed[f"{verb} --help"][1].split()


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_is_and_its_default(verb: str) -> None:
    for action in helps(parser_of(verb, "promptreid")):
        assert action.help, action
        shown = action.option_strings or [str(action.metavar)]
        takes_value = action.nargs != 0
        if takes_value and action.option_strings:
            names = action.metavar if isinstance(action.metavar, tuple) else (action.metavar or "",)
            assert action.choices or all(re.fullmatch("[A-Z][A-Z-]*", name) for name in names), shown
            unset = action.default in (None, argparse.SUPPRESS)
            assert unset or "default: " in action.help, f"{shown} has the default {action.default!r}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "error: promptreid has no verb 'trian'; did you mean 'train'?\n"),
        (["checkdata"], "error: promptreid has no verb 'checkdata'; did you mean 'check-data'?\n"),
        (["xyz"], "error: promptreid has no verb 'xyz'; promptreid --help lists them\n"),
        (["--bogus"], "error: unrecognized arguments: --bogus (promptreid --help says more)\n"),
        (["train", "--bogus"], "error: unrecognized arguments: --bogus (promptreid train --help says more)\n"),
        (
            ["pretrain", "--out"],
            "error: argument --out: expected one argument (promptreid",
        ),
        (["convert", "x"], "error: argument KIND: invalid choice: 'x'"),
        (["check-data", "regdb", ".", "--workers", "x"], "error: argument --workers: 'x' is no whole number"),
    ],
)
def test_a_mistyped_command_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promptreid(*words) == 2
    printed, error = capsys.readouterr()
    assert error.startswith(message) and error.count("\n") == 1 and not printed


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("promptreid.runs.run.run", interrupted)
    assert promptreid("train", "mip/quickstart") == 130
    assert capsys.readouterr() == ("", "")


def test_an_error_that_is_not_the_users_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptreid.runs.run.run", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        from promptreid.cli import main

        main(["train", "mip/quickstart"])


def test_python_runs_the_package_and_a_tool_runs_its_verb(tmp_path: Path) -> None:
    for command in (["-m", "promptreid", "train"], [REPO / "tools" / "train_net.py"]):
        done = python(*command, "--config-file", "none.yaml", "data.root", "x", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: no configuration file {tmp_path / 'none.yaml'}\n"


def test_the_command_is_declared() -> None:
    declared = (REPO / "setup.py").read_text() + (REPO / "pyproject.toml").read_text()
    assert re.search(r"promptreid = [\"']?promptreid\.cli:main", declared)


def test_every_verb_has_its_file() -> None:
    shared = {"__init__", "arguments", "choices", "command_line", "configurations", "parsing", "user_errors"}
    files = {path.stem for path in (Path(package.__file__).parent / "cli").glob("*.py")}
    assert files - shared == set(VERBS.values())
