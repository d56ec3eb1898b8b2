"""Registry of all losses by name: the shared ones, and those that methods and plugins register."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from promptreid.losses.alignment import ModalityTextLoss
from promptreid.losses.iael import InstanceAwareEnhancementLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.identity_triplet import IdentityTripletLoss
from promptreid.losses.msel import ModalitySharedEnhancementLoss
from promptreid.losses.triplet import BatchHardTripletLoss

LOSSES: dict[str, type[nn.Module]] = {
    "iael": InstanceAwareEnhancementLoss,
    "identity": IdentityLoss,
    "identity_triplet": IdentityTripletLoss,
    "modality_text": ModalityTextLoss,
    "msel": ModalitySharedEnhancementLoss,
    "triplet": BatchHardTripletLoss,
}
"""Losses that go to ``torchreid.losses``."""

TRAINABLE: dict[str, Callable[..., nn.Module]] = {}
"""Losses of plugins that ``loss.name`` may ask for: called with the keys of their node, they give a module that takes a
model's whole output and the identities."""
