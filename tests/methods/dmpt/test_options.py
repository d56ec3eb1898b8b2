from __future__ import annotations

import inspect
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
    text = inspect.cleandoc(DMPTOptions.__doc__)  # Python 3.13 takes the common indentation away, earlier ones do not
    missing = [field.name for field in fields(DMPTOptions) if f"\n    {field.name}: " not in text]
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
        ({"first_layer": 3, "word_first_layer": 2}, "word_first_layer=2 is none of the prompted blocks 3 to 12"),
        ({"word_first_layer": 13}, "word_first_layer=13 is none"),
        (
            {"word_first_layer": 5, "bind_source": "both"},
            "after block 4, and word_first_layer=5; set interaction_layers",
        ),
        ({"prompt_depth": 9, "alignment_on": "modality_prompts"}, "prompts end with block 9; leave prompt_depth unset"),
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
        ({"word_rank": 0}, "word_rank must be at least 1"),
        ({"word_first_layer": 0}, "word_first_layer must be at least 1"),
        ({"word_std": -0.1}, "word_std must be at least 0"),
        ({"word_std": float("nan")}, "word_std must be at least 0"),
        ({"word_content": -1}, "word_content must be at least 0"),
        ({"word_maps": "some"}, "word_maps must be one of"),
        ({"prompt_init": "zero"}, "prompt_init must be one of"),
        ({"bind": False, "bind_keys": "all"}, "bind_keys='all' belong to the bind, and bind=False; set it to 'others'"),
        ({"bind": False, "bind_direction": "medium"}, "bind_direction='medium' belong to the bind"),
        ({"bind": False, "bind_residual": True}, "bind_residual=True belong to the bind"),
        ({"bind_residual": True, "interaction_layers": (4,)}, r"\(4,\) is one; give two"),
        ({"bind_direction": "medium", "bind_output": "class"}, "bind_output='class' has no place there"),
        ({"words": False, "word_deep": True}, "word_deep=True is about modality prompts, and words=False"),
        ({"words": False, "word_offsets": True}, "word_offsets=True is about modality prompts"),
        ({"words": False, "word_content": 4}, "word_content=4 is about modality prompts"),
        ({"words": False, "word_std": 0.1}, "word_std=0.1 is about modality prompts"),
        ({"words": False, "word_first_layer": 2}, "word_first_layer=2 is about modality prompts"),
        ({"words": False, "word_output": "semantic"}, "word_output='semantic' is about modality prompts"),
        ({"word_source": "layers"}, "set word_deep=True, or word_source='states'"),
        ({"word_maps": "each"}, "set word_deep=True and a word_source with words"),
        ({"word_maps": "low_rank", "word_deep": True, "word_source": "learned"}, "a word_source with words"),
        ({"word_offsets": True, "word_source": "end"}, "word_source='end' has none"),
        ({"word_std": 0.1, "word_source": "learned"}, "word_source='learned' has none; set prompt_std"),
        ({"word_output": "semantic"}, "set semantic=True, deep=True and word_deep=True"),
        ({"word_output": "semantic", "word_deep": True}, "word_length=4 must equal semantic_length=8"),
        (
            {"word_output": "semantic", "word_deep": True, "word_length": 8, "bind_source": "both"},
            "none for bind_source='both' to read",
        ),
        ({"semantic": False, "words": False, "bind": False, "prompt_attention": "apart"}, "is about prompts, and all"),
        ({"semantic": False, "words": False, "bind": False, "attention_temperature": True}, "set it to False"),
        ({"prompt_gates": True, "words": False, "bind": False}, "each block has new ones"),
        ({"prompt_gates": True, "word_deep": True, "bind_direction": "medium"}, "each block has new ones"),
        ({"semantic": False, "bind_source": "modality", "prompt_init": "patches"}, "set it to 'normal'"),
        ({"alignment": False, "alignment_of": "identity"}, "alignment_of='identity' is part of the alignment"),
        ({"alignment": False, "alignment_on": "modality_prompts"}, "is part of the alignment"),
        ({"alignment": False, "alignment_symmetric": True}, "is part of the alignment"),
        ({"alignment_of": "identity"}, "set context_words to how many, such as 4"),
        ({"alignment_on": "modality_prompts", "words": False}, "set words=True and word_output='tokens'"),
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
