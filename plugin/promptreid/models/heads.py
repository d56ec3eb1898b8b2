"""From the tokens after the trunk to feature vectors and logits."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.backbones.partial_block import BlockFunction, Context, context_block
from promptreid.models.precision import HALF, at_least_float32


class BNNeck(nn.Module):
    """Batch normalisation between feature and classifier, with its bias fixed at 0 (Luo et al., 2019).

    The bias is a buffer, not a parameter without gradient: torchreid turns the gradient of every parameter on.

    Rows that stand for missing images count in no statistics. One row that is left has no variance: it is normalised
    with the running statistics, which stay as they are.

    Args:
        dim: D.
        bias: Train the bias after all, as the released MIP does in the heads of its instance prompts.
    """

    bias: Tensor

    def __init__(self, dim: int, bias: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim, affine=False)
        self.weight = nn.Parameter(torch.ones(dim))
        if bias:
            self.bias = nn.Parameter(torch.zeros(dim))
        else:
            self.register_buffer("bias", torch.zeros(dim))

    def forward(self, features: Tensor, real: Tensor | None = None) -> Tensor:
        """Normalise features (B, D); returns (B, D).

        Args:
            features: One row per image.
            real: Bool (B,), the rows that have an image, what the others become has no meaning; None when all have.
        """
        if self.weight.dtype in HALF:  # a cast model, whose features come in float32
            features = features.to(self.weight.dtype)
        if self.training and real is not None:
            return self._apart(features, real) * self.weight + self.bias
        return self.norm(features) * self.weight + self.bias

    def _apart(self, features: Tensor, real: Tensor) -> Tensor:
        """Batch normalisation by the statistics of some rows, at fixed shapes."""
        norm: Any = self.norm
        count = real.sum()
        rows = at_least_float32(features).masked_fill(~real[:, None], 0.0)
        mean = rows.sum(dim=0) / count.clamp(min=1)
        variance = (rows - mean).square().masked_fill(~real[:, None], 0.0).sum(dim=0) / count.clamp(min=1)
        varied = count > 1
        with torch.no_grad():
            step = norm.momentum * varied
            unbiased = variance * count / (count - 1).clamp(min=1)
            before = norm.running_mean.clone(), norm.running_var.clone()
            norm.running_mean += step * (mean - norm.running_mean)
            norm.running_var += step * (unbiased - norm.running_var)
            norm.num_batches_tracked += varied
        mean = torch.where(varied, mean, before[0])
        variance = torch.where(varied, variance, before[1])
        return ((rows - mean) * (variance + norm.eps).rsqrt()).to(features.dtype)


def identity_classifier(dim: int, num_classes: int) -> nn.Linear:
    """A classifier without bias, initialised with standard deviation 0.001."""
    classifier = nn.Linear(dim, num_classes, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return classifier


class TokenHead(nn.Module):
    """A copy of the backbone's last block and final norm, of which only the first token's output is read."""

    def __init__(self, block: nn.Module, norm: nn.Module, apply: BlockFunction = context_block) -> None:
        super().__init__()
        self.block = deepcopy(block)
        self.norm = deepcopy(norm)
        self.apply_block = apply

    def forward(self, token: Tensor, context: Context) -> Tensor:
        """Read token (B, 1, D) out of itself and the context; returns (B, D)."""
        return self.norm(self.apply_block(self.block, token, [context], 1)).squeeze(1)


class GlobalHead(nn.Module):
    """The class token's output of the last block: one feature."""

    count = 1

    def __init__(self, block: nn.Module, norm: nn.Module, apply: BlockFunction = context_block) -> None:
        super().__init__()
        self.b1 = TokenHead(block, norm, apply)

    def forward(self, tokens: Tensor, prefix: int = 1, turns: Tensor | None = None) -> list[Tensor]:
        """Tokens to one feature (B, D).

        Args:
            tokens: The class token, ``prefix - 1`` registers and the patches, (B, prefix + N, D).
            prefix: Tokens before the patches.
            turns: The rotary positions of all of them, (prefix + N, 2 d), where the ViT has such.
        """
        return [self.b1(tokens[:, :1], _behind_class(tokens, turns))]


class PooledBranch(nn.Module):
    """A copy of the backbone's last block, final norm and pooling."""

    def __init__(self, block: nn.Module, norm: nn.Module, readout: nn.Module, apply: BlockFunction) -> None:
        super().__init__()
        self.block, self.norm, self.readout = deepcopy(block), deepcopy(norm), deepcopy(readout)
        self.apply_block = apply

    def forward(self, tokens: Tensor, turns: Tensor | None = None) -> Tensor:
        """All tokens (B, prefix + N, D) to the feature (B, D)."""
        feature: Tensor = self.readout(self.norm(self.apply_block(self.block, tokens, [], 1, BlockForm(turns))))
        return feature


class PooledHead(nn.Module):
    """What a backbone without a class token reads from all tokens: one feature.

    Args:
        block: The backbone's last block, copied.
        norm: The backbone's final norm, likewise.
        readout: Its pooling, likewise: normed tokens (B, prefix + N, D) to the feature (B, D).
    """

    count = 1

    def __init__(
        self, block: nn.Module, norm: nn.Module, readout: nn.Module, apply: BlockFunction = context_block
    ) -> None:
        super().__init__()
        self.b1 = PooledBranch(block, norm, readout, apply)

    def forward(self, tokens: Tensor, prefix: int = 1, turns: Tensor | None = None) -> list[Tensor]:
        """See :class:`GlobalHead`."""
        return [self.b1(tokens, turns)]


