"""A rendered data set is rendered once, however many processes want it at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptreid import synthetic
from promptreid.config import load_config
from promptreid.runs.run import render_if_absent


def config(root: Path, **changes: Any) -> Any:
    wanted = {"like": "rgbnt201", "ids": 8, "frames": 1, "size": [32, 16], "seed": 3, **changes}
    return load_config(overrides={"data.root": str(root), **{f"data.synthetic.{k}": v for k, v in wanted.items()}})


def at_once(count: int, action: Callable[[], None]) -> list[Exception]:
    errors: list[Exception] = []
    together = threading.Barrier(count)

    def run() -> None:
        together.wait()
        try:
            action()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_those_that_want_it_at_a_time_wait_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered, render = [], synthetic.write_tree

    def slow(*arguments: Any, **options: Any) -> int:
        rendered.append(arguments)
        time.sleep(0.2)  # so that the others are there before it has ended
        return render(*arguments, **options)

    monkeypatch.setattr(synthetic, "write_tree", slow)
    assert at_once(3, lambda: render_if_absent(config(tmp_path))) == []
    assert len(rendered) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["RGBNT201"]


def test_those_that_waited_do_not_take_other_images(tmp_path: Path) -> None:
    seeds = iter(range(3, 5))
    errors = at_once(2, lambda: render_if_absent(config(tmp_path, seed=next(seeds))))
    assert len(errors) == 1 and "was rendered with seed" in str(errors[0])


def test_one_that_fails_leaves_it_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> int:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "write_tree", broken)
        with pytest.raises(OSError, match="no space"):
            render_if_absent(config(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    render_if_absent(config(tmp_path / "new"))
    assert (tmp_path / "new" / "RGBNT201").is_dir()
