"""Models of torchreid's own backbones, under torchreid's own engine."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
import torchreid
from toy_triples import SIZE, ToyTriples, write_triples

from promptreid import host
from promptreid.methods.baselines.torchreid_backbones import HOST_MODELS, imagenet_weights

WIDTHS = {"three_osnet_x1_0": 512, "three_osnet_x0_25": 512, "three_mlfn": 1024, "three_hacnn": 1024}
SIZES = {"three_hacnn": (160, 64)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triples")
    write_triples(folder)
    return folder


def manager(root: Path, size: tuple[int, int]) -> torchreid.data.ImageDataManager:
    return torchreid.data.ImageDataManager(
        root=str(root),
        sources="toy_triples",
        height=size[0],
        width=size[1],
        batch_size_train=4,
        batch_size_test=8,
        workers=0,
        num_instances=2,
        train_sampler="RandomIdentitySampler",
        use_gpu=False,
    )


@pytest.mark.filterwarnings("ignore::UserWarning:torchreid")
@pytest.mark.parametrize("name", HOST_MODELS)
def test_every_name_trains_a_step_and_describes(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(host._DATASETS, "toy_triples", ToyTriples)
    data = manager(root, SIZES.get(name, SIZE))
    torch.manual_seed(0)
    model = torchreid.models.build_model(name, data.num_train_pids, loss="triplet", pretrained=False, use_gpu=True)
    engine = torchreid.engine.ImageTripletEngine(data, model, torch.optim.SGD(model.parameters(), 0.01), use_gpu=False)
    model.train()
    batch = next(iter(data.train_loader))
    assert set(engine.forward_backward(batch)) == {"loss_t", "loss_x", "acc"}
    assert [key for key, value in model.named_parameters() if value.grad is None] == []
    with torch.no_grad():
        described = model.eval()(batch["img"])
    assert described.dtype == torch.float32 and described.shape == (4, 3 * WIDTHS[name])
    assert [part.stop - part.start for part in model.modality_slices(3)] == 3 * [WIDTHS[name]]


def test_an_epoch_and_a_test_under_the_unmodified_engine(root: Path, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setitem(host._DATASETS, "toy_triples", ToyTriples)
    data = manager(root, SIZE)
    torch.manual_seed(0)
    model = torchreid.models.build_model("three_osnet_x0_25", data.num_train_pids, loss="triplet", pretrained=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    scheduler = torchreid.optim.build_lr_scheduler(optimizer, stepsize=5)
    engine = torchreid.engine.ImageTripletEngine(data, model, optimizer, scheduler=scheduler, use_gpu=False)
    settings = {"fixbase_epoch": 1, "open_layers": "classifier"}  # torchreid's first epoch trains these layers alone
    engine.run(save_dir=str(tmp_path), max_epoch=2, print_freq=1, ranks=[1], **settings)
    assert "mAP" in capsys.readouterr().out
    again = torchreid.models.build_model("three_osnet_x0_25", data.num_train_pids, loss="triplet", pretrained=False)
    assert torchreid.utils.resume_from_checkpoint(str(tmp_path / "model" / "model.pth.tar-2"), again) == 2


def test_a_backbone_of_one_size_says_so() -> None:
    model = HOST_MODELS["three_hacnn"](4, pretrained=False)
    with pytest.raises(ValueError, match=r"160 x 64 pixels \(height x width\) alone, got 64 x 32"):
        model(torch.rand(2, 3, 3, *SIZE))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder of torchreid's, and a download that fails."""
    import gdown

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(gdown, "download", refuse)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def test_absent_imagenet_weights_are_told_and_never_fetched(no_network: Path, caplog) -> None:
    file = no_network / "checkpoints" / "osnet_x0_25_imagenet.pth"
    assert imagenet_weights("osnet_x0_25") == file
    with caplog.at_level(logging.WARNING):
        HOST_MODELS["three_osnet_x0_25"](4, pretrained=True)
    assert f"there is no {file}" in caplog.text and "randomly initialised" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"no ImageNet weights for osnet_x0_25.*model\.pretrained False"):
        HOST_MODELS["three_osnet_x0_25"](4, pretrained=True, strict_pretrained=True)
    assert not file.parent.exists()


def test_cached_imagenet_weights_fill_every_stream(no_network: Path) -> None:
    torch.manual_seed(1)
    published = torchreid.models.build_model("osnet_x0_25", num_classes=1000, pretrained=False)
    imagenet_weights("osnet_x0_25").parent.mkdir()
    torch.save(
        {f"module.{key}": value for key, value in published.state_dict().items()}, imagenet_weights("osnet_x0_25")
    )
    model = HOST_MODELS["three_osnet_x0_25"](4, pretrained=True, strict_pretrained=True)
    images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        expected = published.eval()(images)
        described = model.eval()(images[:, None].expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(described, expected.repeat(1, 3))


def test_the_cache_folder_is_torchreids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert imagenet_weights("mlfn") == Path("/var/cache/torch/checkpoints/mlfn_imagenet.pth")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert imagenet_weights("mlfn") == Path.home() / ".cache/torch/checkpoints/mlfn_imagenet.pth"


def test_other_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="'prompt' is not one of"):
        HOST_MODELS["three_osnet_x0_25"](4, loss="prompt", pretrained=False)
