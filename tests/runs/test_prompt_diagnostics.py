"""Prompts before and after a training of a second."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import small_config

from promptreid.config import load_config
from promptreid.evaluation.statistics.nearest_mean import nearest_mean_accuracy
from promptreid.methods.mip.diagnostics import modality_prompt_cosine
from promptreid.methods.mip.prompt_report import MEASURES
from promptreid.runs.load_trained import open_target, trained_engine
from promptreid.runs.prompt_diagnostics import PromptReport, diagnose_prompts
from promptreid.runs.run import run


@pytest.fixture(scope="module")
def trained(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The configuration of a run that has ended."""
    folder = tmp_path_factory.mktemp("run")
    run(small_config(small_root, folder))
    return load_config(folder / "config.yaml")


@pytest.fixture(scope="module")
def report(trained: Any) -> PromptReport:
    return diagnose_prompts(trained)


def test_before_is_the_model_as_the_run_built_it(trained: Any, report: PromptReport) -> None:
    again = diagnose_prompts(trained)
    assert (again.before, again.after) == (report.before, report.after)  # NaN would differ
    assert report.before != report.after
    assert all(len(getattr(report.before, name)) == 1 for name in MEASURES)  # one block before the head's


def test_after_is_measured_on_the_checkpoint(trained: Any, report: PromptReport) -> None:
    """The nearest mean across modalities, image by image."""
    datamanager, name = open_target(trained)
    model: Any = trained_engine(trained, datamanager).model
    assert report.after.cosine == modality_prompt_cosine(model)
    sides = []
    for split in ("query", "gallery"):  # infrared, visible
        found = [
            (model.outputs(batch["img"])["prompts"][0], batch["pid"]) for batch in datamanager.test_loader[name][split]
        ]
        sides.append((torch.cat([one for one, _ in found]), torch.cat([pid for _, pid in found])))
    (infrared, query_pids), (visible, gallery_pids) = sides
    assert report.identities == len(gallery_pids.unique())
    there = nearest_mean_accuracy([visible], gallery_pids, [infrared], query_pids)
    back = nearest_mean_accuracy([infrared], query_pids, [visible], gallery_pids)
    assert report.after.across == pytest.approx([(there[0] + back[0]) / 2])
    within = []
    for prompts, pids in sides:
        seen: dict[int, int] = {}
        even = []
        for pid in pids.tolist():
            even.append(seen.get(pid, 0) % 2 == 0)
            seen[pid] = seen.get(pid, 0) + 1
        known = torch.tensor(even)
        within += nearest_mean_accuracy([prompts[known]], pids[known], [prompts[~known]], pids[~known])
    assert report.after.within == pytest.approx([sum(within) / 2])


def test_what_is_printed_and_written(report: PromptReport) -> None:
    lines = report.text().splitlines()
    assert lines[0].startswith(f"prompts on {report.identities} unseen identities")
    assert [line[:48].strip() for line in lines[2:]] == list(MEASURES.values())
    assert all(line.split()[-1] != "-" for line in lines[2:])
    record = json.loads(json.dumps(report.as_dict()))
    assert record["after"]["cosine"] == report.after.cosine and record["identities"] == report.identities


def test_undefined_values_are_none() -> None:
    from promptreid.methods.mip.prompt_report import PromptMeasures

    empty = PromptMeasures([], [], [math.nan], [math.inf], [], [])
    record = PromptReport(empty, empty, 4).as_dict()
    assert record["before"] == {
        "cosine": [],
        "distance": [],
        "spread": [None],
        "ratio": [None],
        "within": [],
        "across": [],
    }
    assert PromptReport(empty, empty, 4).text().splitlines()[2].split()[-2:] == ["-", "-"]


def test_a_model_without_prompts_is_refused(trained: Any) -> None:
    cfg = trained.clone()
    cfg.defrost()
    cfg.model.name = "transreid_vit_tiny_patch16"
    with pytest.raises(
        ValueError, match="'transreid_vit_tiny_patch16': MIP has no prompts that are measured; choose one of mip_"
    ):
        diagnose_prompts(cfg)
