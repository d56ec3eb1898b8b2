"""MIP: modality-aware and instance-aware visual prompt learning for visible-infrared re-identification."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from promptreid.methods.mip.inspection import families_of, image_features, inspect, without
from promptreid.methods.mip.options import MIPOptions, mip_paper, mip_release
from promptreid.methods.mip.parts import (
    adapters_of,
    check_tower,
    feature_head_of,
    generator_of,
    instance_depth_of,
    prompt_depth_of,
    side_information_of,
    tells_modalities_apart,
    trunk_depth_of,
)
from promptreid.methods.mip.prompts import ModalityPrompts
from promptreid.methods.mip.variants import ModalityBNNeck
from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.backbones.partial_block import (
    BlockFunction,
    Context,
    context_block,
    plain_context_block,
    recomputed,
)
from promptreid.models.backbones.position_embedding import Grid
from promptreid.models.backbones.vit import Backbone
from promptreid.models.backbones.vit_by_name import create_body
from promptreid.models.frozen import Frozen
from promptreid.models.heads import (
    BNNeck,
    GlobalHead,
    JigsawHead,
    PooledHead,
    PromptHead,
    check_jigsaw,
    identity_classifier,
)
from promptreid.models.inspection import ImageFeatures, Inspection
from promptreid.models.outputs import PromptOutput, only
from promptreid.models.precision import at_least_float32, outside_inference_mode
from promptreid.models.present_images import Slots, maps_of, size_of, slots_of
from promptreid.models.records import KnowsModalities
from promptreid.models.sie import SideInformation

__all__ = ["MIP", "MIPOptions", "build_mip", "mip_paper", "mip_release"]

BACKBONE = "vit_base_patch16_224.orig_in21k_ft_in1k"  # the file jx_vit_base_p16_224-80ecf9dd of MIP and TransReID
MODALITIES = ("visible", "infrared")


class MIP(KnowsModalities, nn.Module):
    """A ViT with prompts before its blocks and TransReID's heads behind them; frozen in part, if the options say so.

    In training it returns, by ``loss``: ``"softmax"`` logits; ``"prompt"`` a :class:`PromptOutput`; anything else
    ``(logits, features)``. Both are lists, global head first, or tensors where there is one head. In evaluation it
    returns descriptors (B, D'): the global feature and the local ones divided by their number, side by side, not
    normalised, in float32 (float64 if the model is).

    Samples of M > 1 images, such as RGB + NIR + TIR triples, run image by image, each with the prompts of its modality.
    Their features are joined before the BNNecks, (B, M D) for each head, and so are descriptors, (B, M D'), slot by
    slot; an image that is missing has zeros there, and nothing is computed for it. (The paper has M = 1.)

    Args:
        vit: From :func:`~promptreid.models.backbones.vit.create_vit`, with its pretrained weights already loaded:
            the head blocks are copies of its last block. The generator's block is newly initialised.
        num_classes: C, identities in training.
        loss: See above.
        options: Which MIP.
        cameras: Rows of the camera embedding.
        modalities: Names of the modalities; a modality's id is its index.
        stride: Of the patch embedding, in pixels.
        image_size: Height and width in training; see :class:`~promptreid.models.backbones.vit.Backbone`.
        images_per_sample: M.
        reference: Compute every block in full, with timm's own attention; slower, for comparison.

    Raises:
        ValueError: An argument out of range, or options that do not go with the ViT or with M > 1.

    References:
        Wu et al., Enhancing Visible-Infrared Person Re-identification with Modality- and Instance-aware Visual Prompt
        Learning, ICMR 2024.
    """

    #: Prefixes of what a descriptor does not use; of these, evaluation takes a checkpoint with others, or none.
    training_only = ("classifier.", "prompt_head.")

    def __init__(
        self,
        vit: Any,
        num_classes: int,
        loss: str = "softmax",
        options: MIPOptions | None = None,
        cameras: int = 6,
        modalities: Sequence[str] = MODALITIES,
        stride: int = 12,
        image_size: Grid | None = None,
        images_per_sample: int = 1,
        reference: bool = False,
    ) -> None:
        super().__init__()
        if num_classes < 1 or images_per_sample < 1:
            raise ValueError(f"num_classes {num_classes} and images_per_sample {images_per_sample} must be at least 1")
        self.options = options = options or mip_paper()
        if options.modality_bn and images_per_sample > 1:
            raise ValueError("modality_bn: joined features have places for each modality already; set it to False")
        self.loss = loss
        self.modalities = tuple(modalities)
        self.images_per_sample = images_per_sample
        if images_per_sample > 1 or tells_modalities_apart(options):
            self.meaning = [list(self.modalities)]
        check_tower(vit, options, reference)
        self.apply_block: BlockFunction = plain_context_block if reference else context_block
        self.checkpoint_blocks = False  # recompute the blocks in the backward pass
        # Frozen positions stay on their own grid, so that a digest does not depend on the image size.
        settled = None if options.frozen else image_size
        self.backbone: Any = Backbone(vit, trunk_depth_of(len(vit.blocks), options), stride, settled)
        count, dim = len(self.modalities), vit.embed_dim
        self.sie = side_information_of(options, cameras, count, dim)
        self.modality_embedding = (
            SideInformation(count, dim, options.sie_weight) if options.modality_embedding else None
        )
        self._add_prompts(vit, num_classes)
        if image_size is not None and options.jpm:
            rows, columns = self.trunk.grid_of(image_size)
            check_jigsaw(rows * columns, options.jpm_shift, options.jpm_groups, options.jpm_divide)
        self._add_heads(vit, num_classes)
        if options.frozen:
            self.backbone = Frozen(self.backbone)

    def _add_prompts(self, vit: Any, num_classes: int) -> None:
        """Add the prompts of both kinds, the head that IAEL classifies them with, and their adapters."""
        options, dim, length = self.options, vit.embed_dim, self.options.prompt_length
        depth = self.prompt_depth = prompt_depth_of(len(self.trunk.blocks), options)
        self.instance_depth = instance_depth_of(depth, options)
        self.modality_prompts = self.instance_prompts = self.prompt_head = None
        if options.modality_prompts:
            patch = vit.patch_embed.proj.kernel_size
            scale, dropout = options.prompt_scale, options.prompt_dropout
            sets = 1 if options.naive_prompts else len(self.modalities)
            self.modality_prompts = ModalityPrompts(depth, sets, length, dim, patch, scale, dropout)
        last, apply = vit.blocks[-1], self.apply_block
        if options.instance_prompts:
            self.instance_prompts = generator_of(options, last, dim, apply)
        if options.iael:
            layers, pooling, bias = self.instance_depth, options.iael_pooling, options.iael_bias
            self.prompt_head = PromptHead(layers, length, num_classes, pooling, last, vit.norm, dim, apply, bias)
        prompted = depth if options.modality_prompts else self.instance_depth
        self.prompt_adapters = adapters_of(prompted, dim) if options.prompt_adapters else None

    def _add_heads(self, vit: Any, num_classes: int) -> None:
        """Add what makes features of the tokens, and a BNNeck and a classifier for each feature."""
        options, dim, width = self.options, vit.embed_dim, self.images_per_sample * vit.embed_dim
        head = feature_head_of(options, vit, self.apply_block)
        self.head: Any = Frozen(head) if options.frozen_heads else head
        neck = partial(ModalityBNNeck, dim, len(self.modalities)) if options.modality_bn else partial(BNNeck, width)
        self.necks = nn.ModuleList(neck() for _ in range(head.count))
        self.classifier = nn.ModuleList(identity_classifier(width, num_classes) for _ in range(head.count))

    @property
    def trunk(self) -> Backbone:
        """The embedding and the blocks before the heads', frozen or not."""
        trunk: Any = self.backbone.module if isinstance(self.backbone, Frozen) else self.backbone
        return cast(Backbone, trunk)

    @property
    def feature_head(self) -> GlobalHead | JigsawHead | PooledHead:
        """What makes features of the tokens, frozen or not."""
        head: Any = self.head.module if isinstance(self.head, Frozen) else self.head
        return cast(GlobalHead | JigsawHead | PooledHead, head)

    def check_unchanged(self) -> bool:
        """Whether the frozen weights are those the model was built with; True if nothing is frozen."""
        return all(part.check_unchanged() for part in self.modules() if isinstance(part, Frozen))

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
        if self.loss == "prompt":
            return self.outputs(inputs)
        slots = slots_of(inputs, self.modalities, self.images_per_sample)
        features = self._joined(slots)[0]
        logits = self.classify(features, slots.modality)
        return only(logits) if self.loss == "softmax" else (only(logits), only(features))

    def outputs(self, inputs: Tensor | Mapping[str, Tensor]) -> PromptOutput:
        """Everything at once, in training or evaluation mode."""
        slots = slots_of(inputs, self.modalities, self.images_per_sample)
        features, prompts = self._joined(slots)
        return PromptOutput(
            logits=self.classify(features, slots.modality),
            features=features,
            prompt_logits=[] if self.prompt_head is None else self.prompt_head(prompts, slots.real),
            prompts=[layer.expanded().detach() for layer in prompts],
            modality=slots.labels,
            present=slots.present,
        )

    def descriptor(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """What retrieval compares: (B, 5 M D) with four local heads, the 5 D of the first image first."""
        slots = slots_of(inputs, self.modalities, self.images_per_sample)
        features, _ = self.features(slots.images, slots.modality, slots.camera)
        if self.options.after_bn:
            features = self._after_bn(features, slots)
        parts = len(features) - 1
        return at_least_float32(slots.join(torch.cat([features[0], *(local / parts for local in features[1:])], dim=1)))

    def feature_maps(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The patch tokens after the global head's block, at their places: (B, M D, rows, columns).

        The maps of a sample's images are side by side; zeros where one is missing.
        """
        slots = slots_of(inputs, self.modalities, self.images_per_sample)
        tokens, _ = self._trunk(slots.images, slots.modality, slots.camera)
        size, trunk = size_of(slots.images), self.trunk
        form = BlockForm(trunk.turns(size, tokens.device))
        tokens = self.apply_block(self.feature_head.b1.block, tokens, [], 1, form)
        return maps_of(tokens[:, trunk.prefix :], trunk.grid_of(size), slots)

    def modality_slices(self, count: int) -> list[slice]:
        """Where in a descriptor of ``count`` images each image's part is; parts do not depend on one another."""
        width = self.feature_head.count * self.trunk.dim
        return [slice(slot * width, (slot + 1) * width) for slot in range(count)]

    def _joined(self, slots: Slots) -> tuple[list[Tensor], list[Context]]:
        """Each head's feature of the samples, (B, M D), and the instance prompts of the images."""
        features, prompts = self.features(slots.images, slots.modality, slots.camera)
        return [slots.join(feature) for feature in features], prompts

    def _after_bn(self, features: Sequence[Tensor], slots: Slots) -> list[Tensor]:
        """Each head's feature of the images after its BNNeck, (n, D)."""
        joined = self._normalised([slots.join(feature) for feature in features], slots.modality)
        return [slots.part(feature) for feature in joined]

    def features(self, images: Tensor, modality: Tensor, camera: Tensor) -> tuple[list[Tensor], list[Context]]:
        """Features (B, D) before the BNNecks, global first, and the instance prompts of each prompted layer.

        Args:
            images: Shape (B, 3, H, W).
            modality: Shape (B,).
            camera: Shape (B,).
        """
        tokens, generated = self._trunk(images, modality, camera)
        return self.head(tokens, self.trunk.prefix, self.trunk.turns(size_of(images), tokens.device)), generated

    @property
    def prompt_families(self) -> tuple[str, ...]:
        """``modality`` and ``instance``, what of them it has."""
        return families_of(self)

    def inspect(self, inputs: Tensor | Mapping[str, Tensor], rows: str = "prompts") -> Inspection:
        """Attention and prompts; see :func:`promptreid.methods.mip.inspection.inspect`."""
        return inspect(self, inputs, rows)

    def without(self, families: Collection[str]) -> MIP:
        """The same weights without some prompts; see :class:`~promptreid.models.inspection.Inspectable`."""
        other: MIP = without(self, families)
        return other

    def image_features(self, inputs: Tensor | Mapping[str, Tensor]) -> ImageFeatures:
        """The images' parts of the descriptor; see :class:`~promptreid.models.inspection.Inspectable`."""
        return image_features(self, inputs)

    def _trunk(
        self, images: Tensor, modality: Tensor, camera: Tensor, apply: BlockFunction | None = None
    ) -> tuple[Tensor, list[Context]]:
        """All tokens before the heads, (B, P + N, D), and the instance prompts; ``apply`` may watch the blocks."""
        trunk = self.trunk
        tokens = trunk.embed(images, self._side(modality, camera))
        turns = trunk.turns(size_of(images), tokens.device)
        places = None if turns is None else turns[trunk.prefix :]
        chosen = self._chosen(modality)
        generated: list[Context] = []
        run = recomputed(apply or self.apply_block, self.checkpoint_blocks)
        for layer, block in enumerate(trunk.blocks):
            context = chosen[layer : layer + 1]
            if self.instance_prompts is not None and layer < self.instance_depth:
                generated.append(self._adapted(layer, self.instance_prompts(tokens[:, trunk.prefix :], places)))
                context = [*context, generated[-1]]
            tokens = run(block, tokens, context, 1, BlockForm(turns))
        return tokens, generated

    def classify(self, features: Sequence[Tensor], modality: Tensor) -> list[Tensor]:
        """Logits (B, C) of each joined feature (B, M D); modality (B M,)."""
        return [fc(f) for fc, f in zip(self.classifier, self._normalised(features, modality), strict=True)]

    def _normalised(self, features: Sequence[Tensor], modality: Tensor) -> list[Tensor]:
        """Each feature after its BNNeck."""
        arguments = (modality,) if self.options.modality_bn else ()
        return [neck(feature, *arguments) for neck, feature in zip(self.necks, features, strict=True)]

    def _side(self, modality: Tensor, camera: Tensor) -> Tensor | None:
        """What is added to all tokens, (B, 1, D)."""
        side = None
        if self.sie is not None:
            side = self.sie(camera if self.options.sie == "camera" else modality)
        if self.modality_embedding is not None:
            embedding = self.modality_embedding(modality)
            side = embedding if side is None else side + embedding
        return side

    def _chosen(self, modality: Tensor) -> list[Context]:
        """The modality prompts of each prompted layer; none where there is no library."""
        if self.modality_prompts is None:
            return []
        prompts = self.modality_prompts(torch.zeros_like(modality) if self.options.naive_prompts else modality)
        return [self._adapted(layer, Context(tokens)) for layer, tokens in enumerate(prompts)]

    def _adapted(self, layer: int, prompts: Context) -> Context:
        return prompts if self.prompt_adapters is None else self.prompt_adapters[layer](prompts)


@outside_inference_mode
def build_mip(
    num_classes: int,
    loss: str = "softmax",
    pretrained: bool = True,
    use_gpu: bool = True,
    *,
    backbone: str = BACKBONE,
    options: MIPOptions | None = None,
    cameras: int = 6,
    modalities: Sequence[str] = MODALITIES,
    stride: int = 12,
    drop_path: float = 0.1,
    image_size: Grid | None = None,
    images_per_sample: int = 1,
    weights: str | None = None,
    strict_pretrained: bool = False,
    allow_download: bool = False,
    reference: bool = False,
    vit: Mapping[str, Any] | None = None,
) -> MIP:
    """Build a :class:`MIP`; the first four arguments are those torchreid builds models with.

    Args:
        num_classes: Identities in training.
        loss: What training returns; see :class:`MIP`.
        pretrained: Start from pretrained backbone weights: ``weights``, else timm's cache. Where neither is there, one
            warning says so and the backbone stays randomly initialised.
        use_gpu: Has no effect; torchreid moves the model itself.
        backbone: A timm ViT, whose tag, behind the dot, chooses the pretrained weights; or ``mini_vit``, see
            :func:`~promptreid.models.backbones.vit_by_name.create_body`.
        options: Which MIP; :func:`mip_paper` by default.
        cameras: Rows of the camera embedding.
        modalities: Names of the modalities; a modality's id is its index.
        stride: Of the patch embedding, in pixels.
        drop_path: Rate of the last block, growing linearly from 0.
        image_size: Height and width in training, where known; see :class:`~promptreid.models.backbones.vit.Backbone`.
        images_per_sample: M; see :class:`MIP`.
        weights: A file with backbone weights, or ``mini_vit``.
        strict_pretrained: Missing pretrained weights are an error instead of a warning.
        allow_download: Let timm download the weights if they are not in its cache.
        reference: Compute every block in full; see :class:`MIP`.
        vit: Further arguments of timm's ViT, such as ``depth`` or ``embed_dim``, for backbones of other sizes.

    Raises:
        ValueError: An argument out of range, or weights that do not fit or, if strict, are not there.
        FileNotFoundError: ``weights`` names no file.
    """
    body = create_body(
        backbone,
        drop_path,
        pretrained,
        weights=weights,
        strict=strict_pretrained,
        allow_download=allow_download,
        vit=vit,
    )
    return MIP(body, num_classes, loss, options, cameras, modalities, stride, image_size, images_per_sample, reference)
