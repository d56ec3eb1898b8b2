from __future__ import annotations

import dataclasses

import pytest

from promptreid.methods.mip.options import MIPOptions, mip_paper, mip_release


def test_paper_and_release_differ_where_they_are_known_to():
    paper, release = dataclasses.asdict(mip_paper()), dataclasses.asdict(mip_release())
    assert {name for name in paper if paper[name] != release[name]} == {
        "queries",
        "iael",
        "iael_pooling",
        "iael_bias",
        "skipped_blocks",
    }


def test_presets_take_changes():
    assert mip_release(queries="learned").queries == "learned"
    assert mip_paper(jpm=False).jpm is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": "random"}, "queries must be one of"),
        ({"iael_pooling": "max"}, "iael_pooling must be one of"),
        ({"sie": "view"}, "sie must be one of"),
        ({"prompt_length": 0}, "prompt_length must be at least 1"),
        ({"prompt_depth": 0}, "prompt_depth must be at least 1"),
        ({"skipped_blocks": -1}, "skipped_blocks must be at least 0"),
        ({"jpm_divide": 0}, "jpm_divide must be at least 1"),
        ({"prompt_dropout": 1.0}, "prompt_dropout must be in"),
        ({"prompt_scale": 0.0}, "prompt_scale must be positive"),
        ({"instance_prompts": False}, "iael=True supervises"),
        ({"generator": "gan"}, "generator must be one of"),
        (
            {"generator": "bank", "instance_prompts": False, "iael": False},
            "generator='bank' makes the instance prompts",
        ),
        ({"instance_depth": 0}, "instance_depth must be at least 1"),
        (
            {"instance_depth": 1, "instance_prompts": False, "iael": False},
            "instance_depth=1 limits the instance prompts",
        ),
        ({"instance_depth": 3, "prompt_depth": 2}, "instance_depth=3 is more than prompt_depth=2"),
        ({"naive_prompts": True, "modality_prompts": False}, "naive_prompts=True is a kind of modality prompts"),
        ({"modality_embedding": True}, "modality_embedding=True stands in for the modality prompts"),
        ({"modality_embedding": True, "modality_prompts": False, "sie": "modality"}, "two vectors per modality"),
        (
            {"prompt_adapters": True, "modality_prompts": False, "instance_prompts": False, "iael": False},
            "prompt_adapters=True needs prompts",
        ),
    ],
)
def test_bad_choices_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MIPOptions(**change)


def test_options_cannot_be_changed_later():
    with pytest.raises(dataclasses.FrozenInstanceError):
        mip_paper().jpm = False  # type: ignore[misc]
