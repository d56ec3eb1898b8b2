from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from torch import Tensor


@pytest.fixture
def golden() -> tuple[Tensor, Tensor, Tensor]:
    """Features, identities and modality on which the released MIP code was run: 2 identities, 4 images per modality.

    All infrared first, by identity, then all visible; visible is modality 0 and infrared 1.
    """
    rng = np.random.default_rng(zlib.crc32(b"open:features"))
    features = torch.from_numpy(rng.standard_normal((16, 32))).requires_grad_()
    pids = torch.tensor([0, 1]).repeat_interleave(4).repeat(2)
    return features, pids, torch.tensor([1, 0]).repeat_interleave(8)
