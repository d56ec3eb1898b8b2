"""Exported files compute what the model does, say what they are, and are refused when they are anything else."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from command_line import promptreid as command
from dmpt_models import BESIDE, TOWER, awake, exchange, tiny_dmpt
from PIL import Image
from torch import nn

import promptreid
from promptreid.methods.mip.model import build_mip, mip_paper
from promptreid.models.records import KnowsModalities
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.export import export as exporting
from promptreid.retrieval.export import onnx_file, openvino_file
from promptreid.retrieval.export.about import About
from promptreid.retrieval.export.agreement import Agreement, drawn_batch
from promptreid.retrieval.export.export import export_model
from promptreid.retrieval.torch_backend import TorchBackend

pytestmark = pytest.mark.slow

PATTERNS = [list(flags) for flags in itertools.product([True, False], repeat=3) if any(flags)]
PEOPLE = 911  # so that a classifier in a file would be seen
CLIP = {**TOWER, "vision_cfg": {**TOWER["vision_cfg"], "layers": 2}}


def mip() -> nn.Module:
    torch.manual_seed(0)
    vit = {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
    options = mip_paper(prompt_length=2, prompt_dropout=0.0, jpm_divide=2)
    return build_mip(PEOPLE, pretrained=False, options=options, stride=8, drop_path=0.0, cameras=3, vit=vit).eval()


def dmpt() -> nn.Module:
    return exchange(tiny_dmpt("softmax", tower=CLIP, semantic_length=2)).eval()


def beside() -> nn.Module:
    return awake(tiny_dmpt("softmax", tower=CLIP, semantic_length=2, **BESIDE)).eval()


def described(model: nn.Module, size: tuple[int, int], bands: tuple[str, ...], slots: int, cameras: int) -> Any:
    with torch.no_grad():
        width = model(torch.zeros(1, slots, 3, *size)).shape[1]
    return ModelDescription(
        "tiny <&\"'> ü", "0" * 64, bands, slots, *size, (0.5,) * 3, (0.25,) * 3, width, None, cameras=cameras,
        config='{"a": "line\\n <b>"}',
    )  # fmt: skip


MODELS = {
    "mip": lambda: (mip(), (64, 32), ("visible", "infrared"), 1, 3),
    "dmpt": lambda: (dmpt(), (32, 64), ("visible", "near_infrared", "thermal_infrared"), 3, 0),
    "dmpt and all beside it": lambda: (beside(), (32, 64), ("visible", "near_infrared", "thermal_infrared"), 3, 0),
}
FILES = {"onnx": "m.onnx", "openvino": "m.xml", "torchscript": "m.torchscript"}


@pytest.fixture(scope="module", params=list(MODELS))
def trained(request: pytest.FixtureRequest) -> Any:
    """A model, and what it is."""
    model, *facts = MODELS[request.param]()
    return model, described(model, *facts)


@pytest.fixture(scope="module")
def folder(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each kind."""
    place = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "load_model", lambda *_: trained)
        export_model("run", place / "m.torchscript", "torchscript")
        export_model("run", place / "m.onnx", "onnx")
        # Tracing takes seconds, and OpenVINO reads the same program.
        patch.setattr(openvino_file, "to_plain_onnx", lambda *given: shutil.copy(place / "m.onnx", given[2]))
        export_model("run", place / "m.xml", "openvino")
    return place


@pytest.mark.parametrize("kind", FILES)
def test_a_file_gives_the_models_vectors(trained: Any, folder: Path, kind: str) -> None:
    model, description = trained
    reid = promptreid.load(folder / FILES[kind])
    assert reid.model == description
    for size in (1, 2, 15):
        batch = drawn_batch(description, size, seed=3)
        if description.images_per_sample == 3:
            batch["present"] = torch.tensor((PATTERNS * 5)[size - 1 : 2 * size - 1])
            batch["images"] *= batch["present"][..., None, None, None]
        expected = TorchBackend(model, "cpu")(batch)
        torch.testing.assert_close(reid.backend(batch), expected, atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_holds_nothing_of_training(folder: Path, kind: str) -> None:
    """A classifier of 911 people would weigh more than everything else."""
    content = (folder / FILES[kind]).read_bytes()
    assert b"classifier" not in content and b"prompt_head" not in content
    size = sum((folder / name).stat().st_size for name in (FILES[kind], "m.bin")[: 2 if kind == "openvino" else 1])
    assert size < 1e6


def test_pictures_are_embedded_from_a_file(trained: Any, folder: Path) -> None:
    model, description = trained
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)) for _ in range(3)]
    from promptreid.retrieval.embedder import Embedder

    ours, theirs = Embedder(description, TorchBackend(model, "cpu")), promptreid.load(folder / "m.onnx", batch_size=2)
    pair = [reid.embed(pictures, band=description.modalities[1]) for reid in (ours, theirs)]
    np.testing.assert_allclose(pair[1].vectors, pair[0].vectors, atol=3e-6)
    assert ours.compare(*pair).shape == (3, 3)
    half = promptreid.load(folder / "m.xml", dtype="bfloat16").embed(pictures, band=description.modalities[1])
    assert float((half.vectors * pair[0].vectors).sum(1).min()) > 0.98


