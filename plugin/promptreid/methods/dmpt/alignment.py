"""Visual-language alignment of DMPT: image features against the sentences of the modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.methods.dmpt.words import TextConstant, sentence_of
from promptreid.models.backbones.clip_text import ClipText
from promptreid.models.frozen import Frozen
from promptreid.models.precision import at_least_float32


class TextAlignment(nn.Module):
    """The logits of L3, ``cos(f^m, t^m') / tau`` over all modalities m', with fixed sentences.

    ``t^m`` is the frozen text tower's feature of "a near-infrared photo of a person" and the like (T1 to T3), computed
    once and kept in the state dict.

    Args:
        constant: t^m, of unit length, (modalities, D_out).
        temperature: tau.
    """

    def __init__(self, constant: TextConstant, temperature: float = 0.01) -> None:
        super().__init__()
        self.sentences = constant
        self.temperature = temperature

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, D_out) to logits (n, modalities)."""
        return cosine_logits(features, self.sentences(), self.temperature)


class LearnedContext(nn.Module):
    """Words that are learned within sentences, for which the frozen text tower runs in every training step.

    Args:
        text: The tower; None where it is not there, and then nothing can be trained.
        shape: Of the learned words, (..., d_t); initialised N(0, 0.02).
        temperature: tau.
    """

    learning_rate_roles: ClassVar = {"context": "prompts"}

    prompt_family = "context"

    tokens: Tensor

    def __init__(self, text: ClipText | None, shape: Sequence[int], temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.context = nn.Parameter(torch.empty(*shape))
        nn.init.normal_(self.context, std=0.02)
        self.text = None if text is None else Frozen(text)

    def text_tower(self) -> Any:
        """The tower.

        Raises:
            ValueError: The model was built without it.
        """
        if self.text is None:
            raise ValueError("context_words need the text tower in training; build with text_from_state=False")
        return self.text.module


class ContextAlignment(LearnedContext):
    """:class:`TextAlignment` with learned words of context before each sentence, as CoOp has them; an ablation.

    The frozen text tower then runs in every training step, and only the context gets gradients. Descriptors need
    neither.

    Args:
        text: The tower; None where it is not there, and then nothing can be trained.
        phrases: Attribute words of each modality.
        object_name: What the photos show.
        length: How many words of context, shared by the modalities; initialised N(0, 0.02).
        dim: d_t, the tower's width.
        temperature: tau.

    References:
        Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022.
    """

    def __init__(
        self,
        text: ClipText | None,
        phrases: Sequence[str],
        object_name: str,
        length: int,
        dim: int,
        temperature: float = 0.01,
    ) -> None:
        super().__init__(text, (length, dim), temperature)
        if text is not None:
            tokens = text.tokenise([sentence_of(phrase, object_name) for phrase in phrases], room=length)
            self.register_buffer("tokens", tokens, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, D_out) to logits (n, modalities).

        Raises:
            ValueError: The model was built without its text tower.
        """
        text = self.text_tower()
        sentences = text.project(text.states(self.tokens, self.context), self.tokens, len(self.context))
        return cosine_logits(features, sentences, self.temperature)


def cosine_logits(features: Tensor, sentences: Tensor, temperature: float) -> Tensor:
    """``cos(f, t) / tau`` of features (n, D) and sentences (k, D) of unit length, (n, k).

    At least float32, also under autocast: tau makes a cosine's error a hundred times larger.
    """
    with torch.autocast(features.device.type, enabled=False):
        features = at_least_float32(features)
        return F.normalize(features, dim=-1) @ sentences.to(features.dtype).T / temperature
