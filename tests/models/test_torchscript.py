from __future__ import annotations

import pickle
import zipfile

import pytest
import torch
from torch import nn

from promptreid.models.torchscript import is_torchscript, read_torchscript
from promptreid.models.weights import read_state_dict

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 2).half())
        self.register_buffer("count", torch.tensor(5))

    def forward(self, x):
        return x @ self.weight.to(x.dtype)


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Part()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.LayerNorm(2)])
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.sizes = [2, 3]
        self.name = "whole"

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.first(x) * self.scale


class Setter(nn.Module):
    """Its archive has code that runs when ``torch.jit.load`` reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        raise RuntimeError("the code of the archive ran")


def script(module, path):
    torch.jit.script(module).save(str(path))
    return path


@pytest.mark.parametrize("traced", [True, False])
def test_the_tensors_are_those_that_torch_reads(tmp_path, traced):
    torch.manual_seed(0)
    whole, path = Whole(), tmp_path / "ViT-B-16.pt"
    whole.layers[0].weight.data = torch.randn(2, 2).T  # strides
    if traced:
        torch.jit.trace(Part(), torch.randn(1, 3)).save(str(path))
    else:
        script(whole, path)
    assert is_torchscript(path)
    ours, theirs = read_state_dict(path), torch.jit.load(str(path)).state_dict()
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype
        assert torch.equal(ours[name], value)


def test_no_code_of_the_archive_runs(tmp_path):
    path = script(Setter(), tmp_path / "setter.pt")
    with pytest.raises(torch.jit.Error, match="the code of the archive ran"):
        torch.jit.load(str(path))
    read_state_dict(path)


def test_other_objects_are_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps(Payload()))
        archive.writestr("evil/constants.pkl", b"")
    with pytest.raises(ValueError, match=r"evil.pt cannot be read .*neither a tensor nor a module"):
        read_state_dict(path)
    assert not (tmp_path / "ran").exists()


def test_broken_archives(tmp_path):
    whole = script(Whole(), tmp_path / "whole.pt")
    broken = tmp_path / "broken.pt"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[: 1 if "/data/0" in name else None])
    with pytest.raises(ValueError, match=r"broken.pt cannot be read as the tensors of a TorchScript archive"):
        read_state_dict(broken)


def test_a_plain_checkpoint_is_none(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "plain.pt")
    assert not is_torchscript(tmp_path / "plain.pt")
    (tmp_path / "text.pt").write_text("no zip file")
    assert not is_torchscript(tmp_path / "text.pt")


def test_an_empty_tensor(tmp_path):
    part = Part()
    part.weight = nn.Parameter(torch.empty(0, 2))
    with zipfile.ZipFile(script(part, tmp_path / "empty.pt")) as archive:
        assert read_torchscript(archive)["weight"].shape == (0, 2)