@pytest.mark.parametrize("kind", FILES)
def test_other_and_broken_files_are_refused(folder: Path, kind: str, tmp_path: Path) -> None:
    name = FILES[kind]
    if kind == "openvino":
        shutil.copy(folder / "m.bin", tmp_path)
    content = (folder / name).read_bytes()
    for broken in (
        content[: len(content) // 2],
        b"",
        b"no model at all",
        content.replace(b"promptreid.", b"promptread."),
    ):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(ValueError, match=str(tmp_path / name)):
            promptreid.load(tmp_path / name)


def test_weights_of_another_openvino_export_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "m.xml", tmp_path)
    with pytest.raises(ValueError, match=r"m\.bin .*not beside it"):
        promptreid.load(tmp_path / "m.xml")
    weights = bytearray((folder / "m.bin").read_bytes())
    weights[len(weights) // 2] ^= 64
    (tmp_path / "m.bin").write_bytes(weights)
    with pytest.raises(ValueError, match=r"not what m\.xml was written with"):
        promptreid.load(tmp_path / "m.xml")


def test_a_file_that_computes_something_else_is_not_left(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, description = trained
    monkeypatch.setattr(exporting, "load_model", lambda *_: trained)
    monkeypatch.setattr(exporting, "TorchBackend", lambda *_: lambda batch: TorchBackend(model)(batch).flip(1))
    with pytest.raises(ValueError, match="is not the model: cosine"):
        export_model("run", tmp_path / "m.torchscript", "torchscript")
    assert not list(tmp_path.iterdir())
    for found, message in (
        (Agreement({1: 1.0}, 0.9), "another order"),
        (Agreement({1: float("nan")}, 1.0), "cosine nan"),
    ):
        with pytest.raises(ValueError, match=message):
            found.check("fp32")


class FewImages:
    """Stands for a run's data."""

    def __init__(self, model: ModelDescription) -> None:
        self.model = model

    def training_batches(self, count: int) -> list[Any]:
        return [drawn_batch(self.model, 2, seed) for seed in range(count)]

    def score(self, backend: Any) -> Any:
        found = backend(drawn_batch(self.model, 2))
        return SimpleNamespace(protocol="two images", mAP=float(found.abs().sum()))


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_onnx_files_of_lower_precision(
    trained: Any, folder: Path, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "load_model", lambda *_: trained)
    monkeypatch.setattr(exporting, "data_of", lambda *_: FewImages(trained[1]))
    monkeypatch.setattr(onnx_file, "_export", lambda *given: shutil.copy(folder / "m.onnx", given[-1]))
    done = export_model("run", tmp_path / "m.onnx", "onnx", dtype, calibration_images=3)
    assert done.accuracy is not None and done.accuracy[1] != done.accuracy[2]
    assert done.accuracy[2] == pytest.approx(done.accuracy[1], rel=0.1)
    assert done.files[tmp_path / "m.onnx"] < (folder / "m.onnx").stat().st_size
    assert promptreid.load(tmp_path / "m.onnx").model == trained[1]


def test_half_precisions(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = trained[1]
    fresh = MODELS["mip" if facts.images_per_sample == 1 else "dmpt"]
    monkeypatch.setattr(exporting, "load_model", lambda *_: (fresh()[0], facts))
    monkeypatch.setattr(exporting, "data_of", lambda *_: None)
    done = export_model("run", tmp_path / "m.pt2", "torchscript", "bf16")
    assert done.accuracy is None and min(done.agreement.cosines.values()) > 0.99
    with pytest.raises(ValueError, match=r"calibrated on training images.*--data"):
        export_model("run", tmp_path / "m.onnx", "onnx", "int8")


class Plain(KnowsModalities, nn.Module):
    """Takes images alone, as torchreid's models do."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(-2, -1))


class Untraceable(nn.Module):
    def forward(self, inputs: Any) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("not in a trace")
        return inputs["images"].mean(dim=(1, 3, 4))


@pytest.mark.parametrize(
    ("model", "kind", "dtype", "message"),
    [
        (Plain(), "onnx", "fp32", "does not take samples with modalities"),
        (Untraceable(), "torchscript", "fp32", "to TorchScript: its program cannot be traced"),
        (mip(), "onnx", "bf16", "not in bf16: ONNX Runtime has no bfloat16"),
        (mip(), "torchscript", "int8", "not quantised"),
        (mip(), "tensorrt", "fp32", "none of onnx, openvino, torchscript"),
        (mip(), "openvino", "fp32", r"files of openvino end in \.xml"),
    ],
)
def test_what_cannot_be_exported(
    model: nn.Module, kind: str, dtype: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = described(mip(), (64, 32), ("visible", "infrared"), 1, 3)
    monkeypatch.setattr(exporting, "load_model", lambda *_: (model, facts))
    with pytest.raises(ValueError, match=message):
        export_model("run", tmp_path / ("m.onnx" if kind != "torchscript" else "m.pt2"), kind, dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("texts", [{}, {"promptreid.model": "{}"}, {"promptreid.precision": "fp8"}])
def test_texts_that_are_not_ours(texts: dict[str, str], tmp_path: Path) -> None:
    facts = described(mip(), (64, 32), ("visible", "infrared"), 1, 3)
    about = About(facts, "int8", {"torch": "2"})
    assert About.of_texts(json.loads(json.dumps(about.texts())), tmp_path) == about
    with pytest.raises(ValueError, match=r"promptreid\.model|not a description|none of fp32"):
        About.of_texts({**about.texts(), **texts} if texts else texts, tmp_path)


def test_the_verb_tells_a_mistake_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("export", tmp_path / "none", "--to", "onnx", "--out", tmp_path / "m.pt") == 2
    assert "files of onnx end in .onnx" in capsys.readouterr().err
    assert command("export", tmp_path / "none", "--to", "torchscript", "--out", tmp_path / "m.pt2") == 2
    assert "no such run" in capsys.readouterr().err
