"""Every command that a page shows is parsed by the tool that it calls; every block of Python compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from doc_pages import REPO, Block, blocks, name_of, pages
from shown_commands import check, commands

SHELL = [(page, block) for page in pages() for block in blocks(page, "sh", "bash", "console")]
PYTHON = [(page, block) for page in pages() for block in blocks(page, "python")]


def where(value: object) -> str:
    return name_of(value) if isinstance(value, Path) else str(getattr(value, "line", value))


def test_there_are_many() -> None:
    assert len(SHELL) > 40 and len(PYTHON) > 20


@pytest.mark.parametrize(("page", "block"), SHELL, ids=where)
def test_commands_are_parsed_by_their_tool(page: Path, block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    if block.code.startswith("#!"):
        return  # a script: below
    problems = []
    for words in commands(block):
        try:
            check(words)
        except (ValueError, FileNotFoundError) as error:
            problems.append(f"{' '.join(words)}: {error}")
    assert not problems, f"{name_of(page)}:{block.line}"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("promptreid trian mip/quickstart", "no verb trian"),
        ("promptreid train mip/quickstrat", "no configuration mip/quickstrat"),
        ("promptreid train mip/quickstart train.lrr 0.1", "train.lrr"),
        ("promptreid train mip/quickstart --seed 3 --bogus", "--bogus"),
        ("promptreid train mip/quickstart -s no_such_set train.lr 0.1", "no_such_set"),
        ("promptreid train mip/quickstart train.max_epoch 1", "train.warmup_epochs 2 must be below"),
        ("python tools/train_net.py --config-file configs/mip/none.yaml", "no configuration configs/mip/none.yaml"),
        ("python tools/none.py", "no file tools/none.py"),
        ("torchrun --nproc-per-nod 4 tools/train_net.py --config-fil x.yaml --bogus", "--bogus"),
        ("pip install 'promptreid[serch]'", "serch"),
        ("make demoo", "demoo"),
        ("rm -rf /", "rm: no program"),
    ],
)
def test_a_wrong_command_is_found(command: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    (words,) = commands(Block("sh", command + "\n", 1, False))
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        check(words)


SCRIPTS = [(page, block) for page, block in SHELL if block.code.startswith("#!")]


@pytest.mark.parametrize(("page", "block"), SCRIPTS, ids=where)
def test_scripts_are_parsed_by_bash_slurm_and_torchrun(
    page: Path, block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPO)
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    parsed = subprocess.run([bash, "-n"], input=block.code, capture_output=True, text=True, check=False)
    assert parsed.returncode == 0, f"{name_of(page)}:{block.line}: {parsed.stderr}"
    asked = " ".join(re.findall(r"^#SBATCH (.*)$", block.code, flags=re.MULTILINE)).split()
    known = {"nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "signal", "requeue", "open-mode",
             "job-name", "output", "mem", "array"}  # fmt: skip
    assert asked and {option.lstrip("-").partition("=")[0] for option in asked} <= known
    launched = [words for words in commands(block) if "torchrun" in words]
    assert launched
    for words in launched:
        check(words[words.index("torchrun") :])


@pytest.mark.parametrize(("page", "block"), PYTHON, ids=where)
def test_python_compiles(page: Path, block: Block) -> None:
    compile(block.code, f"{name_of(page)}:{block.line}", "exec")


@pytest.mark.parametrize(("page", "block"), [found for found in PYTHON if found[1].runs], ids=where)
def test_python_that_says_so_runs(
    page: Path, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it prints stands in comments behind the ``print``, at the end of its line."""
    monkeypatch.chdir(tmp_path)
    exec(compile(block.code, f"{name_of(page)}:{block.line}", "exec"), {"__name__": "example"})
    said = re.findall(r"^print\(.*\)  # (.*)$", block.code, flags=re.MULTILINE)
    assert said and capsys.readouterr().out.splitlines() == said


def test_some_python_says_that_it_runs() -> None:
    assert sum(block.runs for _, block in PYTHON) >= 3
