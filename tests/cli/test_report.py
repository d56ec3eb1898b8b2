"""The command line that writes a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import promptreid
from reported_runs import NASTY, Reported

from promptreid.cli.choices import REPORT_PARTS

FEW = ["--skip", *(part for part in REPORT_PARTS if part not in ("results", "configuration"))]


def test_a_page_is_written_once(reported: Reported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "report.html"
    assert promptreid("report", *reported.folders, "--out", out, *FEW) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{out}, 0.")
    page = out.read_text()
    assert 'id="results"' in page and 'id="ranks"' not in page and NASTY not in page
    assert promptreid("report", *reported.folders, "--out", out, *FEW) == 2
    assert f"{out} exists; give --overwrite" in capsys.readouterr().err
    assert promptreid("report", reported.folders[0], "--out", out, "--overwrite", *FEW) == 0
    assert "onerror" not in out.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "report.pdf"], "--out report.pdf: a report is a page, whose name ends in .html"),
        (["none", "--out", "a.html"], "none: no such run; name the folder of a training (data.save_dir)"),
        (["--out", "a.html", "--skip", "atention"], "invalid choice: 'atention'"),
        (["--out", "a.html", "--queries", "0"], "0 is below 1"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, reported: Reported, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert promptreid("report", reported.folders[0], *words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1] and error[-1].startswith("error: ")
    assert not list(tmp_path.iterdir())
