"""Ctrl-C and SIGTERM where loader workers are not forked, as on macOS: the step is finished and saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CODE = """
import sys
sys.path.insert(0, {helpers!r})
if __name__ == "__main__":
    import promptreid
    from pathlib import Path
    from promptreid.cli.user_errors import run_tool
    from promptreid.runs.run import run
    from small_runs import small_config
    # The rest of the epoch is needed for the step.
    changes = {{"data.workers": 1, "train.max_epoch": 500, "train.print_freq": 1, "train.batch_size": 16,
               "train.accumulation": 50, "data.start_method": {method!r}}}
    run_tool(lambda: run(small_config(Path({root!r}), Path({out!r}), **changes)) and None)
"""


@pytest.mark.parametrize(("method", "number"), [("spawn", signal.SIGINT), ("forkserver", signal.SIGTERM)])
def test_a_signal_saves_the_step(method: str, number: signal.Signals, small_root: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "train.py", tmp_path / "run"
    helpers = str(Path(__file__).parents[1] / "helpers")
    script.write_text(CODE.format(helpers=helpers, root=str(small_root), out=str(out), method=method))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, str(script)], env=environment, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    metrics, deadline = out / "metrics.jsonl", time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: to the workers, too
    else:
        os.kill(process.pid, number)
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + number, printed[-3000:]
    assert list((out / "model").glob("model.pth.tar-*"))
    assert f"{number.name}: finishing the step, then saving" in printed
