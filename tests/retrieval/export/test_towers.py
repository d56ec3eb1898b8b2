"""Models on towers with rotary positions and registers, and on a frozen one, as exported files and as embedders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dmpt_models import BESIDE, awake
from small_towers import small_sizes
from torch import nn

import promptreid
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.options import DMPTOptions
from promptreid.methods.mip.model import build_mip, mip_paper
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.export import export as exporting
from promptreid.retrieval.export.agreement import drawn_batch
from promptreid.retrieval.export.export import export_model
from promptreid.retrieval.torch_backend import TorchBackend

pytestmark = pytest.mark.slow

DINO3, SIGLIP = "vit_small_patch16_dinov3", "vit_base_patch16_siglip_224"
BANDS = ("visible", "near_infrared", "thermal_infrared")


def frozen_mip() -> nn.Module:
    options = mip_paper(prompt_length=2, jpm_divide=2, frozen=True)
    sizes = small_sizes(DINO3)
    return build_mip(5, pretrained=False, backbone=DINO3, options=options, stride=16, cameras=3, vit=sizes)


def dmpt(backbone: str, **changes: Any) -> nn.Module:
    options = DMPTOptions(alignment=False, word_source="learned", semantic_length=2, **changes)
    return build_dmpt(5, pretrained=False, backbone=backbone, options=options, tower=small_sizes(backbone))


FROZEN = "frozen MIP on DINOv3"
MODELS = {
    FROZEN: (frozen_mip, ("visible", "infrared"), 1, 3),
    "DMPT on DINOv3": (lambda: dmpt(DINO3), BANDS, 3, 0),
    "DMPT on DINOv3 and all beside it": (lambda: awake(dmpt(DINO3, **BESIDE)), BANDS, 3, 0),
    "DMPT on SigLIP 2": (lambda: dmpt(SIGLIP), BANDS, 3, 0),
}


@pytest.mark.parametrize(("name", "kind"), [*((name, "torchscript") for name in MODELS), (FROZEN, "onnx")])
def test_a_file_gives_the_models_vectors(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, bands, slots, cameras = MODELS[name]
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        width = model(torch.zeros(1, slots, 3, 64, 32)).shape[1]
    description: Any = ModelDescription(
        name, "0" * 64, bands, slots, 64, 32, (0.5,) * 3, (0.25,) * 3, width, None, cameras=cameras
    )
    monkeypatch.setattr(exporting, "load_model", lambda *_: (model, description))
    export_model("run", tmp_path / f"m.{kind}", kind)
    batch = drawn_batch(description, 3, seed=3)
    expected = TorchBackend(model, "cpu")(batch)
    assert expected.std() > 0
    torch.testing.assert_close(promptreid.load(tmp_path / f"m.{kind}").backend(batch), expected, atol=3e-6, rtol=1e-5)
