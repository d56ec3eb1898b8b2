"""``synthetic.json``: what a rendered tree says of itself, to tell the data present from the data wanted."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promptreid.json_texts import read_json
from promptreid.synthetic.plans import Recipe
from promptreid.synthetic.trees import recipe_of

MANIFEST = "synthetic.json"


def manifest_of(recipe: Recipe) -> dict[str, Any]:
    """The manifest of the tree of ``recipe``, its renderer among the rest."""
    return {**asdict(recipe), "size": list(recipe.size)}


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The manifest of a tree, or ``None`` where there is none.

    Raises:
        ValueError: a manifest that is not a JSON object.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return None
    return read_json(path, "a manifest", f"remove {folder} to render it again")


def check_manifest(folder: str | os.PathLike[str], like: str, ids: int, seed: int, **options: Any) -> None:
    """Make sure that ``folder`` holds what :func:`write_tree` would render with these arguments.

    Raises:
        ValueError: it holds something else; the message says what differs.
    """
    present = read_manifest(folder)
    if present is None:
        raise ValueError(f"{folder} has no {MANIFEST}, so it was not rendered; choose another folder")
    wanted = manifest_of(recipe_of(like, ids, seed, **options))
    for key, value in wanted.items():
        if present.get(key) != value:
            own = f", set data.synthetic.renderer {present.get(key)}" if key == "renderer" else ""
            raise ValueError(
                f"{folder} was rendered with {key} {present.get(key)}, not {value}; remove it to render it again{own}, "
                "or choose another folder"
            )
