"""From the names of modalities to what the frozen text tower says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.backbones.clip_text import ClipText

PHRASES = {
    "visible": "visible",
    "infrared": "infrared",
    "near_infrared": "near-infrared",
    "thermal_infrared": "thermal-infrared",
}


def phrases_of(modalities: Sequence[str], phrases: Mapping[str, str] | None = None) -> list[str]:
    """The attribute words of each modality.

    Args:
        modalities: Names.
        phrases: Words of modalities that are not in :data:`PHRASES`, or others than there.

    Raises:
        ValueError: A modality without words.
    """
    known = {**PHRASES, **(phrases or {})}
    unknown = [name for name in modalities if not known.get(name, "").strip()]
    if unknown:
        raise ValueError(
            f"no words for the modalities {unknown}; known are {sorted(PHRASES)}. Say what the others are called, "
            f"such as phrases={{{unknown[0]!r}: {unknown[0].replace('_', '-')!r}}}"
        )
    return [known[name] for name in modalities]


def sentence_of(phrase: str, object_name: str) -> str:
    """The sentence W_0 of a modality: "a near-infrared photo of a person"."""
    article = "an" if phrase[0].lower() in "aeiou" else "a"
    return f"{article} {phrase} photo of a {object_name}"


class TextConstant(nn.Module):
    """Numbers that the frozen text tower gave once, kept in the state dict so that the tower need not come along.

    Args:
        value: The numbers; or a shape, whose numbers a state dict will bring.
    """

    value: Tensor

    def __init__(self, value: Tensor | Sequence[int]) -> None:
        super().__init__()
        self.known = isinstance(value, Tensor)
        self.register_buffer("value", value.detach().clone() if isinstance(value, Tensor) else torch.zeros(*value))

    def forward(self) -> Tensor:
        """The numbers.

        Raises:
            ValueError: They have not been loaded.
        """
        self.known = self.known or bool(self.value.any())  # also where weights were copied into the model
        if not self.known:
            raise ValueError(
                "the model was built without its text tower (text_from_state=True) and no state dict brought what "
                "the tower says; load the trained model's state dict first"
            )
        return self.value

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        # A loader that fills gaps with the model's own entries brings zeros back, and zeros are no features.
        self.known = self.known or bool(self.value.any())


@torch.no_grad()
def word_constants(
    text: ClipText,
    phrases: Sequence[str],
    object_name: str,
    length: int,
    source: str = "states",
    layers: Sequence[int] = (),
) -> Tensor:
    """a^m of every modality, what P maps to the modality prompts.

    Args:
        text: The tower.
        phrases: Attribute words of each modality.
        object_name: What the photos show, such as ``person``.
        length: M.
        source: ``states``: the last layer's states (after the final norm) at the word pieces of the phrase, in the
            modality's sentence; ``embeddings``: the token embeddings of these word pieces; ``sentence``: the one
            feature of the sentence; ``end``: the one state at its end, before the projection; ``layers``: the states at
            the word pieces between the text layers. Phrases of fewer than M pieces are filled up with the end of the
            text.
        layers: Of ``layers``, which states, W_0 to W_L.

    Returns:
        Shape (modalities, M, d_t), or (modalities, 1, D_out) for ``sentence``, (modalities, 1, d_t) for ``end``,
        (modalities, layers, M, d_t) for ``layers``.

    Raises:
        ValueError: A phrase of more than M word pieces, or a sentence too long for the tower.
    """
    tokens = text.tokenise([sentence_of(phrase, object_name) for phrase in phrases])
    if source == "sentence":
        return text.project(text.states(tokens), tokens)[:, None]
    if source == "end":
        return text.states(tokens)[torch.arange(len(tokens)), tokens.argmax(dim=1)][:, None]
    places = torch.tensor([_places(text, row, phrase, length) for row, phrase in zip(tokens, phrases, strict=True)])
    if source == "layers":
        states = text.layer_states(tokens)
        return torch.stack([_at(states[layer], places) for layer in layers], dim=1)
    return _at(text.states(tokens) if source == "states" else text.embeddings(tokens), places)


def text_layers(blocks: Sequence[int], layers: int, text_layers: int) -> list[int]:
    """Which text states W_k each block l of an image tower gets, ``M_{l-1} = P(W_{l-1})``, scaled to the text's depth.

    Args:
        blocks: Numbers l, from 1.
        layers: Blocks of the image tower.
        text_layers: Layers of the text tower.
    """
    return [round((block - 1) * text_layers / layers) for block in blocks]


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Values (n, T, d) at places (n, M): (n, M, d)."""
    return values.gather(1, places.to(values.device)[..., None].expand(-1, -1, values.shape[-1]))


def _places(text: ClipText, tokens: Tensor, phrase: str, length: int) -> list[int]:
    """Where the word pieces of a phrase stand in a sentence, filled up with its end."""
    pieces, row = text.pieces(phrase), tokens.tolist()
    if len(pieces) > length:
        raise ValueError(
            f"{phrase!r} is {len(pieces)} word pieces long and word_length is {length}; set it to {len(pieces)} or more"
        )
    start = next(place for place in range(len(row)) if row[place : place + len(pieces)] == pieces)
    end = int(tokens.argmax())
    return [*range(start, start + len(pieces)), *[end] * (length - len(pieces))]
