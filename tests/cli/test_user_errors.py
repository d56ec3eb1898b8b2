"""What becomes of an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import promptreid
from promptreid.cli.user_errors import USER_ERRORS, run_tool


@pytest.mark.parametrize("kind", USER_ERRORS)
def test_an_error_of_the_users_is_one_line(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    raises = compile("raise kind('wrong')", promptreid.__file__, "exec")
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: exec(raises, {"kind": kind}))
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "error: wrong\n")


def test_a_mistake_in_a_plugin_shows_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = compile("a, b = (1, 2, 3)", str(tmp_path / "my_reid.py"), "exec")
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: exec(plugin, {}))
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "my_reid.py" in error and error.endswith("error: too many values to unpack (expected 2)\n")


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "from promptreid.cli.user_errors import run_tool; run_tool(lambda: print('line\\n' * 100000))"
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "{code}" | head -1'], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("line\n", "")


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_a_verbs_value_is_the_exit_code(returned: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: returned)
    assert ended.value.code == code
