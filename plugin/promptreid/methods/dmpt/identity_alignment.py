"""Visual-language alignment of DMPT with learned sentences about identities instead of modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from promptreid.methods.dmpt.alignment import LearnedContext, cosine_logits
from promptreid.methods.dmpt.words import sentence_of
from promptreid.models.backbones.clip_text import ClipText

_PLACE = "X"  # one word piece


class IdentityAlignment(LearnedContext):
    """The logits ``cos(f, t_{m,i}) / tau`` over all identities i, m being the image's modality.

    t_{m,i} is the frozen text tower's feature of "a near-infrared photo of a X X X X person" with words X of identity
    i, which are learned and shared by the modalities; initialised N(0, 0.02). The tower runs on all identities in every
    training step; descriptors need neither.

    Args:
        text: The tower; None where it is not there, and then nothing can be trained.
        phrases: Attribute words of each modality.
        object_name: What the photos show.
        identities: How many.
        length: Words X of each.
        dim: d_t, the tower's width.
        temperature: tau.

    References:
        Li et al., CLIP-ReID, AAAI 2023 (words of identities, in a training stage of their own there); ICPL-ReID, TMM
        2025 (with the modality's name, and a weight of 0.1).
    """

    def __init__(
        self,
        text: ClipText | None,
        phrases: Sequence[str],
        object_name: str,
        identities: int,
        length: int,
        dim: int,
        temperature: float = 0.01,
    ) -> None:
        super().__init__(text, (identities, length, dim), temperature)
        if text is not None:
            words = " ".join([*[_PLACE] * length, object_name])
            tokens = text.tokenise([sentence_of(phrase, words) for phrase in phrases])
            self.register_buffer("tokens", tokens[:, : int(tokens.argmax(dim=1).max()) + 1], persistent=False)
            behind = len(text.pieces(object_name)) + length
            self.places = [int(end) - behind for end in tokens.argmax(dim=1)]

    def forward(self, features: Tensor, modality: Tensor) -> Tensor:
        """Features (n, D_out) of images of modality (n,) to logits (n, identities).

        Raises:
            ValueError: The model was built without its text tower.
        """
        logits = cosine_logits(features, self.sentences().flatten(0, 1), self.temperature)
        apart = logits.unflatten(1, (len(self.tokens), -1))
        return apart.gather(1, modality[:, None, None].expand(-1, 1, apart.shape[2])).squeeze(1)

    def sentences(self) -> Tensor:
        """t_{m,i}, of unit length: (modalities, identities, D_out).

        Raises:
            ValueError: The model was built without its text tower.
        """
        text = self.text_tower()
        return torch.stack([self._said(text, row, place) for row, place in zip(self.tokens, self.places, strict=True)])

    def _said(self, text: Any, row: Tensor, place: int) -> Tensor:
        """Features of one modality's sentence, tokens (T,), with the words of each identity from ``place`` on."""
        identities, length, _ = self.context.shape
        tokens = row.expand(identities, -1)
        fixed = text.embeddings(tokens)
        words = self.context.to(fixed.dtype)
        embedded = torch.cat([fixed[:, :place], words, fixed[:, place + length :]], dim=1)
        said: Tensor = text.project(text.states_of(embedded), tokens)
        return said
