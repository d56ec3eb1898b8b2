"""A small CLIP around the small ViT: the image tower is locked, words learn to describe what it sees (LiT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.backbones.bundled_towers import MINI_LIT, TOKEN_IDS, clip_image_of_vit
from promptreid.models.weights import StateDict
from promptreid.pretraining.captions import caption
from promptreid.pretraining.clip_training import Contrast, Vocabulary, create_clip
from promptreid.pretraining.images import Shot, draw_strangers, generator, identity, normalise, render
from promptreid.pretraining.loop import EVERY, Recipe, train
from promptreid.synthetic import RENDERER

CHUNK = 64  # pictures rendered and encoded at a time
LOCKED = "visual."
OWN = ("visual.proj", "visual.ln_post.bias")  # training changes the projection, folding the norm before it


@dataclass(frozen=True)
class LitRecipe(Recipe):
    """CLIP's contrast between the features of a locked image tower and sentences (LiT, Zhai et al., CVPR 2022).

    The image tower knows people in visible light. Contrast on pictures of all bands teaches the projection and the
    text tower what the bands and clothes are called, as a web corpus with a few infrared pictures would.

    Args:
        pictures: rendered and encoded once, each of another person; a multiple of 64.
        shares: of the bands among them.
        renderer: of the pictures, a key of ``synthetic.RENDERERS``.

    Raises:
        ValueError: values that can't be.
    """

    steps: int = 1200
    batch: int = 128
    pictures: int = 16_384
    shares: dict[str, float] = field(
        default_factory=lambda: {"visible": 0.6, "near_infrared": 0.2, "thermal_infrared": 0.2}
    )
    renderer: int = RENDERER

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pictures % CHUNK or self.pictures < self.batch:
            raise ValueError(
                f"pictures: {self.pictures} must be a multiple of {CHUNK}, and at least the batch of {self.batch}"
            )


def train_lit(
    recipe: LitRecipe,
    vit: Mapping[str, Tensor],
    checkpoint: Path,
    config: dict[str, Any] | None = None,
    every: int = EVERY,
) -> tuple[StateDict, list[float]]:
    """Train text tower and projection beside a locked image tower.

    Args:
        recipe: how.
        vit: state dict of timm's ViT that becomes the image tower.
        checkpoint: where to keep what has been reached, and where to go on from.
        config: of open_clip's CLIP; :data:`~promptreid.models.backbones.bundled_towers.MINI_LIT` if not given.
        every: steps from one checkpoint to the next.

    Returns:
        What has been trained: the state dict of the CLIP without the locked tower, with the rows of its own word
        pieces, which ``token_ids`` names; and the loss of each step.
    """
    config = MINI_LIT if config is None else config
    vocabulary = Vocabulary(config["text_cfg"]["context_length"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        clip = create_clip(len(vocabulary), config)
    clip.visual.load_state_dict(clip_image_of_vit(vit, clip.visual.proj), strict=True)
    clip.visual.requires_grad_(False)
    clip.visual.proj.requires_grad_(True)
    contrast = Contrast(config["embed_dim"])
    shots, features = _encoded(clip, recipe)

    def loss_of(step: int) -> Tensor:
        rows = torch.from_numpy(generator(recipe.seed, "pairs", step).permutation(len(shots))[: recipe.batch])
        sentences = vocabulary(_captions([shots[row] for row in rows.tolist()], recipe, step))
        loss: Tensor = contrast.between(clip, features[rows] @ clip.visual.proj, sentences)
        return loss

    losses = train(nn.ModuleDict({"clip": clip, "contrast": contrast}), loss_of, recipe, checkpoint, every)
    contrast.fold(clip)
    state = {name: value.detach() for name, value in clip.state_dict().items()}
    own = {name: value for name, value in state.items() if not name.startswith(LOCKED) or name in OWN}
    return {**own, TOKEN_IDS: vocabulary.ids.int()}, losses


@torch.no_grad()
def _encoded(clip: Any, recipe: LitRecipe) -> tuple[list[Shot], Tensor]:
    """The pictures of a recipe and what the locked tower makes of them before its projection, (N, D)."""
    clip.eval()
    projection, clip.visual.proj = clip.visual.proj, None
    shots: list[Shot] = []
    features = []
    for chunk in range(recipe.pictures // CHUNK):
        drawn = draw_strangers(recipe.seed, chunk, CHUNK, recipe.shares)
        features.append(clip.encode_image(normalise(render(drawn, recipe.seed, recipe.renderer))))
        shots += drawn
    clip.visual.proj = projection
    return shots, torch.cat(features)


def _captions(shots: Sequence[Shot], recipe: LitRecipe, step: int) -> list[str]:
    """A sentence about each picture, another one in each step."""
    keys = [generator(recipe.seed, "captions", shot.pid, shot.camera, step) for shot in shots]
    people = [identity(recipe.seed, shot.pid, recipe.renderer) for shot in shots]
    return [caption(person, shot.band, key) for person, shot, key in zip(people, shots, keys, strict=True)]
