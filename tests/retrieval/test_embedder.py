"""``promptreid.load`` embeds pictures as a test of the run does, of any kind and with any bands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import promptreid
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.extraction import extract


def files_of(cfg: Any) -> Any:
    return [Path(cfg.data.root) / path for path in extract(cfg).paths]


def test_a_run_embeds_files_as_it_extracts_them(mip: Any) -> None:
    table = extract(mip)
    reid = promptreid.load(mip.data.save_dir, batch_size=7)
    for band in ("visible", "ir"):
        rows = np.flatnonzero(table.modality == reid.model.modalities[band == "ir"])
        paths = [Path(mip.data.root) / table.paths[row] for row in rows]
        found = reid.embed(paths, band=band, cameras=table.camids[rows].tolist())
        torch.testing.assert_close(torch.from_numpy(found.vectors), table.features[rows], rtol=0, atol=2e-5)
        assert found.names.tolist() == [str(path) for path in paths]
        assert found.present.sum(1).tolist() == [1] * len(paths)


def test_pictures_arrays_and_tensors_are_as_good_as_paths(mip: Any) -> None:
    reid = promptreid.load(mip.data.save_dir)
    path = files_of(mip)[0]
    picture = Image.open(path).convert("RGB")
    array = np.asarray(picture)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    expected = reid.embed(str(path), band="visible").vectors
    for given in (picture, array, tensor, tensor / 255, [path], array[None], tensor[None], {"RGB": path}):
        np.testing.assert_array_equal(reid.embed(given, band="visible").vectors, expected)


def test_the_file_of_weights_is_enough(mip: Any, tmp_path: Path) -> None:
    weights = Path(mip.data.save_dir) / "model" / "model.safetensors"
    alone = shutil.copy(weights, tmp_path / "given.safetensors")
    path = files_of(mip)[0]
    first, second = (promptreid.load(source) for source in (mip.data.save_dir, alone))
    np.testing.assert_array_equal(first.embed(path, band="visible").vectors, second.embed(path, band="visible").vectors)
    assert first.model == second.model
    assert ModelDescription.from_json(first.model.to_json()) == first.model
    assert str(mip.data.root) not in first.model.config
    newest = checkpoint.checkpoints(weights.parent)[0]
    assert promptreid.load(newest).model.model_id == first.model.model_id


def test_weights_name_no_program_to_run(mip: Any, tmp_path: Path) -> None:
    weights = Path(mip.data.save_dir) / "model" / "model.safetensors"
    about = checkpoint.about_weights(weights)
    program = tmp_path / "evil.py"
    program.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    about["config"] += f"\nplugins: [{program}]\n"
    checkpoint.save_weights(checkpoint_weights(weights), tmp_path / "w.safetensors", about)
    promptreid.load(tmp_path / "w.safetensors")
    assert not (tmp_path / "ran").exists()


def checkpoint_weights(path: Path) -> Any:
    from promptreid.models.weights import read_state_dict

    return read_state_dict(path)


def test_triples_with_and_without_a_band(dmpt: Any) -> None:
    table = extract(dmpt)
    reid = promptreid.load(dmpt.data.save_dir)
    assert (reid.model.space, reid.model.images_per_sample) == ("whole", 3)
    visible = [Path(dmpt.data.root) / path for path in table.paths[:3]]
    triples = [
        {"rgb": path, "nir": str(path).replace("/RGB/", "/NI/"), "tir": str(path).replace("/RGB/", "/TI/")}
        for path in visible
    ]
    found = reid.embed(triples)
    np.testing.assert_allclose(found.vectors, table.features[:3].numpy(), atol=2e-5)
    without = reid.embed([{**triple, "tir": None} for triple in triples])
    assert [without.bands(row) for row in range(3)] == ["RGB+NIR"] * 3
    np.testing.assert_array_equal(reid.embed(triples, bands="RGB+NIR").vectors, without.vectors)
    with pytest.raises(ValueError, match=r"exchange.*bands='RGB\+NIR'"):
        reid.compare(without, found)
    assert reid.compare(without, without).diagonal() == pytest.approx(np.ones(3), abs=1e-6)
    with pytest.raises(ValueError, match="no band in common"):
        reid.compare(reid.embed(triples, bands="tir"), without)


def test_unknown_cameras_are_told_once(mip: Any, caplog: pytest.LogCaptureFixture) -> None:
    reid = promptreid.load(mip.data.save_dir)
    path = files_of(mip)[0]
    for _ in range(2):
        reid.embed(path)
    said = [record.getMessage() for record in caplog.records]
    assert sum("neutral camera embedding" in text for text in said) == 1
    assert sum("without a band are taken to be visible" in text for text in said) == 1


def test_half_precision_is_close(mip: Any) -> None:
    path = files_of(mip)[0]
    full, half = (promptreid.load(mip.data.save_dir, dtype=dtype) for dtype in ("float32", "bfloat16"))
    pair = [reid.embed(path, band="visible").vectors for reid in (full, half)]
    assert pair[1].dtype == np.float32
    assert 0.99 < float((pair[0] * pair[1]).sum()) < 1.0001


def test_bad_images_stop_or_are_listed(mip: Any, tmp_path: Path) -> None:
    reid = promptreid.load(mip.data.save_dir)
    good, bad = files_of(mip)[0], tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad\.png"):
        reid.embed([good, bad], band="visible")
    found = reid.embed([bad, good, tmp_path / "gone.png"], band="visible", on_error="skip")
    assert found.names.tolist() == [str(good)]
    assert [name for name, _ in found.failed] == [str(bad), str(tmp_path / "gone.png")]


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        ([], {}, "nothing to embed"),
        ({"visible": None}, {}, "no image"),
        ({"uv": "a.png"}, {}, "knows visible, infrared"),
        ({"visible": "a.png", "infrared": "b.png"}, {}, "single images"),
        (np.zeros((4, 4, 3)) - 1, {"band": "visible"}, r"\[0, 1\]"),
        (np.zeros((4, 4, 3), dtype=np.int64), {"band": "visible"}, "uint8"),
        (np.zeros((4, 4, 2), dtype=np.uint8), {"band": "visible"}, "shape"),
        ("a.png", {"band": "visible", "cameras": 99}, "cameras: 99"),
        ("a.png", {"band": "visible", "cameras": [0, 1]}, "2 numbers for 1"),
        ("a.png", {"on_error": "ignore"}, "on_error"),
    ],
)
def test_refuses(mip: Any, given: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        promptreid.load(mip.data.save_dir).embed(given, **settings)


def test_what_is_no_model_is_refused(mip: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such run"):
        promptreid.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no weights"):
        promptreid.load(tmp_path)
    weights = Path(mip.data.save_dir) / "model" / "model.safetensors"
    checkpoint.save_weights(checkpoint_weights(weights), tmp_path / "bare.safetensors", {})
    with pytest.raises(ValueError, match="config="):
        promptreid.load(tmp_path / "bare.safetensors")
    other = json.loads(promptreid.load(weights).model.to_json())
    with pytest.raises(ValueError, match="not a description"):
        ModelDescription.from_json(json.dumps({**other, "model_id": 3}))
