"""Which file a word on the command line means."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import REPO

from promptreid.cli import configurations
from promptreid.cli.configurations import find_configuration, shipped_folder, shipped_names


def test_every_configuration_has_a_name() -> None:
    files = list((REPO / "configs").rglob("*.yaml"))
    assert len(files) == len(shipped_names()) > 10
    for name in shipped_names():
        assert find_configuration(name) == REPO / "configs" / f"{name}.yaml"


def test_the_package_comes_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plugin" / "promptreid"
    monkeypatch.setattr(configurations, "_PACKAGE", package)
    with pytest.raises(FileNotFoundError, match=r"no configurations in .*name a file instead"):
        shipped_folder()
    for folder, value in ((tmp_path / "configs", 1), (package / "configs", 2)):
        (folder / "mip").mkdir(parents=True)
        (folder / "mip" / "mine.yaml").write_text(f"train: {{seed: {value}}}\n")
        assert shipped_folder() == folder
        assert find_configuration("mip/mine") == folder / "mip" / "mine.yaml"


def test_files_and_runs_come_before_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mip" / "quickstart"
    folder.mkdir(parents=True)
    assert find_configuration("mip/quickstart") == REPO / "configs" / "mip" / "quickstart.yaml"
    with pytest.raises(ValueError, match=r"^mip is no run's folder: it has no config\.yaml"):
        find_configuration("mip")
    (folder / "config.yaml").touch()
    assert find_configuration("mip/quickstart") == Path("mip/quickstart/config.yaml")
    (tmp_path / "own.yaml").touch()
    assert find_configuration("own.yaml") == Path("own.yaml")


@pytest.mark.parametrize(
    ("wrong", "near"), [("quickstart", {"mip/quickstart", "dmpt/quickstart"}), ("dmpt/rgbnt210", {"dmpt/rgbnt201"})]
)
def test_the_nearest_names_are_listed(wrong: str, near: set[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a file, nor a run's folder") as caught:
        find_configuration(wrong)
    listed = str(caught.value).partition("nearest of these are ")[2].split(", ")
    assert len(listed) == 3 and near <= set(listed)
