"""DMPT: decoupled modality-aware prompt tuning of a frozen ViT for multi-modal re-identification."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.methods.dmpt.encoder import PromptParts
from promptreid.methods.dmpt.inspection import families_of, image_features, inspect, without
from promptreid.methods.dmpt.options import DMPTOptions, dmpt, dmpt_plus, dmpt_s, dmpt_s_bind, dmpt_s_bind_m
from promptreid.methods.dmpt.prefix_cache import PrefixCache, run_prefix
from promptreid.models.backbones.towers import Tower
from promptreid.models.frozen import DTYPES, Frozen
from promptreid.models.heads import BNNeck, identity_classifier
from promptreid.models.inputs import being_traced
from promptreid.models.inspection import ImageFeatures, Inspection
from promptreid.models.outputs import PromptOutput, only
from promptreid.models.precision import at_least_float32
from promptreid.models.present_images import Slots, maps_of, size_of, slots_of
from promptreid.models.records import KnowsModalities
from promptreid.models.sie import SideInformation

__all__ = ["DMPT", "DMPTOptions", "dmpt", "dmpt_plus", "dmpt_s", "dmpt_s_bind", "dmpt_s_bind_m"]

MODALITIES = ("visible", "near_infrared", "thermal_infrared")


class Features(NamedTuple):
    """Of n images.

    Attributes:
        features: f^s before the BNNecks, (n, D_out).
        bound: B_l^m after each interaction layer, (n, b, D).
        aligned: What the sentences are compared with, (n, D_out), if it was asked for.
    """

    features: Tensor
    bound: list[Tensor]
    aligned: Tensor | None


class DMPT(KnowsModalities, PromptParts):
    """One frozen tower for all modalities, with prompts in its blocks and a feature per modality behind them.

    All images of a batch go through the tower in one call; nothing is computed for missing ones. Slot s of a sample
    gives ``f^s = Proj(LN(c_L))`` (F1). The descriptor is (B, M D_out): the features side by side, zeros where an
    image is missing, scaled to unit length as a whole, in float32 (float64 if the model is). With a fusion, features
    are weighted before they go to heads and descriptor.

    In training it returns, by ``loss``: ``"softmax"`` logits; ``"prompt"`` a :class:`PromptOutput`; anything else
    ``(logits, features)``. Both are tensors of the one head on the whole concatenation, or lists of one per slot.

    Args:
        tower: What :class:`~promptreid.models.backbones.towers.Tower` asks for; frozen here, in place,
            unless the options say otherwise.
        num_classes: C, identities in training.
        loss: See above.
        options: Which DMPT.
        cameras: Rows of the camera embedding, if there is one.
        modalities: Names of the modalities; a modality's id is its index.
        images_per_sample: M, slots of a sample.
        word_prompts: The modality prompts, a module from ids (n,) and the number of a block to prompts (n, M, D); if
            the options have any.
        alignment: From features (n, D_out) to logits (n, modalities), or from features and modalities (n,) to logits
            (n, identities); if the options have it.
        said: The words for the modalities and the object, which the state dict is bound to; JSON types.

    References:
        Lin et al., DMPT: Decoupled Modality-aware Prompt Tuning for Multi-modal Object Re-identification, WACV 2025.
        Its code is not public; docs/dmpt.md says what here is stated and what was chosen.
    """

    #: Prefixes of what a descriptor does not use; of these, evaluation takes a checkpoint with others, or none.
    training_only = ("classifier.", "alignment.")
    words = ("word_prompts.attributes.value", "alignment.sentences.value")

    def __init__(
        self,
        tower: Any,
        num_classes: int,
        loss: str = "softmax",
        options: DMPTOptions | None = None,
        cameras: int = 1,
        modalities: Sequence[str] = MODALITIES,
        images_per_sample: int = 3,
        word_prompts: nn.Module | None = None,
        alignment: nn.Module | None = None,
        said: Sequence[Any] = (),
    ) -> None:
        super().__init__()
        if num_classes < 1 or images_per_sample < 1:
            raise ValueError(
                f"expected at least 1, got num_classes={num_classes} images_per_sample={images_per_sample}"
            )
        options = options or dmpt()
        self.loss = loss
        self.modalities = tuple(modalities)
        self.images_per_sample = images_per_sample
        self.meaning = [list(self.modalities), *said]
        self.backbone = Frozen(tower, DTYPES[options.frozen_dtype]) if options.frozen else tower
        self.sie = SideInformation(cameras, tower.dim, options.sie_weight) if options.sie_weight else None
        self.add_prompts(tower, options, word_prompts)
        self.alignment = alignment
        self.prefix_cache: PrefixCache | None = None  # of what the blocks before the first prompt compute
        heads, width = (1, images_per_sample) if options.classifier == "joint" else (images_per_sample, 1)
        self.necks = nn.ModuleList(BNNeck(width * tower.out_dim) for _ in range(heads))
        self.classifier = nn.ModuleList(identity_classifier(width * tower.out_dim, num_classes) for _ in range(heads))
        self.add_tuning(tower, len(self.modalities), images_per_sample)

    @property
    def tower(self) -> Tower:
        """The tower, frozen or not."""
        tower: Any = self.backbone.module if isinstance(self.backbone, Frozen) else self.backbone
        return tower

    @property
    def frozen_prefix(self) -> int:
        """How many blocks, from the first, compute what depends on the image alone, so that it can be kept."""
        return self.plan.first - 1 if isinstance(self.backbone, Frozen) and self.sie is None else 0

    def forward(self, inputs: Tensor | Mapping[str, Tensor], return_featuremaps: bool = False) -> Any:
        """See the class; the accepted inputs are those of :func:`~promptreid.models.present_images.slots_of`.

        Args:
            inputs: The samples.
            return_featuremaps: Return :meth:`feature_maps` instead, as torchreid's activation maps ask for.
        """
        if return_featuremaps:
            return self.feature_maps(inputs)
        if not self.training:
            return self.descriptor(inputs)
        outputs = self.outputs(inputs)
        if self.loss == "prompt":
            return outputs
        logits = only(outputs["logits"])
        return logits if self.loss == "softmax" else (logits, only(outputs["features"]))

    def outputs(self, inputs: Tensor | Mapping[str, Tensor]) -> PromptOutput:
        """Everything at once, in training or evaluation mode."""
        slots = slots_of(inputs, self.modalities, self.images_per_sample)
        training = self.alignment is not None and self.training
        features, bound, aligned = self.features(slots, training)
        heads = self._heads(slots.join(self.fused(features, slots)), slots)
        normalised = self._normalised(heads, slots)
        output = PromptOutput(
            logits=[fc(feature) for fc, feature in zip(self.classifier, normalised, strict=True)],
            features=heads,
            prompt_logits=[],
            prompts=[layer.detach() for layer in bound],
            modality=slots.labels,
            present=slots.present,
        )
        if self.alignment is not None and aligned is not None:
            of_images = (slots.modality,) if self.options.alignment_of == "identity" else ()
            output["alignment_logits"] = self.alignment(aligned, *of_images)
        return output

    def descriptor(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """What retrieval compares, (B, M D_out); a missing modality adds nothing to inner products."""
        slots = slots_of(inputs, self.modalities, self.images_per_sample)
        joined = slots.join(self.fused(self.features(slots).features, slots))
        if self.options.after_bn:
            joined = torch.cat(self._normalised(self._heads(joined, slots), slots), dim=1)
            joined = slots.join(slots.part(joined))  # zeros again where there is no image
        return F.normalize(at_least_float32(joined), dim=1)

    def feature_maps(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The patch tokens after the last block, at their places: (B, M D, rows, columns).

        The maps of a sample's images are side by side; zeros where one is missing.
        """
        slots = slots_of(inputs, self.modalities, self.images_per_sample)
        tokens = self.encode(*self._entered(slots), slots, whole=True).tokens
        return maps_of(tokens[:, self.tower.prefix :], self.tower.grid_of(size_of(slots.images)), slots)

    def features(self, slots: Slots, aligned: bool = False) -> Features:
        """Features f^s of the n images before the BNNecks, and their bind prompts.

        Args:
            slots: Of the images.
            aligned: Give what the sentences are compared with, too.
        """
        of_prompts = aligned and self.options.alignment_on == "modality_prompts"
        tokens, bound, words = self.encode(*self._entered(slots), slots, words=of_prompts)
        features = self.tower.read(tokens)
        if words is not None:
            return Features(features, bound, self.tower.read(words.mean(dim=1, keepdim=True)))
        return Features(features, bound, features if aligned else None)

    def _entered(self, slots: Slots) -> tuple[Tensor, int]:
        """Tokens (n, P + N, D), and how many blocks they have been through: none, unless the cache serves."""
        cache, blocks = self.prefix_cache, self.frozen_prefix
        served = cache is not None and blocks and (cache.in_training or not self.training)
        if cache is None or not served or slots.images.requires_grad or being_traced():
            side = None if self.sie is None else self.sie(slots.camera)
            return self.tower.embed(slots.images, side), 0
        tower: Any = self.tower
        compute = partial(run_prefix, tower, blocks=blocks)
        # The tower's own, without the digest beside it, which loading tuned weights writes to.
        return cache(slots.images, compute, tower.buffers()), blocks

    @property
    def prompt_families(self) -> tuple[str, ...]:
        """``semantic``, ``words`` and ``bind``, what of them it has."""
        return families_of(self)

    def inspect(self, inputs: Tensor | Mapping[str, Tensor], rows: str = "prompts") -> Inspection:
        """Attention, exchange and prompts; see :func:`promptreid.methods.dmpt.inspection.inspect`."""
        return inspect(self, inputs, rows)

    def without(self, families: Collection[str]) -> DMPT:
        """The same weights without some prompts; see :func:`promptreid.methods.dmpt.inspection.without`."""
        other: DMPT = without(self, families)
        return other

    def image_features(self, inputs: Tensor | Mapping[str, Tensor]) -> ImageFeatures:
        """The features f^m of the images; see :class:`~promptreid.models.inspection.Inspectable`."""
        return image_features(self, inputs)

    def _heads(self, joined: Tensor, slots: Slots) -> list[Tensor]:
        """Joined features (B, M D_out) as the heads take them."""
        return [joined] if len(self.necks) == 1 else list(joined.chunk(slots.present.shape[1], dim=1))

    def _normalised(self, heads: list[Tensor], slots: Slots) -> list[Tensor]:
        """Each head's feature after its BNNeck; rows without an image count in no slot's statistics."""
        if len(heads) == 1 or slots.complete:
            return [neck(feature) for neck, feature in zip(self.necks, heads, strict=True)]
        norm = _norm_masked if slots.real is not None or being_traced() else _norm_present
        flags = slots.present.unbind(1)
        return [norm(*each) for each in zip(self.necks, heads, flags, strict=True)]

    def _replicate_for_data_parallel(self) -> DMPT:
        # DataParallel's replicas run in threads on copies of the weights, and would share one cache.
        replica: DMPT = super()._replicate_for_data_parallel()
        replica.prefix_cache = None
        return replica

    def modality_slices(self, count: int) -> list[slice] | None:
        """Where each of ``count`` slots stands in a descriptor, up to its scale.

        Returns:
            None where modalities exchange: a part then also tells of the others. So it does where weights of a fusion,
            which are those of a subset up to their scale, come before a norm that is not.
        """
        weighted = self.fusion is not None and self.options.after_bn
        if count > 1 and (self.bind is not None or self.exchange is not None or weighted):
            return None
        width = self.tower.out_dim
        return [slice(slot * width, (slot + 1) * width) for slot in range(count)]

    def check_unchanged(self) -> bool:
        """Whether the frozen weights are those the model was built with; True if nothing is frozen."""
        return all(part.check_unchanged() for part in self.modules() if isinstance(part, Frozen))


def _norm_masked(neck: nn.Module, features: Tensor, present: Tensor) -> Tensor:
    """The same at fixed shapes."""
    normalised: Tensor = neck(features, present)
    return normalised.masked_fill(~present[:, None], 0.0)


def _norm_present(neck: nn.Module, features: Tensor, present: Tensor) -> Tensor:
    """A slot's BNNeck on the rows (B, D) that have an image; zeros elsewhere."""
    if not neck.training or bool(present.all()):
        return neck(features).masked_fill(~present[:, None], 0.0)
    rows = present.nonzero().flatten()
    if len(rows) < 2:
        return _norm_masked(neck, features, present)
    normalised: Tensor = neck(features.index_select(0, rows))
    return normalised.new_zeros(features.shape).index_copy(0, rows, normalised)
