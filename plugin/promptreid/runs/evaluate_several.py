"""Testing all the trainings of one call with ``--splits`` or ``--seeds`` once more, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.distributed.process_group import first_does, process_group
from promptreid.json_texts import read_json
from promptreid.runs.run import claimed, run
from promptreid.runs.splits_and_seeds import Part, parts_of, save_summary


def holds_several(folder: Path) -> bool:
    """Whether a folder is no run itself and holds those of several splits or seeds."""
    return not RunFolder(folder).config.exists() and bool(RunFolder(folder).parts())


def evaluate_several(
    folder: Path,
    opts: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    overlays: Sequence[Path] = (),
) -> dict[str, Any]:
    """Test each training of ``run_several`` as its own configuration says, then average.

    Args:
        folder: ``data.save_dir`` of that call.
        opts: ``KEY VALUE KEY VALUE ...`` for each test.
        overrides: values by dotted key, likewise.
        overlays: files that are laid over each configuration.

    Returns:
        what ``run_several`` returns; it is written to the same file.

    Raises:
        ValueError: trainings without a checkpoint, or another process that trains in one of them.
    """
    parts = _trained(RunFolder(folder))

    def configuration(source: Path, save_dir: Path) -> Any:
        changes = {**(overrides or {}), "data.save_dir": str(save_dir)}
        return load_config(RunFolder(source).config, opts, changes, overlays)

    cfgs = [configuration(part.folder, part.folder) for part in parts]
    whole = configuration(parts[0].folder, folder)
    with process_group(whole.train.distributed_timeout), claimed(whole):
        for part in parts:
            first_does(RunFolder(part.folder).check_unused)
        for cfg in cfgs:
            run(cfg, eval_only=True)
        return first_does(lambda: save_summary(folder, parts, sorted({part.split for part in parts if part.split})))


def _trained(folder: RunFolder) -> list[Part]:
    """The trainings in a folder: each split with each seed, of those that are recorded or have a folder."""
    numbers = _recorded(folder)
    for part in folder.parts():
        for name in part.path.relative_to(folder.path).parts:
            kind, _, number = name.partition("-")
            numbers[kind].add(int(number))
    parts = parts_of(folder, sorted(numbers["split"]), sorted(numbers["seed"]))
    missing = [str(part.folder.relative_to(folder.path)) for part in parts if not _can_be_tested(part)]
    if missing:
        raise ValueError(
            f"{folder.path}: {len(missing)} of {len(parts)} trainings have no checkpoint ({', '.join(missing)}): train "
            "them with the command that trained the others, or evaluate the folder of a single one"
        )
    return parts


def _recorded(folder: RunFolder) -> dict[str, set[int]]:
    """Numbers of splits and seeds that an earlier mean is of."""
    numbers: dict[str, set[int]] = {"split": set(), "seed": set()}
    for path in (folder.path / "splits.json", folder.path / "seeds.json"):
        record = read_json(path, "a mean of trainings", "remove it") if path.is_file() else {}
        for kind in numbers:
            found = record.get(f"{kind}s", [])
            if not isinstance(found, list) or not all(isinstance(number, int) for number in found):
                raise ValueError(f"{path}: {kind}s {found!r} are no numbers of trainings; remove the file")
            numbers[kind].update(found)
    return numbers


def _can_be_tested(part: Part) -> bool:
    folder = RunFolder(part.folder)
    return folder.config.is_file() and bool(checkpoint.checkpoints(folder.models))
