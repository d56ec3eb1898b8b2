"""torchreid's own data manager over a rendered SYSU-MM01."""

from __future__ import annotations

from pathlib import Path

import torchreid


def manager(root: Path) -> torchreid.data.ImageDataManager:
    return torchreid.data.ImageDataManager(
        root=str(root),
        sources="sysu_mm01",
        height=64,
        width=32,
        batch_size_train=16,
        batch_size_test=64,
        workers=0,
        num_instances=8,
        train_sampler="RandomIdentitySampler",
        use_gpu=False,
    )
