"""CLIP's text tower: from sentences to token states and features (T1 to T3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.backbones.clip_image import check_blocks, import_open_clip, residual_block


def create_text(config: Mapping[str, Any]) -> nn.Module:
    """A randomly initialised text tower of open_clip.

    Args:
        config: From :func:`~promptreid.models.backbones.clip_image.clip_config`.
    """
    import_open_clip()
    from open_clip.model import _build_text_tower

    text: nn.Module = _build_text_tower(config["embed_dim"], config["text_cfg"], config.get("quick_gelu", False))
    return text


class ClipText(nn.Module):
    """CLIP's text tower.

    - T1: ``W_0 = TokenEmbed(words) + pos``
    - T2: ``W_{l+1} = T_l(W_l)``
    - T3: ``t = TextProj(LN(W_L)_EOT)``, here scaled to unit length

    Args:
        text: From :func:`create_text`; taken over, not copied.

    Raises:
        ValueError: Not CLIP's plain text transformer.
    """

    def __init__(self, text: Any) -> None:
        super().__init__()
        _check_text(text)
        self.text = text
        self.dim: int = text.width
        self.length: int = text.context_length
        self.tokenizer = _tokenizer(self.length)
        if text.vocab_size < self.tokenizer.vocab_size:
            raise ValueError(
                f"text_cfg.vocab_size={text.vocab_size} is smaller than CLIP's vocabulary of "
                f"{self.tokenizer.vocab_size} word pieces"
            )

    def pieces(self, words: str) -> list[int]:
        """The word pieces of some words, without start and end."""
        return list(self.tokenizer.encode(words))

    def tokenise(self, sentences: Sequence[str], room: int = 0) -> Tensor:
        """Word pieces between start and end, padded with 0: (n, T), T the context length less ``room``.

        Raises:
            ValueError: A sentence too long for the tower.
        """
        for sentence in sentences:
            needed = len(self.pieces(sentence)) + 2 + room
            if needed > self.length:
                raise ValueError(
                    f"{sentence!r} takes {needed} tokens with start, end and {room} words of context; the text tower "
                    f"has {self.length}. Use shorter phrases, or a smaller context_words"
                )
        device = self.text.positional_embedding.device
        tokens: Tensor = self.tokenizer(list(sentences), context_length=self.length - room)
        return tokens.to(device)

    def embeddings(self, tokens: Tensor) -> Tensor:
        """Token embeddings, without positions, of tokens (n, T): (n, T, d_t)."""
        return self.text.token_embedding(tokens)

    def states(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """The last layer's states after the final norm, LN(W_L).

        Args:
            tokens: From :meth:`tokenise`, with room for the context.
            context: Vectors (c, d_t) that stand between the start and the words of each sentence.

        Returns:
            Shape (n, T', d_t), at least up to the last end of a sentence.
        """
        embedded = self.embeddings(tokens)
        if context is not None:
            vectors = context.to(embedded.dtype).expand(len(tokens), -1, -1)
            embedded = torch.cat([embedded[:, :1], vectors, embedded[:, 1:]], dim=1)
        mask = self.text.attn_mask
        if mask is not None:  # words do not see what is behind them, so the padding need not be computed
            length = int(tokens.argmax(dim=1).max()) + 1 + (0 if context is None else len(context))
            embedded, mask = embedded[:, :length], mask[:length, :length]
        return self.text.ln_final(self._layers(embedded, mask)[-1])

    def states_of(self, embedded: Tensor) -> Tensor:
        """The same for embeddings (n, T, d_t) from :meth:`embeddings`, some of which may have been replaced."""
        return self.text.ln_final(self._layers(embedded, self._mask(embedded.shape[1]))[-1])

    def layer_states(self, tokens: Tensor) -> Tensor:
        """T2, the states before and after every layer, W_0 to W_L, of tokens (n, T): (L + 1, n, T, d_t).

        Each vector is normalised without parameters: the final norm was trained for the last states alone.
        """
        embedded = self.embeddings(tokens)
        states = torch.stack(self._layers(embedded, self._mask(embedded.shape[1])))
        return F.layer_norm(states, states.shape[-1:])

    def _mask(self, length: int) -> Tensor | None:
        mask: Tensor | None = self.text.attn_mask
        return None if mask is None else mask[:length, :length]

    def _layers(self, embedded: Tensor, mask: Tensor | None) -> list[Tensor]:
        """T1 and T2: W_0 to W_L."""
        states = [embedded + self.text.positional_embedding[: embedded.shape[1]]]
        for block in self.text.transformer.resblocks:
            states.append(residual_block(block, states[-1], mask=mask))
        return states

    def project(self, states: Tensor, tokens: Tensor, context: int = 0) -> Tensor:
        """T3: sentence features of unit length, (n, D_out), from :meth:`states` of tokens with so much context."""
        ends = tokens.argmax(dim=1) + context  # the end has the highest number of all word pieces
        pooled = states[torch.arange(len(tokens), device=states.device), ends]
        projection = self.text.text_projection
        if projection is not None:
            pooled = projection(pooled) if isinstance(projection, nn.Module) else pooled @ projection
        return F.normalize(pooled, dim=-1)


@cache
def _tokenizer(length: int) -> Any:
    """CLIP's, whose table of word pieces takes longer to read than a small tower to make."""
    import_open_clip()
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=length)


def _check_text(text: Any) -> None:
    def refuse(reason: str) -> None:
        raise ValueError(f"this text tower cannot be used: {reason}; use one such as ViT-B-16-quickgelu's")

    if type(text).__name__ != "TextTransformer" or text.cls_emb is not None or text.pool_type != "argmax":
        refuse("it is not CLIP's text transformer, read at the end of the sentence")
    check_blocks(text.transformer.resblocks, refuse)
