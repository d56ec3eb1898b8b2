"""Files of weights that would take memory, time or trust that they do not deserve."""

from __future__ import annotations

import json
import pickle
import resource
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.models import bounds
from promptreid.models.backbones.vit import import_timm
from promptreid.models.torchscript import is_torchscript
from promptreid.models.weights import load_backbone, load_matching, load_pretrained, read_pickle, read_state_dict

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def crafted(path: Path, header: dict[str, Any] | bytes, data: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


HEADERS: dict[str, dict[str, Any] | bytes] = {
    "overlapping": {"a": entry(), "b": entry(data_offsets=[4, 12])},
    "beyond the end": {"a": entry(data_offsets=[0, 800], shape=[200])},
    "with a hole": {"a": entry(), "b": entry(data_offsets=[16, 24])},
    "backwards": {"a": entry(data_offsets=[8, 0])},
    "negative": {"a": entry(shape=[-2])},
    "overflowing": {"a": entry(shape=[2**40, 2**40])},
    "of an unknown type": {"a": entry(dtype="F99")},
    "twice": b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2),
    "with bytes left over": {"a": entry()},
    "without a shape": {"a": {"dtype": "F32", "data_offsets": [0, 8]}},
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_lie(name: str, tmp_path: Path) -> None:
    path = crafted(tmp_path / "a.safetensors", HEADERS[name], bytes(24))
    with pytest.raises(ValueError, match=r"a\.safetensors is not a valid \.safetensors file \(.+\); copy or download"):
        read_state_dict(path)


@given(data=st.data())
@settings(max_examples=150)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_file_is_weights_or_an_error_with_its_path(
    suffix: str, data: st.DataObject, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    if suffix == ".pth":
        torch.save(STATE, path)
    else:
        path.write_bytes(safetensors_bytes(STATE))
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content))
    try:
        state = read_state_dict(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert all(isinstance(value, Tensor) for value in state.values())


class Grown:
    """A pickle of sixty bytes that unpacks to as many as it likes."""

    def __reduce__(self) -> Any:
        return bytearray, (10**13,)


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_asks_for_memory_by_a_number(zipped: bool, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "b": Grown()}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    before = memory()
    for read in (read_pickle, read_state_dict, checkpoint.load):
        with pytest.raises(ValueError, match=r"a\.pth holds a bytearray, which no weights need: save its state_dict"):
            read(tmp_path / "a.pth")
    assert memory() - before < 100_000  # kB


@pytest.mark.parametrize("suffix", ["pth", "pt", "npz"])
def test_a_small_zip_file_that_unpacks_to_a_large_one(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/data/0", "w") as file:
        for _ in range(80):
            file.write(bytes(1_000_000))
    with pytest.raises(ValueError, match=rf"a\.{suffix}: \d+ bytes that unpack to 80000000, which no weights do"):
        load_pretrained(None, "", path) if suffix == "npz" else read_state_dict(path)


def test_a_zip_file_of_several_disks(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    content[content.rindex(b"PK\6\7") + 16] = 2
    (tmp_path / "a.pth").write_bytes(content)
    for read in (read_pickle, read_state_dict):
        with pytest.raises(ValueError, match=r"a\.pth is a broken zip file \(.+\); copy or download it again"):
            read(tmp_path / "a.pth")
    assert not is_torchscript(tmp_path / "a.pth")


def test_tensors_that_repeat_one_number_for_ever(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1).expand(10**12)}, tmp_path / "a.pth")
    for read in (read_pickle, read_state_dict):
        with pytest.raises(ValueError, match=r"a\.pth: tensors of 4000000000000 bytes in a file of \d+; copy"):
            read(tmp_path / "a.pth")


def test_containers_that_hold_themselves_end(tmp_path: Path) -> None:
    around: list[Any] = [torch.ones(2)]
    around.append(around)
    torch.save({"a": around}, tmp_path / "a.pth")
    assert read_pickle(tmp_path / "a.pth")["a"][0].tolist() == [1, 1]


def archive_of(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/constants.pkl", b"")
    return path


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".", ""),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "LONG_BINPUT 2147483647"),
    ],
)
def test_instructions_that_ask_for_memory_in_a_torchscript_archive(content: bytes, name: str, tmp_path: Path) -> None:
    before = memory()
    with pytest.raises(ValueError, match=rf"a\.pt cannot be read as the tensors of a TorchScript archive .*{name}"):
        read_state_dict(archive_of(tmp_path / "a.pt", content))
    assert memory() - before < 100_000


