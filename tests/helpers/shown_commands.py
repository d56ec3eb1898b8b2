"""Command lines that pages show: parsed by the tool that they call, and never run."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from doc_pages import REPO, Block

from promptreid.cli.command_line import VERBS, parser_of
from promptreid.cli.configurations import shipped_names
from promptreid.cli.parsing import is_key

SHELL = {"cd", "cp", "export", "head", "ls", "mkdir", "tail", "trap", "wait", "scontrol", "sbatch", "["}
"""Programs of a shell or a cluster, whose words are not looked into."""
_TOOLS = {path.name: re.search(r'run_verb\("([\w-]+)"\)', path.read_text()) for path in (REPO / "tools").glob("*.py")}


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a block of shell as lists of words, without comments and what follows a pipe."""
    joined = re.sub(r"\\\n\s*", " ", block.code)
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        yield from _split(list(lexer))


def _split(words: Sequence[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in [*words, ";"]:
        if re.fullmatch(r"[;|&>]+", word):
            if command:
                yield command
            command = []
            if word.startswith((">", "|")):
                return
        else:
            command.append(word)


def check(words: Sequence[str]) -> None:
    """Parse a command.

    Raises:
        ValueError: what is wrong with it.
    """
    words = [word for word in words if word != "srun"]
    while words and re.fullmatch(r"\w+=.*", words[0], flags=re.DOTALL):
        words = words[1:]
    if not words:
        return
    program, rest = words[0].removeprefix(".venv/bin/"), list(words[1:])
    if program in SHELL:
        return
    known = {"promptreid": _promptreid, "python": _python, "torchrun": _torchrun, "pip": _pip, "make": _make,
             "tensorboard": _tensorboard, "mkdocs": _mkdocs, "ruff": _any, "mypy": _any, "pytest": _any,
             "pre-commit": _any}  # fmt: skip
    if program not in known:
        raise ValueError(f"{program}: no program that this test knows")
    known[program](rest)


def _promptreid(words: list[str]) -> None:
    if words and words[0] not in VERBS and not words[0].startswith("-"):
        raise ValueError(f"no verb {words[0]}")
    if words and words[0] in VERBS:
        _verb(words[0], words[1:])


def _python(words: list[str]) -> None:
    if words[:1] == ["-m"]:
        modules = {"promptreid": _promptreid, "pip": _pip, "pytest": _any, "venv": _any, "mkdocs": _mkdocs}
        modules |= dict.fromkeys(("promptreid.config.document", "promptreid.runs.tables.document"), _any)
        if words[1] not in modules:
            raise ValueError(f"-m {words[1]}: no module that this test knows")
        modules[words[1]](words[2:])
        return
    path = REPO / words[0]
    if not path.is_file():
        raise ValueError(f"no file {words[0]}")
    tool = _TOOLS.get(path.name) if path.parent == REPO / "tools" else None
    if tool is not None:
        _verb(tool[1], words[1:])


def _torchrun(words: list[str]) -> None:
    from torch.distributed.run import get_args_parser

    args = _quietly(get_args_parser().parse_args, _plain(words))
    inner = [args.training_script, *args.training_script_args]
    _python(["-m", *inner] if args.module else inner)


def _plain(words: Sequence[str]) -> list[str]:
    """Words with a number in the place of a shell's variable."""
    return [re.sub(r"\$\{?\w+\}?", "2", word) for word in words]


def _verb(name: str, words: list[str]) -> None:
    args = _quietly(parser_of(name, f"promptreid {name}").parse, words)
    if not hasattr(args, "opts") or not hasattr(args, "config_file"):
        return
    if name == "evaluate" and str(args.target).endswith((".npz", ".parquet", ".safetensors", ".mat")):
        return  # a file of features, for which argparse has all that there is to say
    pairs = [word for word in (args.target, *args.opts) if word is not None]
    target = pairs.pop(0) if args.config_file is None and pairs and not is_key(pairs[0]) else None
    path = args.config_file or target
    in_repository = path is not None and path.startswith(("configs/", "examples/"))
    if in_repository and not (REPO / path).is_file():
        raise ValueError(f"no configuration {path}")
    shipped = path is not None and path.split("/")[0] in {known.split("/")[0] for known in shipped_names()}
    if shipped and path not in shipped_names():
        raise ValueError(f"no configuration {path}")
    if "plugins" in pairs:
        return  # whose keys are known only to who has loaded them
    given = {"data.sources": getattr(args, "sources", None), "data.targets": getattr(args, "targets", None)}
    _check_keys(REPO / path if in_repository else REPO / "configs" / f"{path}.yaml" if shipped else None, pairs, given)


def _check_keys(path: Path | None, pairs: Sequence[str], given: Mapping[str, object]) -> None:
    """Keys and values; with a configuration of the repository also whether they go together."""
    from promptreid import host
    from promptreid.config import load_config, validate

    cfg = load_config(path, list(pairs), {key: value for key, value in given.items() if isinstance(value, list)})
    if path is not None:
        validate(cfg, models=host.model_names(), datasets=host.dataset_names())


def _pip(words: list[str]) -> None:
    text = (REPO / "pyproject.toml").read_text()
    extras = re.findall(r"^(\w+) = \[", text.partition("[project.optional-dependencies]")[2], flags=re.MULTILINE)
    asked = ",".join(re.findall(r"(?:promptreid|\.)\[([\w,]+)\]", " ".join(words)))
    unknown = [extra for extra in asked.split(",") if extra and extra not in extras]
    if words[:1] != ["install"] or unknown:
        raise ValueError(f"pip {' '.join(words)}: no extra {unknown}")


def _make(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(), flags=re.MULTILINE)
    unknown = [word for word in words if "=" not in word and word not in targets]
    if unknown:
        raise ValueError(f"make {unknown[0]}: no such target")


def _tensorboard(words: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--logdir", required=True)
    parser.add_argument("--port", type=int)
    _quietly(parser.parse_args, words)


def _mkdocs(words: list[str]) -> None:
    if words[:1] not in (["build"], ["serve"]):
        raise ValueError(f"mkdocs {' '.join(words)}")


def _any(words: list[str]) -> None:
    """Nothing is known of these words."""


def _quietly(parse: object, words: Sequence[str]) -> argparse.Namespace:
    """The parsed words; a parser that leaves the process is an error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            return parse(list(words))  # type: ignore[operator]
        except SystemExit as end:
            raise ValueError(said.getvalue().strip() or f"exit code {end.code}") from None
