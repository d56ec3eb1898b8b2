"""From the names of modalities to what the frozen text tower says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from promptreid.methods.mip.prompts import rows_of
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
    text: ClipText, phrases: Sequence[str], object_name: str, length: int, source: str = "states"
) -> Tensor:
    """a^m of every modality, what P maps to the modality prompts.

    Args:
        text: The tower.
        phrases: Attribute words of each modality.
        object_name: What the photos show, such as ``person``.
        length: M.
        source: ``states``: the last layer's states (after the final norm) at the word pieces of the phrase, in the
            modality's sentence; ``embeddings``: the token embeddings of these word pieces; ``sentence``: the one
            feature of the sentence. Phrases of fewer than M pieces are filled up with the end of the text.

    Returns:
        Shape (modalities, M, d_t), or (modalities, 1, D_out) for ``sentence``.

    Raises:
        ValueError: A phrase of more than M word pieces, or a sentence too long for the tower.
    """
    tokens = text.tokenise([sentence_of(phrase, object_name) for phrase in phrases])
    if source == "sentence":
        return text.project(text.states(tokens), tokens)[:, None]
    values = text.states(tokens) if source == "states" else text.embeddings(tokens)
    places = torch.tensor([_places(text, row, phrase, length) for row, phrase in zip(tokens, phrases, strict=True)])
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


def _mapping(inner: int, outer: int, kind: str) -> nn.Sequential:
    layers = (
        [nn.Linear(inner, inner), nn.GELU(), nn.Linear(inner, outer)] if kind == "mlp" else [nn.Linear(inner, outer)]
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


class WordPrompts(nn.Module):
    """P1, modality prompts from attribute words: ``M_p^m = P(a^m)``, M vectors of the visual width.

    a^m is what :func:`word_constants` takes from the frozen text tower; P is trained. The paper calls P a mapping
    *network*, so it has a hidden layer by default (d_t -> d_t -> D, GELU, Xavier, biases 0); ``linear`` is the
    alternative. With the network DMPT trains 5.47 M parameters on ViT-B/16, and 5.73 M with identity heads for 171
    people; both are within 5 % of the 6.5 % of 86.19 M that the abstract states (5.60 M). With the linear map it is
    5.20 M.

    Args:
        constant: a^m, (modalities, M, d) or, where one vector serves all M prompts, (modalities, 1, d).
        length: M.
        dim: D.
        mapping: ``mlp`` or ``linear``.
    """

    prompt_family = "words"

    def __init__(self, constant: TextConstant, length: int, dim: int, mapping: str = "mlp") -> None:
        super().__init__()
        self.attributes = constant
        self.length = length
        _, count, inner = constant.value.shape
        self.mapping = _mapping(inner, dim * length // count, mapping)

    def forward(self, modality: Tensor) -> Tensor:
        """Prompts of modality (n,): (n, M, D)."""
        return rows_of(self._prompts(), modality)

    def folded(self) -> FreeModalityPrompts:
        """The prompts as they are after the mapping, without the text's numbers and the network behind them."""
        prompts = self._prompts()
        modalities, length, dim = prompts.shape
        table = FreeModalityPrompts(modalities, length, dim)
        table.prompts = nn.Parameter(prompts.detach().clone(), requires_grad=False)
        return table

    def _prompts(self) -> Tensor:
        """Of every modality, (modalities, M, D)."""
        prompts: Tensor = self.mapping(self.attributes())
        return prompts.flatten(1).unflatten(1, (self.length, -1))


class FreeModalityPrompts(nn.Module):
    """Modality prompts without words: M free vectors per modality, initialised N(0, std). An ablation of the prior.

    Args:
        modalities: How many.
        length: M.
        dim: D.
        std: Of the initialisation.
    """

    learning_rate_roles: ClassVar = {"prompts": "prompts"}

    prompt_family = "words"

    def __init__(self, modalities: int, length: int, dim: int, std: float = 0.02) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(modalities, length, dim))
        nn.init.normal_(self.prompts, std=std)

    def forward(self, modality: Tensor) -> Tensor:
        """Prompts of modality (n,): (n, M, D)."""
        return rows_of(self.prompts, modality)
