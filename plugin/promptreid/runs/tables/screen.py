"""One key, such as the learning rate, chosen for each row of a table in worlds that no table tests on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.config import load_config
from promptreid.config.keys import did_you_mean, flatten
from promptreid.config.merge import merged
from promptreid.files import write_text
from promptreid.runs.run_log import run_log
from promptreid.runs.tables.places import Places, Size, of_rows
from promptreid.runs.tables.programme import Programme, complete_programme
from promptreid.runs.tables.record import FORMAT, read_json
from promptreid.runs.tables.rows import Training, check_folder, row_config, run_scores, trainings_of
from promptreid.runs.tables.table import Row, Table
from promptreid.runs.tables.worlds import world_seeds

logger = logging.getLogger(__name__)

SCREEN_FILE = "screen.json"
_FIELDS = ("format", "key", "values", "worlds", "seeds", "rows")


@dataclass(frozen=True)
class Candidate:
    """A row with one of the values.

    Attributes:
        given: the value as it was asked for.
        value: what the row has in its place.
        trainings: its runs.
    """

    given: str
    value: float
    trainings: Sequence[Training]


def screen(
    table: Table, places: Places, size: Size, key: str, values: Sequence[str], opts: Sequence[str] = ()
) -> dict[str, Any]:
    """Train each row with each value of a key and write the scores and the best value of each as ``screen.json``.

    A row that sets the key itself, such as fine-tuning its learning rate, is trained with its own value times the same
    multiples: as many times its own as the given value is of the configuration's. What a training scores is the mAP of
    its headline protocol; the best value has the highest mean over worlds and seeds, of equal ones the smallest. A
    value with which a training fails is no candidate. Rows that are not trained are left out.

    The runs are in ``<out>/screens``; a second call passes over what is finished.

    Args:
        table: its rows are screened.
        places: where things are.
        size: how much is trained; the worlds are those from
            :data:`~promptreid.runs.tables.worlds.FIRST_SCREENED` on.
        key: of a number above 0.
        values: at least two, as on a command line.
        opts: ``KEY VALUE ...`` for all rows.

    Returns:
        what was written.

    Raises:
        ValueError: a key or values that cannot be screened, or a row for which every value has failed.
    """
    _check_values(key, values)
    rows = [row for row in of_rows(table, size.rows).rows if row.trained]
    candidates = {row.key: _candidates(row, places, size, key, values, opts) for row in rows}
    trainings = [one.trainings for row in rows for one in candidates[row.key]]
    failed = _complete(trainings, size, f"{table.name}, {key}")
    first = trainings[0]
    record = {
        "format": FORMAT,
        "key": key,
        "values": list(values),
        "worlds": sorted({training.world for training in first}),
        "seeds": sorted({training.seed for training in first}),
        "rows": {row.key: _outcome(row, candidates[row.key], failed) for row in rows},
    }
    return _write(places.results / table.name / SCREEN_FILE, record)


def choices_of(results: Path, table: Table) -> dict[str, dict[str, Any]]:
    """By key of a row, the value that was chosen for it, by key of the configuration.

    Rows of one key and configuration share their runs, so what was chosen for one in any table holds in all.

    Raises:
        ValueError: a file that cannot be read, or two tables in which a row was given different values.
    """
    found: dict[tuple[str, str], tuple[Path, dict[str, Any]]] = {}
    for path in sorted(results.glob(f"*/{SCREEN_FILE}")):
        record = read_screen(path)
        for name, row in record["rows"].items():
            place, choice = (row["config"], name), {record["key"]: row["choice"]}
            if place in found and found[place][1] != choice:
                raise ValueError(
                    f"{path} chooses {choice} for {name!r}, and {found[place][0]} {found[place][1]}: tables share its "
                    "runs; screen it in one of them, or take it out of one of these files"
                )
            found[place] = path, choice
    places = {row.key: (Path(row.config).stem, row.key) for row in table.rows if row.trained}
    return {key: found[place][1] for key, place in places.items() if place in found}


def screen_markdown(record: Mapping[str, Any]) -> str:
    """A row per row of the table: its mean mAP in per cent with each value, the best value, and its lead over the next.

    The lead has its standard error over worlds and seeds, where there are several: a lead within twice that is no
    reason to prefer one of the two values.
    """
    head = [
        f"| {record['key']} | {' | '.join(record['values'])} | chosen | lead |",
        "|---|" + "---:|" * (len(record["values"]) + 2),
    ]
    rows = []
    for name, row in record["rows"].items():
        found = [row["mAP"].get(given) for given in record["values"]]
        cells = ["–" if scores is None else f"{100 * float(np.mean(scores)):.1f}" for scores in found]
        lead = _lead([scores for scores in found if scores is not None])
        rows.append(f"| {name} | {' | '.join(cells)} | {row['choice']:g} | {lead} |")
    return "\n".join([*head, *rows]) + "\n"


def _lead(scores: Sequence[Sequence[float]]) -> str:
    """Of the best value over the second best, in points of mAP, run by run."""
    if len(scores) < 2:
        return "–"
    second, best = sorted(scores, key=np.mean)[-2:]
    leads = 100 * (np.asarray(best) - np.asarray(second))
    error = f" ± {leads.std(ddof=1) / np.sqrt(leads.size):.1f}" if leads.size > 1 else ""
    return f"{leads.mean():.1f}{error}"


def read_screen(path: Path) -> dict[str, Any]:
    """A file that :func:`screen` wrote.

    Raises:
        ValueError: it does not parse or lacks something.
    """
    record = read_json(path)
    missing = [name for name in _FIELDS if name not in record]
    rows = record.get("rows")
    if missing or not isinstance(rows, Mapping) or not all({"config", "choice"} <= set(row) for row in rows.values()):
        raise ValueError(f"{path}: {missing[0] if missing else 'config or choice of a row'} is missing; screen again")
    if record["format"] != FORMAT:
        raise ValueError(f"{path}: format {record['format']!r}, read is {FORMAT}; screen again")
    return record


def _complete(trainings: Sequence[Sequence[Training]], size: Size, title: str) -> set[int]:
    """Complete all trainings; the ``id`` of those that have failed."""
    for training in (one for own in trainings for one in own):
        check_folder(training.cfg)
    programme = Programme.of(trainings, size.jobs)
    with run_log():
        logger.info("%s: %s", title, programme.outlook(programme.to_do()))
    return {id(one.training) for one in complete_programme(programme)}


def _check_values(key: str, values: Sequence[str]) -> None:
    try:
        numbers = [float(value) for value in values]
    except ValueError as error:
        raise ValueError(f"--screen {key}: {error}; give numbers") from None
    if len(set(numbers)) < max(2, len(numbers)) or min(numbers) <= 0:
        raise ValueError(f"--screen {key} {' '.join(values)}: give at least two numbers above 0, each once")


def _candidates(
    row: Row, places: Places, size: Size, key: str, values: Sequence[str], opts: Sequence[str]
) -> list[Candidate]:
    leaves = flatten(load_config(places.configs / row.config, opts, overlays=places.overlays))
    if key not in leaves:
        raise ValueError(f"--screen {key}: there is no such key{did_you_mean(key, leaves)}")
    usual = leaves[key]
    if isinstance(usual, bool) or not isinstance(usual, (int, float)) or usual <= 0:
        raise ValueError(f"--screen {key}: it is {usual!r} in {row.config}; numbers above 0 can be screened")
    found = []
    for given in values:
        value = float(row.overrides[key]) * float(given) / usual if key in row.overrides else float(given)
        value = float(f"{value:.6g}")  # 0.3, not 0.30000000000000004
        more = {key: int(value) if type(usual) is int else value}
        cfg = row_config(row, places.configs, places.out, opts, more, places.overlays)
        folder = places.out / "screens" / Path(row.config).stem / row.key / f"{key}={value:g}"
        cfg = merged(cfg, {"data.save_dir": str(folder)})
        worlds = world_seeds(cfg, size.worlds, screening=True)
        found.append(Candidate(given, value, trainings_of(row, cfg, worlds, size.seeds)))
    return found


def _outcome(row: Row, candidates: Sequence[Candidate], failed: set[int]) -> dict[str, Any]:
    scores = {
        one.given: None
        if any(id(training) in failed for training in one.trainings)
        else [float(run_scores(training)[0]["mAP"]) for training in one.trainings]
        for one in candidates
    }
    means = {given: float(np.mean(found)) for given, found in scores.items() if found is not None}
    if not means:
        raise ValueError(f"row {row.name!r}: trainings have failed with every value; their logs say why")
    ordered = sorted(candidates, key=lambda one: one.value)
    best = max((one for one in ordered if one.given in means), key=lambda one: means[one.given])
    if best in (ordered[0], ordered[-1]):
        with run_log():
            logger.warning(
                "row %r did best with %g, at the end of the values: screen further ones", row.name, best.value
            )
    return {
        "config": Path(row.config).stem,
        "values": {one.given: one.value for one in candidates},
        "mAP": scores,
        "choice": best.value,
    }


def _write(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write a record; rows that were screened in the same way before stay in it."""
    if path.exists():
        before = read_screen(path)
        if all(before[name] == record[name] for name in _FIELDS if name != "rows"):
            record = {**record, "rows": {**before["rows"], **record["rows"]}}
    write_text(path, json.dumps(record, indent=1) + "\n")
    return record
