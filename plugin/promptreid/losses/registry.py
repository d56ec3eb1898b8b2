"""All losses of this package, by name."""

from __future__ import annotations

from torch import nn

from promptreid.losses.alignment import ModalityTextLoss
from promptreid.losses.iael import InstanceAwareEnhancementLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.msel import ModalitySharedEnhancementLoss
from promptreid.losses.triplet import BatchHardTripletLoss
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.mip.loss import MIPLoss

LOSSES: dict[str, type[nn.Module]] = {
    "dmpt": DMPTLoss,
    "iael": InstanceAwareEnhancementLoss,
    "identity": IdentityLoss,
    "mip": MIPLoss,
    "modality_text": ModalityTextLoss,
    "msel": ModalitySharedEnhancementLoss,
    "triplet": BatchHardTripletLoss,
}
