"""Every choice that tells one MIP from another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_CHOICES = {
    "queries": ("learned", "zero"),
    "iael_pooling": ("mean", "flatten", "query"),
    "sie": ("camera", "modality", "none"),
    "generator": ("ipg", "bank"),
}


@dataclass(frozen=True)
class MIPOptions:
    """The architecture of a :class:`~promptreid.methods.mip.model.MIP`; the defaults are those of :func:`mip_paper`.

    Attributes:
        modality_prompts: Prompts chosen by modality (MPL).
        instance_prompts: Prompts generated from the image (IPG).
        prompt_length: j, prompts of either kind per layer.
        prompt_depth: How many blocks, from the first, get prompts; None for all before the head block.
        prompt_scale: s, the scale of the modality prompts' uniform initialisation.
        prompt_dropout: Dropout after the projection of the modality prompts.
        queries: ``learned`` queries feed the generator in the paper's figure; in the released code they are ``zero``
            in every forward pass, which makes the j instance prompts of a layer copies of one.
        skipped_blocks: Blocks before the head block that are never run. The released code leaves out one: its last
            prompted block is number 10 of 12, its head block number 12.
        iael: Identity logits for the instance prompts of every layer. On in the paper; the released command has it off.
        iael_pooling: How the prompts of a layer become one vector: their ``mean``, as the paper's figure suggests,
            ``flatten``, or a learned ``query`` through one more copy of the last block, the released code's default.
        iael_bias: The BNNecks of these heads train a bias, as in the released code, instead of keeping it at 0.
        jpm: Local heads on shuffled patches (JPM) beside the global one.
        jpm_shift: Where the shift starts; the class token is number 0.
        jpm_groups: Groups of the shuffle.
        jpm_divide: Runs of patches, each with a head.
        sie: Side information added to all tokens, a vector per ``camera``, per ``modality``, or ``none``.
        sie_weight: Scale of the side information.
        after_bn: The descriptor is made of features after the BNNecks instead of before.
        generator: Where instance prompts come from: ``ipg``, the block that the paper proposes, or ``bank``, a bank of
            64 entries fused by softmax weights (:class:`~promptreid.methods.mip.variants.PromptBank`); ``queries`` are
            the block's alone.
        instance_depth: How many blocks, from the first, get instance prompts; None for as many as ``prompt_depth``.
            The authors' code has a variant with 1. As with all prompts here, their outputs are dropped after the block
            (that this variant does so too is reconstructed).
        naive_prompts: The modality prompts become naive: one set for all modalities. Like in the authors' code; that
            nothing but the selection falls away is reconstructed.
        modality_embedding: Instead of modality prompts, a learned vector per modality is added to all tokens, beside
            the side information. The authors' code has such a variant; that the vector is made and scaled like the
            side information (``sie_weight``) is reconstructed.
        prompt_adapters: A residual adapter on the prompts of each layer
            (:class:`~promptreid.methods.mip.variants.PromptAdapter`).
        modality_bn: A BNNeck per modality (:class:`~promptreid.methods.mip.variants.ModalityBNNeck`).
        frozen: The embedding and the blocks before the head block are frozen: prompts, generator, side information and
            heads are trained. (In the paper everything is.)
        frozen_heads: The copies of the last block in the heads are frozen, too, so that no weight of the tower is
            trained.

    Raises:
        ValueError: A value out of range, or choices that contradict each other.
    """

    modality_prompts: bool = True
    instance_prompts: bool = True
    prompt_length: int = 16
    prompt_depth: int | None = None
    prompt_scale: float = 20.0
    prompt_dropout: float = 0.1
    queries: str = "learned"
    skipped_blocks: int = 0
    iael: bool = True
    iael_pooling: str = "mean"
    iael_bias: bool = False
    jpm: bool = True
    jpm_shift: int = 5
    jpm_groups: int = 2
    jpm_divide: int = 4
    sie: str = "camera"
    sie_weight: float = 3.0
    after_bn: bool = False
    generator: str = "ipg"
    instance_depth: int | None = None
    naive_prompts: bool = False
    modality_embedding: bool = False
    prompt_adapters: bool = False
    modality_bn: bool = False
    frozen: bool = False
    frozen_heads: bool = False

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {choices}, got {getattr(self, field)!r}")
        for field, least in (("prompt_length", 1), ("jpm_shift", 1), ("jpm_groups", 1), ("jpm_divide", 1)):
            self._at_least(field, least)
        self._at_least("skipped_blocks", 0)
        for field in ("prompt_depth", "instance_depth"):
            if getattr(self, field) is not None:
                self._at_least(field, 1)
        if not 0 <= self.prompt_dropout < 1:
            raise ValueError(f"prompt_dropout must be in [0, 1), got {self.prompt_dropout}")
        if self.prompt_scale <= 0:
            raise ValueError(f"prompt_scale must be positive, got {self.prompt_scale}")
        for contradiction, message in self._contradictions():
            if contradiction:
                raise ValueError(message)

    def _at_least(self, field: str, least: int) -> None:
        if getattr(self, field) < least:
            raise ValueError(f"{field} must be at least {least}, got {getattr(self, field)}")

    def _contradictions(self) -> Iterator[tuple[bool, str]]:
        without = not self.instance_prompts
        removed = "the instance prompts, which instance_prompts=False removes"
        yield self.iael and without, f"iael=True supervises {removed}"
        yield self.generator != "ipg" and without, f"generator={self.generator!r} makes {removed}"
        yield self.instance_depth is not None and without, f"instance_depth={self.instance_depth} limits {removed}"
        if self.instance_depth is not None and self.prompt_depth is not None:
            deeper = self.instance_depth > self.prompt_depth
            yield deeper, f"instance_depth={self.instance_depth} is more than prompt_depth={self.prompt_depth}"
        yield (
            self.naive_prompts and not self.modality_prompts,
            "naive_prompts=True is a kind of modality prompts, which modality_prompts=False removes",
        )
        yield (
            self.modality_embedding and self.modality_prompts,
            "modality_embedding=True stands in for the modality prompts; set modality_prompts=False",
        )
        yield (
            self.modality_embedding and self.sie == "modality",
            "modality_embedding=True and sie='modality' would add two vectors per modality; keep one",
        )
        yield (
            self.frozen_heads and not self.frozen,
            "frozen_heads=True freezes what is behind the blocks; set frozen=True as well",
        )
        yield self.prompt_adapters and not self.prompted, "prompt_adapters=True needs prompts, and both kinds are off"

    @property
    def prompted(self) -> bool:
        """Whether there are prompts of either kind."""
        return self.modality_prompts or self.instance_prompts


def mip_paper(**changes: Any) -> MIPOptions:
    """MIP as the paper describes it: learned queries, IAEL on prompt means, prompts in all blocks before the head's.

    Args:
        changes: Fields of :class:`MIPOptions` to set otherwise.
    """
    return MIPOptions(**changes)


def mip_release(**changes: Any) -> MIPOptions:
    """MIP as the authors' released code trains it: zero queries, no IAEL, one block skipped before the head's.

    The released training also adds MSEL from epoch 10; that is the loss's side, ``MIPLoss.release()``.

    Args:
        changes: Fields of :class:`MIPOptions` to set otherwise.
    """
    return MIPOptions(
        **{"queries": "zero", "iael": False, "iael_pooling": "query", "iael_bias": True, "skipped_blocks": 1, **changes}
    )
