"""What a model returns to a criterion that wants more than logits and features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def only(heads: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """The outputs of several heads as a list; those of a single one by themselves, as torchreid's own models do."""
    return heads[0] if len(heads) == 1 else list(heads)


class PromptOutput(dict[str, Any]):
    """Training output with ``loss="prompt"``: a dict of tensors and lists of tensors, so ``DataParallel`` gathers it.

    It is deliberately no tuple or list: torchreid averages a criterion over those, and hands anything else on whole.

    | key                |                                                                                        |
    |--------------------|----------------------------------------------------------------------------------------|
    | `logits`           | list of (B, C): global, then local heads; of DMPT one joint head, or one per slot      |
    | `features`         | list of (B, M D): the vectors before the BNNeck, in the same order; (B, D) of one slot |
    | `prompt_logits`    | list of (n, C), one per prompted layer; empty where the prompts are not supervised     |
    | `prompts`          | list of (n, j, D), detached: the instance prompts of each layer of MIP, empty without  |
    |                    | a generator; the bind prompts after each interaction layer of DMPT                     |
    | `modality`         | (n,) int64; of a compiled model n = B M, and -100 where a row has no image             |
    | `present`          | (B, M) bool: which images the samples have; n of them in all, n = B for M = 1          |
    | `alignment_logits` | (n, modalities), of a DMPT with alignment, in training; (n, identities) where its      |
    |                    | sentences are about identities                                                         |
    """
