"""Saving, exchanging and folding trained weights."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import promptreid
from promptreid.retrieval.extraction import extract


@pytest.fixture
def triples(dmpt: Any) -> list[dict[str, str]]:
    paths = [str(Path(dmpt.data.root) / path) for path in extract(dmpt).paths[:3]]
    return [{"rgb": path, "nir": path.replace("/RGB/", "/NI/"), "tir": path.replace("/RGB/", "/TI/")} for path in paths]


@pytest.mark.parametrize("kind", ["mip", "dmpt"])
def test_a_saved_model_makes_the_same_vectors(
    kind: str, request: pytest.FixtureRequest, triples: list[dict[str, str]], tmp_path: Path
) -> None:
    cfg = request.getfixturevalue(kind)
    given: Any = triples if kind == "dmpt" else [triple["rgb"] for triple in triples]
    reid = promptreid.load(cfg.data.save_dir)
    expected = reid.embed(given)
    reid.save_pretrained(tmp_path / "hub")
    reid.save_adapter(tmp_path / "adapter")
    for folder in ("hub", "adapter"):
        again = promptreid.load(tmp_path / folder)
        assert again.model == reid.model
        np.testing.assert_array_equal(again.embed(given).vectors, expected.vectors)
    files = {path.name for path in (tmp_path / "hub").iterdir()}
    assert files == {"model.safetensors", "config.json", "README.md"}
    card = (tmp_path / "hub" / "README.md").read_text()
    (results,) = Path(cfg.data.save_dir).glob("results-*.json")
    assert f"{100 * json.loads(results.read_text())['results'][0]['mAP']:.2f}" in card
    assert not [name for name in load_file(tmp_path / "hub" / "model.safetensors") if "classifier" in name]
    written = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert bool(written["frozen_sha256"]) == (kind == "dmpt")
    assert str(cfg.data.root) not in json.dumps(written)


def test_adapters_share_one_frozen_tower(dmpt: Any, triples: list[dict[str, str]], tmp_path: Path) -> None:
    reid = promptreid.load(dmpt.data.save_dir)
    first = reid.embed(triples).vectors
    other = promptreid.load(dmpt.data.save_dir)
    with torch.no_grad():
        other.network.semantic_prompts.prompts.mul_(2.0)
    other.save_adapter(tmp_path / "vehicles")
    expected = promptreid.load(tmp_path / "vehicles").embed(triples)
    reid.load_adapter(tmp_path / "vehicles", "vehicles")
    assert (reid.adapters, reid.active_adapter) == (["default", "vehicles"], "default")
    tower = reid.network.backbone
    reid.set_adapter("vehicles")
    assert reid.network.backbone is tower
    found = reid.embed(triples)
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    assert found.model.model_id == expected.model.model_id != other.model.model_id
    assert not np.allclose(found.vectors, first)
    reid.set_adapter("default")
    np.testing.assert_array_equal(reid.embed(triples).vectors, first)
    with pytest.raises(ValueError, match="cannot be compared"):
        reid.compare(reid.embed(triples), found)
    with pytest.raises(ValueError, match="is there already"):
        reid.load_adapter(tmp_path / "vehicles", "vehicles")
    with pytest.raises(ValueError, match="none of default, vehicles"):
        reid.set_adapter("people")


def test_a_model_without_a_frozen_tower_takes_no_adapter(mip: Any, dmpt: Any) -> None:
    with pytest.raises(ValueError, match="no frozen tower"):
        promptreid.load(mip.data.save_dir).load_adapter(dmpt.data.save_dir, "other")
    with pytest.raises(ValueError, match="another frozen tower"):
        tuned = promptreid.load(dmpt.data.save_dir)
        tuned.network.backbone.digest[0] ^= 1
        tuned.load_adapter(dmpt.data.save_dir, "other")


@pytest.mark.parametrize("kind", ["mip", "dmpt"])
def test_folding_changes_no_vector(
    kind: str, request: pytest.FixtureRequest, triples: list[dict[str, str]], tmp_path: Path
) -> None:
    cfg = request.getfixturevalue(kind)
    reid = promptreid.load(cfg.data.save_dir)
    given: Any = triples if kind == "dmpt" else [triple["rgb"] for triple in triples]
    before, size = reid.embed(given).vectors, sum(p.numel() for p in reid.network.parameters())
    assert reid.fold() == (["word_prompts"] if kind == "dmpt" else ["modality_prompts"])
    np.testing.assert_allclose(reid.embed(given).vectors, before, atol=1e-6)
    assert sum(p.numel() for p in reid.network.parameters()) < size
    with pytest.raises(ValueError, match="folded"):
        reid.save_pretrained(tmp_path)


def test_trainable_parameters_are_counted(dmpt: Any, caplog: pytest.LogCaptureFixture) -> None:
    reid = promptreid.load(dmpt.data.save_dir)
    with caplog.at_level(logging.INFO):
        reid.print_trainable_parameters()
    tuned, everything = reid.trainable_parameters()
    assert f"trainable params: {tuned:,} || all params: {everything:,} || trainable%:" in caplog.text
    heads = sum(value.numel() for value in reid.network.classifier.parameters())
    assert tuned == sum(value.numel() for value in reid.network.parameters() if value.requires_grad) - heads


def test_a_repository_is_looked_up_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="allow_download=True"):
        promptreid.load("nobody/nothing-of-this-name")
