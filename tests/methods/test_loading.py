"""Checkpoints between models of other sizes and meanings, by our loader, torch's and torchreid's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from dmpt_models import tiny_dmpt, triples
from torch import nn

from promptreid import host
from promptreid.methods.mip.model import MIP, mip_paper
from promptreid.methods.mip.options import MIPOptions
from promptreid.models.records import is_record
from promptreid.models.weights import load_matching

IMAGES = torch.randn(2, 3, 48, 40, generator=torch.Generator().manual_seed(0))
TRIPLE = ("visible", "near_infrared", "thermal_infrared")
Build = Callable[..., MIP]


@pytest.fixture
def trained(tiny_mip: Build) -> Build:
    """As a run builds it: for its image size and its cameras."""
    return lambda **settings: tiny_mip(**{"image_size": (48, 40), "cameras": 4, **settings})


def described(model: nn.Module, camera: int = 1) -> torch.Tensor:
    batch = {
        "images": IMAGES[:, None],
        "modality": torch.tensor([[0], [1]]),
        "camera": torch.tensor([camera, 0]),
        "present": torch.ones(2, 1, dtype=torch.bool),
    }
    with torch.no_grad():
        return model.eval()(batch)


def saved(model: nn.Module, folder: Path, records: bool = True) -> str:
    state = {name: value for name, value in model.state_dict().items() if records or not is_record(name)}
    torch.save({"state_dict": state, "epoch": 1, "rank1": 0.0}, folder / "model.pth.tar-1")
    return str(folder / "model.pth.tar-1")


def test_a_model_takes_on_positions_and_cameras(trained: Build, tiny_mip: Build) -> None:
    source, model = trained(seed=1), tiny_mip(seed=2)
    positions, table = model.backbone.pos_embed, model.sie.table
    assert source.backbone.grid != model.backbone.grid
    model.load_state_dict(source.state_dict())
    assert torch.equal(described(model), described(source))
    assert model.backbone.pos_embed is positions and model.sie.table is table, "what an optimiser holds"
    assert torch.equal(described(model, 3), described(source, 3))


@pytest.mark.parametrize("resume", [False, True])
def test_resuming_by_torchreid_takes_them_on(trained: Build, tiny_mip: Build, tmp_path: Path, resume: bool) -> None:
    source, model = trained(seed=1), tiny_mip(seed=2)
    path = saved(source, tmp_path)
    if resume:
        assert host.utils.resume_from_checkpoint(path, model) == 1
    else:
        load_matching(model, torch.load(path)["state_dict"], path)
    assert torch.equal(described(model), described(source))


@pytest.mark.parametrize("kept", [{"cameras": 4}, {"image_size": (48, 40)}])
def test_torchreids_loader_does_not_lose_them_silently(
    trained: Build, tiny_mip: Build, tmp_path: Path, kept: Any
) -> None:
    path = saved(trained(seed=1), tmp_path)
    wanted = "of a model with 4 cameras" if "image_size" in kept else r"of a model with 7 x 6 positions"
    with pytest.raises(RuntimeError, match=wanted):
        host.utils.load_pretrained_weights(tiny_mip(seed=2, **kept), path)
    model = trained(seed=2)
    host.utils.load_pretrained_weights(model, path)
    assert torch.equal(described(model), described(trained(seed=1)))


def test_the_feature_extractor_refuses_them(trained: Build, tiny_mip: Build, tmp_path: Path, monkeypatch: Any) -> None:
    path = saved(trained(seed=1), tmp_path)
    factory = vars(host.models)["__model_factory"]
    monkeypatch.setitem(factory, "mip_vit_tiny_patch16", lambda **settings: tiny_mip())
    with pytest.raises(RuntimeError, match="of a model with"):
        host.utils.FeatureExtractor("mip_vit_tiny_patch16", path, image_size=(48, 40), device="cpu")


def test_grids_of_as_many_tokens_are_told_apart(tiny_mip: Build, tmp_path: Path) -> None:
    source, model = tiny_mip(seed=1, image_size=(48, 40)), tiny_mip(seed=2, image_size=(40, 48))
    host.utils.load_pretrained_weights(model, saved(source, tmp_path))
    assert torch.equal(described(model), described(source))


def test_checkpoints_from_before_the_records(trained: Build, tiny_mip: Build, tmp_path: Path, caplog: Any) -> None:
    """A square grid is known without; of the same sizes all is."""
    source = tiny_mip(seed=1, vit={"img_size": (64, 64)}, cameras=4)
    state = {name: value for name, value in source.state_dict().items() if not is_record(name)}
    model = tiny_mip(seed=2)
    load_matching(model, state, "old.pth")
    assert torch.equal(described(model), described(source))
    with caplog.at_level(logging.WARNING):
        trained(seed=2).load_state_dict({k: v for k, v in trained(seed=1).state_dict().items() if not is_record(k)})
    assert [record.getMessage() for record in caplog.records][-1].endswith("they are taken for visible, infrared")


def test_a_model_for_other_data_keeps_its_sizes_and_resamples_positions(trained: Build, tiny_mip: Build) -> None:
    source, model = trained(seed=1), tiny_mip(seed=2)
    table = model.sie.table.clone()
    load_matching(model, source.state_dict(), "run", strict=False)
    assert torch.equal(model.sie.table, table)
    assert model.backbone.pos_embed.shape[1] == 33
    assert torch.equal(model.backbone.pos_embed[:, 0], source.backbone.pos_embed[:, 0])
    again = trained(seed=2)
    load_matching(again, source.state_dict(), "run")
    assert torch.equal(described(again), described(source))


@pytest.mark.parametrize(
    ("options", "matters"),
    [
        (mip_paper(), True),
        (mip_paper(modality_prompts=False, modality_embedding=True), True),
        (mip_paper(modality_prompts=False, sie="modality"), True),
        (mip_paper(modality_bn=True), True),
        (mip_paper(modality_prompts=False), False),
        (mip_paper(naive_prompts=True), False),
    ],
)
def test_the_order_of_modalities_is_part_of_a_mip(tiny_mip: Build, options: MIPOptions, matters: bool) -> None:
    state = tiny_mip(options=options).state_dict()
    other = tiny_mip(options=options, modalities=("infrared", "visible"))
    if matters:
        with pytest.raises(RuntimeError, match=r"other modalities, in another order .* \(here infrared, visible\)"):
            other.load_state_dict(state)
    else:
        other.load_state_dict(state)
    tiny_mip(options=options).load_state_dict(state)


def test_slots_have_an_order_without_prompts_too(tiny_mip: Build) -> None:
    plain = mip_paper(modality_prompts=False)
    state = tiny_mip(options=plain, modalities=TRIPLE, images_per_sample=3).state_dict()
    with pytest.raises(ValueError, match=r"^run: modalities_record: .*other modalities"):
        load_matching(tiny_mip(options=plain, modalities=TRIPLE[::-1], images_per_sample=3), state, "run")


@pytest.mark.parametrize(
    "other",
    [
        {"modalities": TRIPLE[::-1]},
        {"object_name": "vehicle"},
        {"phrases": {"visible": "colour"}},
        {"text_from_state": True, "object_name": "vehicle"},
    ],
)
def test_words_are_part_of_a_dmpt(other: Any, tmp_path: Path) -> None:
    model = tiny_dmpt()
    for load in (
        lambda m: m.load_state_dict(model.state_dict()),
        lambda m: host.utils.load_pretrained_weights(m, saved(model, tmp_path)),
    ):
        with pytest.raises(RuntimeError, match="other modalities, in another order or with other words"):
            load(tiny_dmpt(seed=0, **other))
        load(tiny_dmpt(text_from_state=True))


def test_words_stay_behind_where_weights_go_to_another_object(caplog: Any) -> None:
    person, vehicle = tiny_dmpt(), tiny_dmpt(object_name="vehicle")
    own = vehicle.word_prompts.attributes.value.clone()
    person.semantic_prompts.prompts.data.normal_()
    with caplog.at_level(logging.WARNING):
        load_matching(vehicle, person.state_dict(), "run", strict=False)
    assert "trained with other modalities, orders or words than visible, near_infrared" in caplog.text
    assert torch.equal(vehicle.word_prompts.attributes.value, own)
    assert torch.equal(vehicle.semantic_prompts.prompts, person.semantic_prompts.prompts)


def test_old_dmpts_load_with_one_warning(caplog: Any) -> None:
    model = tiny_dmpt()
    state = {name: value for name, value in model.state_dict().items() if not is_record(name)}
    with caplog.at_level(logging.WARNING):
        again = tiny_dmpt(text_from_state=True)
        load_matching(again, state, "old.pth")
    assert caplog.text.count("do not say which modalities") == 1
    with torch.no_grad():
        assert torch.equal(again.eval()(triples()), model.eval()(triples()))
