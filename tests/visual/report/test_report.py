"""What a report says is what the runs' files say."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml
from reported_runs import NASTY, Reported

from promptreid.config.keys import flatten
from promptreid.engine.train_engine import PromptEngine
from promptreid.visual.pages import render
from promptreid.visual.report.content import Note, Picture, Report, Section, Table, Text
from promptreid.visual.report.open_runs import ReportOptions
from promptreid.visual.report.parts import PARTS
from promptreid.visual.report.report import collect

LIMIT = 8_000_000


def section(report: Report, name: str) -> Section:
    (found,) = (each for each in report.sections if each.name == name)
    return found


def tables(report: Report, name: str) -> list[Table]:
    return [item for block in section(report, name).blocks for item in block.items if isinstance(item, Table)]


def notes(report: Report) -> dict[str, str]:
    return {item.what: item.reason for item in report.items() if isinstance(item, Note)}


def record(folder: Path) -> dict:
    (file,) = folder.glob("results-*.json")
    return json.loads(file.read_text())["results"][0]


def test_every_part_is_there_and_nothing_is_missing(reported: Reported) -> None:
    assert [each.name for each in reported.report.sections] == list(PARTS)
    assert notes(reported.report) == {}
    for name in ("ranks", "embedding", "distances", "attention", "prompts", "batch"):
        pictures = [item for block in section(reported.report, name).blocks for item in block.items]
        assert sum(isinstance(item, Picture) for item in pictures) >= 2, name


def test_results_are_those_of_the_files_with_intervals_around_them(reported: Reported) -> None:
    table = tables(reported.report, "results")[0]
    first, second = (record(folder) for folder in reported.folders)
    columns = {name: place for place, name in enumerate(table.head)}
    for row, expected in zip(table.rows, (first, second), strict=False):
        shown = {name: row[place] for name, place in columns.items()}
        for rank in ("1", "5", "10", "20"):
            assert shown[f"R{rank}"].text.split(" ± ")[0] == f"{100 * expected['rank'][rank]:.2f}"
        for name, sd in (("R1", "rank1"), ("mAP", "mAP"), ("mINP", "mINP")):
            value = expected["rank"]["1"] if name == "R1" else expected[name]
            assert shown[name].text == f"{100 * value:.2f} ± {100 * expected['sd'][sd]:.2f}"
            low, high = map(float, re.findall(r"[\d.]+", shown[name].small))
            assert low <= 100 * value <= high and high - low > 0.1
        assert shown["Queries"].text == str(expected["num_valid"])
        assert shown["Chance mAP"].text == f"{100 * expected['chance']['mAP']:.2f}"
    difference = {name: table.rows[2][place] for name, place in columns.items()}
    assert difference["Run"].text == f"{NASTY} − first"
    assert difference["mAP"].text == f"{100 * (second['mAP'] - first['mAP']):+.2f}"
    low, high = map(float, re.findall(r"[+-][\d.]+", difference["mAP"].small))
    assert low <= 100 * (second["mAP"] - first["mAP"]) <= high
    trials = tables(reported.report, "results")[1]
    assert len(trials.rows) == 20
    assert trials.rows[3][3].text == f"{100 * first['trials'][3]['mAP']:.2f}"


def test_configurations_differ_where_the_files_do(reported: Reported) -> None:
    between, from_defaults = tables(reported.report, "configuration")
    first, second = (flatten(yaml.safe_load((folder / "config.yaml").read_text())) for folder in reported.folders)
    assert {row[0].text for row in between.rows} == {key for key in first if first[key] != second[key]}
    values = {row[0].text: [cell.text for cell in row[1:]] for row in between.rows}
    assert values["mip.prompt_length"] == ["2", "1"] and values["data.save_dir"][1] == str(reported.folders[1])
    assert {row[0].text: row[1].text for row in from_defaults.rows}["mip.prompt_length"] == "16"


def test_curves_end_where_the_log_does(reported: Reported) -> None:
    log = [json.loads(line) for line in (reported.folders[0] / "metrics.jsonl").read_text().splitlines()]
    last = [entry for entry in log if "step" in entry][-1]
    training, tests, cmc = (
        item for block in section(reported.report, "curves").blocks for item in block.items if isinstance(item, Picture)
    )
    assert f"loss of first {last['loss']:.4g} at 2" in training.alt
    assert f"mAP, % of first {100 * record(reported.folders[0])['mAP']:.4g} at 2" in tests.alt
    mean = sum(trial["cmc"][-1] for trial in record(reported.folders[0])["trials"]) / 10
    assert f"of first {100 * mean:.4g} at 50" in cmc.alt
    epochs = tables(reported.report, "curves")[0]
    assert [row[0].text for row in epochs.rows] == ["1", "2"]
    assert epochs.rows[1][epochs.head.index("loss")].text == f"{last['loss']:.4g}"


def test_prompts_diagnostics_and_origin(reported: Reported) -> None:
    lengths, shares = tables(reported.report, "prompts")[:2]
    assert {row[0].text for row in lengths.rows} >= {"modality visible", "modality infrared"}
    for row in shares.rows:
        assert sum(float(cell.text) for cell in row[1:]) == pytest.approx(100, abs=0.3)
    measures = tables(reported.report, "diagnostics")[0]
    assert [row[1].text for row in measures.rows[:2]] == ["before", "after"] and measures.head[2] == "Layer 1"
    origin = {row[0].text: row[1].text for row in tables(reported.report, "environment")[0].rows}
    assert origin["Version of torch"] == torch.__version__ and origin["Seed"] == "1"
    assert len(origin["SHA-256 of the weights"]) == 64 and "(its last session)" in origin["Training time"]


class Elements(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def test_the_page_holds_everything_and_no_markup_of_others(reported: Reported) -> None:
    text = reported.page.read_text()
    assert len(text) < LIMIT
    elements = Elements(text).found
    assert elements[0] == ("html", {"lang": "en"})
    kinds = [tag for tag, _ in elements]
    assert not {"script", "link", "iframe", "object"} & set(kinds)
    for tag, attributes in elements:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:image/").startswith("data:image/")
        assert attributes.get("href", "#").startswith("#")
        if tag == "img":
            assert len(attributes["alt"]) > 20
    assert "url(" not in text.replace("data:image", "") and "@import" not in text
    headings = [int(tag[1]) for tag in kinds if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    targets = {attributes["id"] for _, attributes in elements if "id" in attributes}
    assert {attributes["href"][1:] for tag, attributes in elements if tag == "a"} <= targets
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_a_run_without_weights_results_and_log_is_notes(reported: Reported, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(reported.folders[0] / "config.yaml", bare)
    (bare / "results-sysu_mm01.json").write_text("{")
    report = collect([bare])
    found = notes(report)
    for what in ("Attention of bare", "The prompts of bare", "The diagnostics of bare", "The training batch of bare"):
        assert found[what] == f"{bare}: no weights in this folder; train there first"
    assert "is no file of results" in found["A table of bare"] and "promptreid evaluate" in found["The results of bare"]
    assert "metrics.jsonl has no records" in found["The curves of bare"]
    assert tables(report, "configuration") and tables(report, "environment")
    page = render("report.html", report=report)
    assert page.count('class="note"') == len(found) and "could not be made" in page


def test_images_that_are_gone_cost_the_pictures_alone(reported: Reported, tmp_path: Path) -> None:
    report = collect([reported.folders[1]], ReportOptions(root=str(tmp_path), skip=("curves",)))
    found = notes(report)
    assert all(f"SYSU-MM01 not found at {tmp_path}" in reason for reason in found.values())
    assert f"The intervals of {NASTY}" in found and f"Ranked lists of {NASTY}" in found
    assert (
        tables(report, "results")[0].rows[0][1].text.startswith(f"{100 * record(reported.folders[1])['rank']['1']:.2f}")
    )


def test_features_that_are_not_numbers_are_notes(reported: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: PromptEngine, images: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.full((len(images["camera"]), 4), float("nan"))

    monkeypatch.setattr(PromptEngine, "extract_features", nothing)
    kept = ("results", "ranks")
    report = collect([reported.folders[0]], ReportOptions(skip=[name for name in PARTS if name not in kept]))
    found = notes(report)
    assert set(found) == {"The intervals of first", "Ranked lists of first", "Hardest queries of first"}
    assert all("finite" in reason or "NaN" in reason for reason in found.values()), found


def test_scores_of_other_weights_have_no_intervals(reported: Reported, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(reported.folders[0], changed)
    (file,) = changed.glob("results-*.json")
    content = json.loads(file.read_text())
    content["results"][0]["mAP"] += 0.1
    file.write_text(json.dumps(content))
    report = collect(
        [changed], ReportOptions(skip=[name for name in PARTS if name not in ("results", "configuration")])
    )
    assert "test it again: promptreid evaluate" in notes(report)["The intervals of changed"]
    assert all(cell.small == "" for cell in tables(report, "results")[0].rows[0][:7])


def test_equal_configurations_are_said_to_be(reported: Reported, tmp_path: Path) -> None:
    shutil.copytree(reported.folders[0], tmp_path / "first")
    report = collect([reported.folders[0], tmp_path / "first"], ReportOptions(skip=set(PARTS) - {"configuration"}))
    assert Text("The configurations are the same.") in report.items()
    assert len({*section(report, "configuration").blocks[1].items[0].head[2:]}) == 2


def test_what_is_no_run_is_refused(reported: Reported, tmp_path: Path) -> None:
    several = tmp_path / "several"
    (several / "seed-1").mkdir(parents=True)
    shutil.copy(reported.folders[0] / "config.yaml", several / "seed-1")
    (tmp_path / "empty").mkdir()
    for folders, message in (
        ([tmp_path / "none"], "none: no such run; name the folder"),
        ([tmp_path / "empty"], "empty is no run's folder: it has no config.yaml"),
        ([several], f"holds several runs: name those to report, such as {several / 'seed-1'}"),
        ([reported.folders[0]] * 2, "is given twice"),
        ([], "at least one run"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
            collect(folders)
    with pytest.raises(ValueError, match="no part 'atention'; did you mean 'attention'"):
        collect([reported.folders[0]], ReportOptions(skip=["atention"]))
