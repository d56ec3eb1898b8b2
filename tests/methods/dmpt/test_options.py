from __future__ import annotations

from dataclasses import fields

import pytest

from promptreid.methods.dmpt.options import DMPTOptions, Plan, dmpt, dmpt_s, dmpt_s_bind, dmpt_s_bind_m


def test_the_ladder():
    steps = [(o.semantic, o.bind, o.words, o.alignment) for o in (dmpt_s(), dmpt_s_bind(), dmpt_s_bind_m(), dmpt())]
    assert steps == [
        (True, False, False, False),
        (True, True, False, False),
        (True, True, True, False),
        (True, True, True, True),
    ]
    assert dmpt() == DMPTOptions()
    assert dmpt_s(semantic_length=3).semantic_length == 3


def test_every_choice_is_documented():
    missing = [field.name for field in fields(DMPTOptions) if f"        {field.name}: " not in DMPTOptions.__doc__]
    assert not missing


def test_the_plan():
    assert dmpt().plan(12) == Plan(1, 12, (4, 8))
    assert dmpt().plan(24) == Plan(1, 24, (8, 16))
    assert dmpt().plan(4) == Plan(1, 4, (1, 3))
    assert dmpt().plan(2) == Plan(1, 2, (1,))
    assert dmpt(first_layer=10).plan(12) == Plan(10, 12, (10, 11))
    assert dmpt(first_layer=3, prompt_depth=6).plan(12) == Plan(3, 8, (4, 6))
    assert dmpt(interaction_layers=[2, 11]).plan(12) == Plan(1, 12, (2, 11))
    assert dmpt_s(first_layer=12).plan(12) == Plan(12, 12, ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interaction_layers": (4, 12)}, r"after block \[12\] of 12 .*set interaction_layers in 1..11"),
        ({"interaction_layers": (2,), "first_layer": 4}, r"after block \[2\]"),
        ({"interaction_layers": (8,), "prompt_depth": 8}, r"after block \[8\].*1..7"),
        ({"prompt_depth": 1}, "bind False"),
        ({"prompt_depth": 13}, "prompt_depth=13 does not fit a tower of 12 blocks"),
        ({"first_layer": 13}, "first_layer=13"),
        ({"first_layer": 8, "prompt_depth": 6}, "first_layer=8 with prompt_depth=6"),
    ],
)
def test_plans_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        dmpt(**changes).plan(12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"word_source": "captions"}, "word_source must be one of"),
        ({"word_mapping": "conv"}, "word_mapping must be one of"),
        ({"bind_source": "class"}, "bind_source must be one of"),
        ({"bind_output": "drop"}, "bind_output must be one of"),
        ({"classifier": "none"}, "classifier must be one of"),
        ({"frozen_dtype": "int8"}, "frozen_dtype must be one of"),
        ({"semantic_length": 0}, "semantic_length must be at least 1"),
        ({"word_length": 0}, "word_length must be at least 1"),
        ({"bind_length": -1}, "bind_length must be at least 1"),
        ({"first_layer": 0}, "first_layer must be at least 1"),
        ({"prompt_depth": 0}, "prompt_depth must be at least 1"),
        ({"context_words": -1}, "context_words must be at least 0"),
        ({"sie_weight": -1.0}, "sie_weight must be at least 0"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"prompt_std": float("nan")}, "prompt_std must be positive"),
        ({"interaction_layers": (4,), "bind": False}, "belong to the bind"),
        ({"interaction_layers": (8, 4)}, "must ascend from 1"),
        ({"interaction_layers": (4, 4)}, "must ascend from 1"),
        ({"interaction_layers": (0, 4)}, "must ascend from 1"),
        ({"interaction_layers": ()}, "must ascend from 1"),
        ({"semantic": False}, "reads semantic prompts; semantic=False"),
        ({"bind_source": "both", "words": False}, "reads modality prompts, and words=False"),
        ({"bind_output": "semantic", "semantic": False, "bind_source": "modality"}, "needs semantic prompts"),
        ({"bind_output": "semantic"}, "bind_length=4 must equal semantic_length=8"),
        ({"context_words": 4, "alignment": False}, "part of the alignment"),
        ({"semantic": False, "words": False, "bind": False, "first_layer": 2}, "all of them are off"),
        ({"frozen": False, "frozen_dtype": "bfloat16"}, "is for a frozen tower"),
    ],
)
def test_bad_values_and_contradictions(changes, message):
    with pytest.raises(ValueError, match=message):
        DMPTOptions(**changes)


def test_which_options_need_text():
    assert dmpt().needs_text
    assert dmpt_s_bind_m().needs_text
    assert not dmpt_s_bind_m(word_source="learned").needs_text
    assert not dmpt_s_bind().needs_text
    assert dmpt_s_bind(alignment=True).needs_text
