"""The small CLIP: open_clip's own model and loss on rendered people and sentences about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.clip import import_open_clip
from promptreid.models.mini import MINI_CLIP, TOKEN_IDS
from promptreid.models.weights import StateDict
from promptreid.pretraining.captions import caption, words
from promptreid.pretraining.images import Shot, draw_strangers, generator, identity, normalise, render
from promptreid.pretraining.loop import EVERY, train
from promptreid.pretraining.recognition import Recogniser, RecognitionRecipe

FIRST_SCALE = 0.1
LARGEST_SCALE = math.log(100.0)  # as in CLIP


@dataclass(frozen=True)
class ClipRecipe(RecognitionRecipe):
    """Recognition, then CLIP's contrast (Radford et al., 2021) with the image tower locked, as LiT has it.

    From scratch, the contrast needs many more pictures than these until it sees more than the band. LiT (Zhai et al.,
    CVPR 2022) teaches the image tower with labels first, and then trains the text tower and the projection of images.

    Args:
        recognition: how many of the steps, at first, are recognition.
        pairs: pictures with sentences in each step of the contrast.
        shares: of the bands among them.

    Raises:
        ValueError: values that can't be.
    """

    steps: int = 600
    recognition: int = 200
    pairs: int = 96
    shares: dict[str, float] = field(
        default_factory=lambda: {"visible": 0.6, "near_infrared": 0.2, "thermal_infrared": 0.2}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs < 2:
            raise ValueError(f"pairs: must be at least 2, not {self.pairs}")
        if self.recognition < 0:
            raise ValueError(f"recognition: must not be negative, not {self.recognition}")


class Vocabulary:
    """The word pieces that captions use, numbered without gaps: training the other 49000 rows would be in vain.

    The order is kept, for CLIP finds the end of a sentence as its highest number.
    """

    def __init__(self, context_length: int) -> None:
        import_open_clip()
        from open_clip.tokenizer import SimpleTokenizer

        self._tokenizer = SimpleTokenizer(context_length=context_length)
        pieces = {piece for word in words() for piece in self._tokenizer.encode(word)}
        # 0 fills up short sentences.
        self.ids = torch.tensor(sorted({0, *pieces, self._tokenizer.sot_token_id, self._tokenizer.eot_token_id}))

    def __len__(self) -> int:
        return len(self.ids)

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """Numbers of the pieces, (n, context_length); sentences that are too long lose their ends, as CLIP's do.

        Raises:
            ValueError: a word that is in no caption.
        """
        tokens: Tensor = self._tokenizer(list(sentences))
        places = torch.searchsorted(self.ids, tokens).clamp_max(len(self.ids) - 1)
        strange = (self.ids[places] != tokens).any(dim=1)
        if strange.any():
            raise ValueError(f"{sentences[int(strange.int().argmax())]!r} holds a word that is in no caption")
        return places


def create_clip(vocabulary: int, config: dict[str, Any] | None = None) -> Any:
    """open_clip's CLIP with so many word pieces; randomly initialised.

    The scale of the first norm starts small, so that what the class token gathers outweighs what it starts as; features
    of different images are then less alike.
    """
    import_open_clip()
    from open_clip.model import CLIP

    config = MINI_CLIP if config is None else config
    clip = CLIP(**{**config, "text_cfg": {**config["text_cfg"], "vocab_size": vocabulary}})
    nn.init.constant_(clip.visual.ln_pre.weight, FIRST_SCALE)
    return clip


def captions_of(shots: Sequence[Shot], seed: int) -> list[str]:
    """A sentence about each picture."""
    keys = [generator(seed, "captions", shot.pid, shot.camera, shot.frame) for shot in shots]
    return [caption(identity(seed, shot.pid), shot.band, key) for shot, key in zip(shots, keys, strict=True)]


@torch.no_grad()
def centre(clip: Any, images: Tensor) -> None:
    """Give the class features of ``images`` mean 0 and deviation 1, by the affine map of the last norm.

    Recognition leaves a common offset, beside which features differ little; against that the contrast makes no headway.
    """
    norm, seen = clip.visual.ln_post, []
    hook = norm.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    clip.encode_image(images)
    hook.remove()
    features = seen[0][:, 0]
    mean, deviation = features.mean(dim=0), features.std(dim=0)
    norm.weight.div_(deviation)
    norm.bias.sub_(mean).div_(deviation)


def contrast(clip: Any, images: Tensor, tokens: Tensor) -> Tensor:
    """open_clip's contrastive loss of images (B, 3, H, W) and their sentences (B, T), a scalar."""
    from open_clip.loss import ClipLoss

    scale = clip.logit_scale.clamp(max=LARGEST_SCALE).exp()
    loss: Tensor = ClipLoss()(
        clip.encode_image(images, normalize=True), clip.encode_text(tokens, normalize=True), scale
    )
    return loss


def train_clip(
    recipe: ClipRecipe, checkpoint: Path, config: dict[str, Any] | None = None, every: int = EVERY
) -> tuple[StateDict, list[float]]:
    """Train the small CLIP.

    Args:
        recipe: how.
        checkpoint: where to keep what has been reached, and where to go on from.
        config: of open_clip's CLIP; :data:`~promptreid.models.mini.MINI_CLIP` if not given.
        every: steps from one checkpoint to the next.

    Returns:
        Its state dict with the rows of its own word pieces, which ``token_ids`` names, and the loss of each step.
    """
    config = MINI_CLIP if config is None else config
    vocabulary = Vocabulary(config["text_cfg"]["context_length"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        clip = create_clip(len(vocabulary), config)
        recogniser = Recogniser(config["embed_dim"], recipe)

    def loss_of(step: int) -> Tensor:
        if step < recipe.recognition:
            loss: Tensor = recogniser(clip.encode_image, step)
            return loss
        clip.lock_image_tower(unlocked_groups=1)  # all but the projection
        shots = draw_strangers(recipe.seed, step, recipe.pairs, recipe.shares)
        images = normalise(render(shots, recipe.seed))
        if step == recipe.recognition:
            centre(clip, images)
        return contrast(clip, images, vocabulary(captions_of(shots, recipe.seed)))

    losses = train(nn.ModuleDict({"clip": clip, "recogniser": recogniser}), loss_of, recipe, checkpoint, every)
    state = {name: value.detach() for name, value in clip.state_dict().items()}
    return {**state, TOKEN_IDS: vocabulary.ids.int()}, losses
