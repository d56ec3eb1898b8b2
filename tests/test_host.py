"""The bridge to torchreid: registration, its own checkpoints, both layouts."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from host_layouts import emulate_github
from torch import nn

import promptreid
from promptreid import host


def python(code: str, **environment: str) -> str:
    """Run ``code`` in a fresh interpreter; its standard output and error."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    return done.stdout + done.stderr


def test_import_registers_every_name_and_is_quiet() -> None:
    output = python(
        """
        import torch, time  # processor time: a busy machine is no failure
        start = time.process_time()
        import promptreid, torchreid
        print(time.process_time() - start < 60)
        names = vars(torchreid.models)["__model_factory"]
        assert set(promptreid.MODELS) <= set(names)
        assert set(promptreid.DATASETS) <= set(vars(torchreid.data.datasets)["__image_datasets"])
        assert all(getattr(torchreid.losses, loss.__name__) is loss for loss in promptreid.LOSSES.values())
        """
    )
    assert output == "True\n"


def test_registration_is_idempotent() -> None:
    before = host.model_names(), host.dataset_names()
    promptreid.register_all()
    assert (host.model_names(), host.dataset_names()) == before


def test_nothing_of_torchreid_is_overwritten() -> None:
    with pytest.raises(ValueError, match="already has a model named 'resnet50'"):
        host.register_model("resnet50", lambda **kwargs: nn.Identity())
    with pytest.raises(ValueError, match="already has a dataset named 'market1501'"):
        host.register_dataset("market1501", partial(dict))
    with pytest.raises(ValueError, match=r"torchreid.losses already has 'TripletLoss'"):
        host.register_loss(type("TripletLoss", (nn.Module,), {}))


def test_names_are_lower_case_identifiers() -> None:
    with pytest.raises(ValueError, match="lower-case"):
        host.register_model("My-Model", lambda **kwargs: nn.Identity())


def test_a_model_name_is_bound_to_a_configuration_for_a_while() -> None:
    plain = host.models.build_model("vit_tiny_patch16_reid", 3, pretrained=False)
    with host.bound_model("vit_tiny_patch16_reid", lambda **kwargs: nn.Identity()):
        assert isinstance(host.models.build_model("vit_tiny_patch16_reid", 3), nn.Identity)
    assert type(host.models.build_model("vit_tiny_patch16_reid", 3, pretrained=False)) is type(plain)
    with pytest.raises(ValueError, match="not a model of promptreid"), host.bound_model("resnet50", nn.Identity):
        pass


def test_dataset_names_are_bound_for_a_while() -> None:
    plain = {name: host.dataset_factory(name) for name in ("sysu_mm01", "regdb_v2i")}
    with host.bound_datasets({"sysu_mm01": dict, "regdb_v2i": partial(dict, split=3)}):
        assert host.data.datasets.init_image_dataset("sysu_mm01", root="r") == {"root": "r"}
        assert host.data.datasets.init_image_dataset("regdb_v2i", root="r") == {"root": "r", "split": 3}
    with pytest.raises(KeyError), host.bound_datasets({"sysu_mm01": dict}):
        raise KeyError
    assert {name: host.dataset_factory(name) for name in plain} == plain
    with (
        pytest.raises(ValueError, match="'market1501' is not a dataset of promptreid"),
        host.bound_datasets({"sysu_mm01": dict, "market1501": dict}),
    ):
        pass
    assert host.dataset_factory("sysu_mm01") is plain["sysu_mm01"]


@pytest.mark.parametrize("scalar", [np.float32(0.5), np.float64(0.25)])
def test_torchreid_reads_its_own_checkpoint(tmp_path: Path, scalar: np.floating) -> None:
    host.allow_host_checkpoints()
    model = nn.Linear(2, 2)
    host.utils.save_checkpoint({"state_dict": model.state_dict(), "epoch": 3, "rank1": scalar}, str(tmp_path))
    assert host.utils.resume_from_checkpoint(str(tmp_path / "model.pth.tar-3"), nn.Linear(2, 2)) == 3


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": Payload()}, tmp_path / "evil")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        host.utils.load_checkpoint(str(tmp_path / "evil"))
    assert not (tmp_path / "ran").exists()


def test_github_layout(tmp_path: Path) -> None:
    emulate_github(tmp_path)
    output = python(
        f"""
        import promptreid, torchreid
        from promptreid import host
        from torchreid.utils import FeatureExtractor
        print(host.LAYOUT, torchreid.__file__.startswith({str(tmp_path)!r}), "sysu_mm01" in host.dataset_names())
        """,
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    )
    assert output == "github True True\n"


def test_alias_modules_gives_the_same_objects() -> None:
    output = python(
        """
        from promptreid import host
        host.alias_modules()
        from torchreid.utils import FeatureExtractor
        import torchreid.data.datasets.image.market1501 as market
        print(FeatureExtractor is host.utils.FeatureExtractor, market.Market1501 is host.data.datasets.Market1501)
        """
    )
    assert output == "True True\n"


def test_a_data_manager_downloads_nothing(tmp_path: Path, sysu_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchreid's own default target is Market-1501, which it fetches where it is missing."""
    from promptreid.data.manager import ModalDataManager

    def refuse(*args: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(host.ImageDataset.__mro__[1], "download_dataset", refuse)
    with pytest.raises(FileNotFoundError, match="market1501: no such folder"):
        ModalDataManager(root=str(sysu_root), sources="sysu_mm01", targets="market1501", workers=0, use_gpu=False)
    assert host.ImageDataset.download_dataset is refuse
    assert not (sysu_root / "market1501").exists()


def test_only_torchreids_own_data_sets_are_its_own() -> None:
    assert host.host_dataset("market1501").__name__ == "Market1501"
    for name in ("sysu_mm01", "market1502"):
        with pytest.raises(ValueError, match=f"no image data set '{name}' of its own"):
            host.host_dataset(name)
