from __future__ import annotations

import torch

from promptreid.models.outputs import PromptOutput


def test_it_is_rebuilt_from_pairs_as_dataparallel_does():
    """DataParallel gathers a dict by calling its type on (key, gathered) pairs, and lists element by element."""
    output = PromptOutput(logits=[torch.zeros(2, 3)], features=[], prompt_logits=[], prompts=[], modality=torch.ones(2))
    again = type(output)((key, value) for key, value in output.items())
    assert isinstance(again, PromptOutput)
    assert list(again) == list(output)


def test_torchreid_hands_it_on_whole():
    """torchreid averages a criterion over tuples and lists."""
    assert not isinstance(PromptOutput(), tuple | list)