class JigsawHead(nn.Module):
    """Jigsaw patch module (JPM): one global feature and one for each run of shifted and shuffled patches.

    Args:
        block: The backbone's last block, copied twice (b1 for the global branch, b2 for the runs).
        norm: The backbone's final norm, likewise.
        shift: The tokens are rolled so that token number ``shift``, the class token being number 0, comes first.
        groups: Of the shuffle.
        divide: Runs; patches beyond the last full run are not used.

    References:
        He et al., TransReID: Transformer-based Object Re-Identification, ICCV 2021.
    """

    def __init__(
        self,
        block: nn.Module,
        norm: nn.Module,
        shift: int = 5,
        groups: int = 2,
        divide: int = 4,
        apply: BlockFunction = context_block,
    ) -> None:
        super().__init__()
        self.b1 = TokenHead(block, norm, apply)
        self.b2 = TokenHead(block, norm, apply)
        self.shift, self.groups, self.divide = shift, groups, divide

    @property
    def count(self) -> int:
        """How many features come out."""
        return 1 + self.divide

    def forward(self, tokens: Tensor, prefix: int = 1, turns: Tensor | None = None) -> list[Tensor]:
        """Tokens to ``1 + divide`` features (B, D), the global one first.

        Registers are read by the global branch alone. Shuffled patches keep their rotary positions.

        Args:
            tokens, prefix, turns: See :class:`GlobalHead`.
        """
        token, split = tokens[:, :1], (self.shift, self.groups, self.divide)
        runs = jigsaw_runs(tokens[:, prefix:], *split)
        places = None if turns is None else jigsaw_runs(turns[None, prefix:], *split)
        places = None if places is None else places.expand(tokens.shape[0], -1, -1, -1).flatten(0, 1)
        local = self.b2(token.repeat_interleave(self.divide, dim=0), Context(runs.flatten(0, 1), turns=places))
        return [self.b1(token, _behind_class(tokens, turns)), *local.unflatten(0, (-1, self.divide)).unbind(1)]


def _behind_class(tokens: Tensor, turns: Tensor | None) -> Context:
    return Context(tokens[:, 1:], turns=None if turns is None else turns[1:])


def jigsaw_runs(patches: Tensor, shift: int, groups: int, divide: int) -> Tensor:
    """Shift and shuffle patches (B, N, D) and cut them into runs (B, divide, N // divide, D).

    The shuffle reads ``groups`` equal parts in turn. As in TransReID, one patch short of equal parts the last but one
    patch is used twice.

    Raises:
        ValueError: See :func:`check_jigsaw`.
    """
    count = patches.shape[1]
    check_jigsaw(count, shift, groups, divide)
    missing = -count % groups
    rolled = patches.roll(1 - shift, dims=1)
    if missing:
        rolled = torch.cat([rolled, rolled[:, -2:-1]], dim=1)
    shuffled = rolled.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
    length = count // divide
    return shuffled[:, : length * divide].unflatten(1, (divide, length))


def check_jigsaw(count: int, shift: int, groups: int, divide: int) -> None:
    """Raise ``ValueError`` for a number of patch tokens that is too small or does not split into ``groups``."""
    if count < max(divide, shift, 2) or -count % groups > 1:
        raise ValueError(
            f"JPM cannot split {count} patch tokens (shift {shift}, {groups} groups, {divide} runs); "
            "use larger images, a smaller stride, or switch JPM off"
        )


class PromptHead(nn.Module):
    """The identity heads of the instance prompts, one BNNeck and classifier per layer (for IAEL).

    Args:
        layers: N_p.
        length: j, prompts per layer.
        pooling: How the j prompts of a layer become one vector: ``mean``; ``flatten``, which concatenates them; or
            ``query``, a learned token that reads them through a further copy of the last block and norm, shared by
            all layers.
    """

    def __init__(
        self,
        layers: int,
        length: int,
        num_classes: int,
        pooling: str,
        block: nn.Module,
        norm: nn.Module,
        dim: int,
        apply: BlockFunction = context_block,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        width = dim * length if pooling == "flatten" else dim
        self.necks = nn.ModuleList(BNNeck(width, bias) for _ in range(layers))
        self.classifiers = nn.ModuleList(identity_classifier(width, num_classes) for _ in range(layers))
        if pooling == "query":
            self.query = nn.Parameter(torch.empty(1, 1, dim))
            nn.init.trunc_normal_(self.query, std=0.02)
            self.reader = TokenHead(block, norm, apply)

    def forward(self, prompts: Sequence[Context], real: Tensor | None = None) -> list[Tensor]:
        """Instance prompts of each layer to logits, a list of (B, C).

        Args:
            prompts: Of each layer.
            real: See :class:`BNNeck`.
        """
        pooled = [self.pool(layer) for layer in prompts]
        return [fc(neck(r, real)) for fc, neck, r in zip(self.classifiers, self.necks, pooled, strict=True)]

    def pool(self, prompts: Context) -> Tensor:
        """One vector for the prompts of one layer: (B, D), or (B, j D) when flattened."""
        if self.pooling == "mean":
            return prompts.tokens.mean(dim=1)
        if self.pooling == "flatten":
            return prompts.expanded().flatten(1)
        return self.reader(self.query.expand(prompts.tokens.shape[0], -1, -1), prompts)
