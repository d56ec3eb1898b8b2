"""A method of your own: low-rank adaptation (LoRA, Hu et al., ICLR 2022) of the attention of a frozen ViT.

    python tools/train_net.py --config-file examples/own.yaml plugins '[examples/own_method.py]' \
        model.name low_rank_vit_tiny low_rank.rank 8
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from promptreid import Key, Method, Range, register_method
from promptreid.models.backbones.vit_by_name import VIT_TINY, create_body
from promptreid.models.frozen import Frozen
from promptreid.models.heads import BNNeck, identity_classifier
from promptreid.models.outputs import PromptOutput
from promptreid.models.present_images import slots_of


class LowRankViT(nn.Module):
    prompt_family = "low_rank"  # TensorBoard shows the norm of the gradients of this name

    def __init__(self, vit: Any, num_classes: int, loss: str, rank: int, modalities: int, slots: int) -> None:
        super().__init__()
        dim, self.loss, self.modalities, self.slots = vit.embed_dim, loss, modalities, slots
        self.down = nn.ModuleList(nn.Linear(dim, rank, bias=False) for _ in vit.blocks)
        self.up = nn.ModuleList(nn.Linear(rank, 3 * dim, bias=False) for _ in vit.blocks)
        for block, down, up in zip(vit.blocks, self.down, self.up, strict=True):
            nn.init.zeros_(up.weight)
            block.attn.qkv.register_forward_hook(lambda _, x, out, down=down, up=up: out + up(down(x[0])))
        self.tower = Frozen(vit)  # buffers: no optimiser, engine or checkpoint sees them
        self.neck, self.classifier = BNNeck(slots * dim), identity_classifier(slots * dim, num_classes)

    def forward(self, inputs: Any) -> Any:
        images = slots_of(inputs, self.modalities, self.slots)
        features: Tensor = images.join(self.tower(images.images))
        if not self.training:
            return features.float()
        logits = self.classifier(self.neck(features))
        if self.loss == "prompt":
            return PromptOutput(logits=[logits], features=[features])
        return logits if self.loss == "softmax" else (logits, features)


def build(num_classes, loss="softmax", pretrained=True, use_gpu=True, *, rank=4, modalities=("visible",),
          images_per_sample=1, strict_pretrained=False, image_size=(256, 128)) -> LowRankViT:  # fmt: skip
    vit = create_body(VIT_TINY, 0.0, pretrained, strict=strict_pretrained, vit={"img_size": image_size})
    return LowRankViT(vit, num_classes, loss, rank, len(modalities), images_per_sample)


class LowRank(Method):
    name, title, models, model_types = "low_rank", "Low-rank adaptation", {"low_rank_vit_tiny": build}, (LowRankViT,)
    keys = (Key("rank", 4, "of the update of each attention's projections", range=Range(1)),)

    def checkpoint_is_whole(self, cfg: Any) -> bool:
        return False  # the frozen tower is in none


register_method(LowRank())
