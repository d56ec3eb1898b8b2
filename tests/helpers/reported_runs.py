"""Two small runs on the same images, and a report of them that many tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from small_runs import small_config

from promptreid.runs.run import run
from promptreid.visual import projection
from promptreid.visual.pages import render
from promptreid.visual.report.content import Report
from promptreid.visual.report.open_runs import ReportOptions
from promptreid.visual.report.report import collect

NASTY = "<img src=x onerror=alert(1)>"
"""Name of the second run's folder."""
_SHORT = {"train.max_epoch": 1, "train.warmup_epochs": 0}


class Reported(NamedTuple):
    """The runs' folders, what their report says, and its page."""

    folders: list[Path]
    report: Report
    page: Path


def report_of_two(root: Path, place: Path) -> Reported:
    """Train both on the data at ``root`` and report them in ``place``."""
    folders = [place / "first", place / NASTY]
    run(small_config(root, folders[0], **{**_SHORT, "train.max_epoch": 2, "test.eval_freq": 1}))
    run(small_config(root, folders[1], **{**_SHORT, "train.lr": 0.002, "mip.prompt_length": 1}))
    with pytest.MonkeyPatch.context() as patch:
        # t-SNE takes as long as all the rest, and has tests of its own.
        patch.setattr(projection, "_tsne", lambda features, seed: features[:, :2].astype(float))
        report = collect(folders, ReportOptions(queries=1))
    page = place / "report.html"
    page.write_text(render("report.html", report=report), encoding="utf-8")
    return Reported(folders, report, page)
