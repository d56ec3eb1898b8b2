"""Multi-modal models made of torchreid's own backbones."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from promptreid import host
from promptreid.methods.baselines.multi_stream import MultiStream
from promptreid.models.precision import outside_inference_mode
from promptreid.models.weights import load_matching, read_state_dict

logger = logging.getLogger(__name__)


@outside_inference_mode
def build_three(
    num_classes: int,
    loss: str = "softmax",
    pretrained: bool = True,
    use_gpu: bool = True,
    *,
    backbone: str,
    image_size: tuple[int, int] | None = None,
    strict_pretrained: bool = False,
) -> MultiStream:
    """Three of torchreid's backbones side by side, for RGB + NIR + TIR triples.

    With ``pretrained`` each starts from torchreid's ImageNet weights where its cache has them
    (:func:`imagenet_weights`). Unlike torchreid's own models, these never download anything.

    Args:
        num_classes, loss, pretrained, use_gpu: As torchreid calls builders.
        backbone: torchreid's name of the streams.
        image_size: The only (height, width) that the backbone takes; None when it takes any.
        strict_pretrained: Raise where there are no weights, instead of a warning.

    Raises:
        FileNotFoundError: There are no weights, if ``strict_pretrained``.
        ValueError: The weights do not fit, or ``loss`` is neither ``"softmax"`` nor ``"triplet"``.
    """
    built = [_headless(backbone, use_gpu and torch.cuda.is_available()) for _ in range(3)]
    streams = [stream for stream, _ in built]
    if pretrained:
        _load_imagenet(streams, backbone, strict_pretrained)
    return MultiStream(streams, built[0][1], num_classes, loss, image_size)


#: name -> build(num_classes, loss="softmax", pretrained=True, use_gpu=True); the rows "x 3" of the field's tables.
#: torchreid's HACNN is written for images of 160 x 64 pixels.
HOST_MODELS: dict[str, Callable[..., nn.Module]] = {
    "three_osnet_x1_0": partial(build_three, backbone="osnet_x1_0"),
    "three_osnet_x0_25": partial(build_three, backbone="osnet_x0_25"),
    "three_mlfn": partial(build_three, backbone="mlfn"),
    "three_hacnn": partial(build_three, backbone="hacnn", image_size=(160, 64)),
}


def imagenet_weights(backbone: str) -> Path:
    """Where torchreid keeps the ImageNet weights of a backbone: ``osnet_x1_0_imagenet.pth`` in its cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "checkpoints" / f"{backbone}_imagenet.pth"


def _headless(backbone: str, use_gpu: bool) -> tuple[nn.Module, int]:
    """A backbone that returns its features also in training, and their width."""
    stream = host.models.build_model(backbone, num_classes=1, loss="softmax", pretrained=False, use_gpu=use_gpu)
    heads = {name: child for name, child in stream.named_children() if name.startswith("classifier")}
    for name in heads:
        setattr(stream, name, nn.Identity())
    return stream, sum(head.in_features for head in heads.values())


def _load_imagenet(streams: list[nn.Module], backbone: str, strict: bool) -> None:
    path = imagenet_weights(backbone)
    if not path.is_file():
        message = (
            f"no ImageNet weights for {backbone}: there is no {path}; put the file of torchreid's model zoo there, "
            "or set model.pretrained False"
        )
        if strict:
            raise FileNotFoundError(message)
        logger.warning("%s. The streams are randomly initialised", message)
        return
    state = {name: value for name, value in read_state_dict(path).items() if not name.startswith("classifier")}
    for stream in streams:
        load_matching(stream, state, path, strict=False)
    logger.info("%s: ImageNet weights from %s", backbone, path)
