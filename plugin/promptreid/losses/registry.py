"""All losses of this package, by name."""

from __future__ import annotations

from torch import nn

from promptreid.losses.alignment import ModalityTextLoss
from promptreid.losses.dmpt import DMPTLoss
from promptreid.losses.iael import InstanceAwareEnhancementLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.mip import MIPLoss
from promptreid.losses.msel import ModalitySharedEnhancementLoss
from promptreid.losses.triplet import BatchHardTripletLoss

LOSSES: dict[str, type[nn.Module]] = {
    "dmpt": DMPTLoss,
    "iael": InstanceAwareEnhancementLoss,
    "identity": IdentityLoss,
    "mip": MIPLoss,
    "modality_text": ModalityTextLoss,
    "msel": ModalitySharedEnhancementLoss,
    "triplet": BatchHardTripletLoss,
}