def test_modules_that_hold_each_other_a_million_times_end(tmp_path: Path) -> None:
    """Two references to the level below, forty levels deep: 10**12 ways to the bottom."""
    build = b"\x80\x02"
    for level in range(40):
        below = (
            b"}" if level == 0 else b"}(X\1\0\0\0ah" + bytes([level - 1]) + b"X\1\0\0\0bh" + bytes([level - 1]) + b"u"
        )
        build += b"c__torch__\nA\n)\x81" + below + b"bq" + bytes([level])
    started = time.monotonic()
    with pytest.raises(ValueError, match="more than 100000 modules"):
        read_state_dict(archive_of(tmp_path / "a.pt", build + b"."))
    assert time.monotonic() - started < 20


def model() -> nn.Module:
    return nn.Linear(3, 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("strict", [True, False])
def test_weights_that_are_not_finite_are_refused(value: float, strict: bool) -> None:
    state = {**STATE, "bias": torch.tensor([0.0, value])}
    before = model().state_dict()
    with pytest.raises(ValueError, match=r"x\.pth: bias is not finite \(NaN or infinity\), as 1 of 2 tensors are; its"):
        load_matching(model(), state, "x.pth", strict)
    assert all(torch.isfinite(value).all() for value in before.values())


def test_infinities_that_the_model_has_itself_are_none() -> None:
    masked = model()
    masked.register_buffer("mask", torch.full((2, 2), float("-inf")))
    load_matching(masked, {**STATE, "mask": torch.full((2, 2), float("-inf"))}, "x.pth")
    assert masked.weight[1, 2] == 5


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_numbers_of_another_kind_do_not_fit(dtype: torch.dtype) -> None:
    state = {**STATE, "weight": STATE["weight"].to(dtype)}
    with pytest.raises(
        ValueError, match=rf"x\.pth does not fit .*weight of dtype {dtype}, the model's is torch.float32"
    ):
        load_matching(model(), state, "x.pth")
    half = {name: value.half() for name, value in STATE.items()}
    target = model()
    load_matching(target, half, "x.pth")
    assert torch.equal(target.weight, STATE["weight"])


def test_backbones_are_as_picky() -> None:
    vit = import_timm().create_model(
        "vit_tiny_patch16_224", pretrained=False, num_classes=0, depth=1, embed_dim=12, num_heads=2, img_size=32
    )
    state = vit.state_dict()
    with pytest.raises(ValueError, match=r"not finite \(NaN or infinity\): \['norm.bias'\]; download"):
        load_backbone(vit, {**state, "norm.bias": torch.full((12,), float("nan"))})
    with pytest.raises(ValueError, match=r"norm.bias of dtype torch.int64, the model's is torch.float32"):
        load_backbone(vit, {**state, "norm.bias": torch.zeros(12, dtype=torch.int64)})


def test_a_broken_npz_names_its_path(tmp_path: Path) -> None:
    vit = import_timm().create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0, depth=1, img_size=32)
    (tmp_path / "a.npz").write_bytes(b"PK\3\4 broken")
    with pytest.raises(ValueError, match=r"a\.npz is no \.npz file of this ViT .*; copy or download it again"):
        load_pretrained(vit, "vit_tiny_patch16_224", tmp_path / "a.npz")


def test_ordinary_files_are_within_all_bounds(tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "epoch": 3, "names": ["a", ("b", None)]}, tmp_path / "a.pth")
    assert bounds.unpacked_size(tmp_path / "a.pth") > 32
    assert torch.equal(read_state_dict(tmp_path / "a.pth")["weight"], STATE["weight"])
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_state_dict(tmp_path / "old.pth")["weight"], STATE["weight"])
    assert pickle.dumps(STATE["bias"].tolist()) and bounds.unpacked_size(tmp_path / "old.pth") > 32
