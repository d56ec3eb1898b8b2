"""The report of some runs: collected, rendered and written."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from promptreid.config.keys import did_you_mean
from promptreid.engine.checkpoints.random_state import versions
from promptreid.files import write_text
from promptreid.visual.pages import render
from promptreid.visual.report.content import Report, Section
from promptreid.visual.report.open_runs import OpenRuns, ReportOptions
from promptreid.visual.report.parts import PARTS, SKIPPABLE
from promptreid.visual.report.run_files import read_runs

logger = logging.getLogger(__name__)

SUFFIXES = (".html", ".htm")


def collect(folders: Sequence[Path], options: ReportOptions | None = None) -> Report:
    """Collect the content of a report.

    A part that cannot be made, for lack of weights or images for example, is a note with the reason.

    Args:
        folders: of the runs; differences are to the first one.
        options: of the report.

    Raises:
        FileNotFoundError: a folder that is not there.
        ValueError: a folder that is no run, a run that is given twice, or a part to skip that there is none of.
    """
    options = options or ReportOptions()
    for name in options.skip:
        if name not in SKIPPABLE:
            raise ValueError(f"skip: there is no part {name!r}{did_you_mean(name, SKIPPABLE)} ({', '.join(SKIPPABLE)})")
    runs = OpenRuns(read_runs(folders), options)
    names = ", ".join(run.name for run in runs.files)
    sections: list[Section] = []
    for part, (title, make) in PARTS.items():
        if part not in options.skip:
            logger.info("report: %s", title)
            sections.append(make(runs, title))
    return Report(f"Run report: {names}", _about(options), sections)


def check_report_path(path: Path, overwrite: bool = False) -> None:
    """Refuse an unusable path before the work starts.

    Raises:
        ValueError: another suffix than that of a page.
        FileExistsError: a file is there, and ``overwrite`` is False.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--out {path}: a report is a page, whose name ends in .html")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; give --overwrite to replace it, or another --out")


def write_report(
    folders: Sequence[Path], path: Path, options: ReportOptions | None = None, overwrite: bool = False
) -> Path:
    """Write the report of some runs as one HTML page that needs no other file and no network.

    Args:
        folders: of the runs.
        path: of the page, whose folder is made.
        options: of the report.
        overwrite: replace a file of this name.

    Raises:
        ValueError, FileNotFoundError: see :func:`collect`.
        FileExistsError: the file is there.
    """
    check_report_path(path, overwrite)
    page = render("report.html", report=collect(folders, options))
    check_report_path(path, overwrite)  # minutes have gone by
    write_text(path, page)
    return path


def _about(options: ReportOptions) -> str:
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"Written {time.strftime('%Y-%m-%d %H:%M')} with {made_with}; seed {options.seed}."
