"""The small CLIP: open_clip's own model and loss on rendered people and sentences about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.backbones.bundled_towers import MINI_CLIP, TOKEN_IDS
from promptreid.models.backbones.clip_image import import_open_clip
from promptreid.models.weights import StateDict
from promptreid.pretraining.captions import caption, words
from promptreid.pretraining.images import Shot, draw_strangers, generator, identity, normalise, render
from promptreid.pretraining.loop import EVERY, train
from promptreid.pretraining.recognition import Recogniser, RecognitionRecipe

LARGEST_SCALE = math.log(100.0)  # as in CLIP


@dataclass(frozen=True)
class ClipRecipe(RecognitionRecipe):
    """CLIP's contrast (Radford et al., 2021), and recognition beside it.

    From scratch, the contrast alone needs many more pictures than these until it sees more than the band. Labels help
    an image tower sooner, as in LiT (Zhai et al., CVPR 2022).

    Args:
        recognition: weight of the recognition loss; the contrast has 1.
        pairs: pictures with sentences in each step.
        shares: of the bands among them.

    Raises:
        ValueError: values that can't be.
    """

    steps: int = 240
    recognition: float = 2.5
    pairs: int = 64
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
    """open_clip's CLIP with so many word pieces; randomly initialised."""
    import_open_clip()
    from open_clip.model import CLIP

    config = MINI_CLIP if config is None else config
    return CLIP(**{**config, "text_cfg": {**config["text_cfg"], "vocab_size": vocabulary}})


def captions_of(shots: Sequence[Shot], seed: int) -> list[str]:
    """A sentence about each picture."""
    keys = [generator(seed, "captions", shot.pid, shot.camera, shot.frame) for shot in shots]
    return [caption(identity(seed, shot.pid), shot.band, key) for shot, key in zip(shots, keys, strict=True)]


class Contrast(nn.Module):
    """open_clip's contrastive loss, between standardised features.

    At the start, all images have nearly the same feature, and all sentences too; against such an offset the contrast
    makes no headway. So each element of both is standardised over the batch (BatchNorm without weights), and at the
    end :meth:`fold` puts this map into the towers.

    Args:
        dim: D, width of the features.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.image = nn.BatchNorm1d(dim, affine=False)
        self.text = nn.BatchNorm1d(dim, affine=False)

    def forward(self, clip: Any, images: Tensor, tokens: Tensor) -> Tensor:
        """The loss of images (B, 3, H, W) and their sentences (B, T), a scalar."""
        return self.between(clip, clip.encode_image(images), tokens)

    def between(self, clip: Any, features: Tensor, tokens: Tensor) -> Tensor:
        """The loss of image features (B, D) and their sentences (B, T), a scalar."""
        from open_clip.loss import ClipLoss

        image = F.normalize(self.image(features), dim=1)
        text = F.normalize(self.text(clip.encode_text(tokens)), dim=1)
        loss: Tensor = ClipLoss()(image, text, clip.logit_scale.clamp(max=LARGEST_SCALE).exp())
        return loss

    def fold(self, clip: Any) -> None:
        """Change the last norms and projections of both towers so that they give standardised features themselves."""
        visual = clip.visual
        _fold(self.image, visual.ln_post.bias, visual.proj)
        _fold(self.text, clip.ln_final.bias, clip.text_projection)


@torch.no_grad()
def _fold(standardise: nn.BatchNorm1d, bias: Tensor, proj: Tensor) -> None:
    """With features ``(x + bias) @ proj``: after it they are ``standardise`` of what they were.

    The means are those of such features, so there is a change of ``bias`` that takes them away exactly.
    """
    mean, variance = standardise.running_mean, standardise.running_var
    assert mean is not None and variance is not None
    bias.sub_(torch.linalg.lstsq(proj.T.double(), mean.double()[:, None], driver="gelsd").solution[:, 0].to(bias.dtype))
    proj.div_((variance + standardise.eps).sqrt())


def train_clip(
    recipe: ClipRecipe, checkpoint: Path, config: dict[str, Any] | None = None, every: int = EVERY
) -> tuple[StateDict, list[float]]:
    """Train the small CLIP.

    Args:
        recipe: how.
        checkpoint: where to keep what has been reached, and where to go on from.
        config: of open_clip's CLIP; :data:`~promptreid.models.backbones.bundled_towers.MINI_CLIP` if not given.
        every: steps from one checkpoint to the next.

    Returns:
        Its state dict with the rows of its own word pieces, which ``token_ids`` names, and the loss of each step.
    """
    config = MINI_CLIP if config is None else config
    vocabulary = Vocabulary(config["text_cfg"]["context_length"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        clip = create_clip(len(vocabulary), config)
        recogniser, contrast = Recogniser(config["embed_dim"], recipe), Contrast(config["embed_dim"])

    def loss_of(step: int) -> Tensor:
        shots = draw_strangers(recipe.seed, step, recipe.pairs, recipe.shares)
        images = normalise(render(shots, recipe.seed))
        loss: Tensor = contrast(clip, images, vocabulary(captions_of(shots, recipe.seed)))
        if recipe.recognition:
            loss = loss + recipe.recognition * recogniser(clip.encode_image, step)
        return loss

    parts = nn.ModuleDict({"clip": clip, "recogniser": recogniser, "contrast": contrast})
    losses = train(parts, loss_of, recipe, checkpoint, every)
    contrast.fold(clip)
    state = {name: value.detach() for name, value in clip.state_dict().items()}
    return {**state, TOKEN_IDS: vocabulary.ids.int()}, losses
