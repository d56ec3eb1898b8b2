"""Files of weights and checkpoints: ``.safetensors``, pickles, TorchScript archives."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes
from tests.fuzz.outcome import Target
from tests.fuzz.source import Source
from torch import Tensor

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.position import Position
from promptreid.engine.checkpoints.provenance import check_configuration, data_behind, state_of_header
from promptreid.engine.checkpoints.training_state import check_resumable
from promptreid.models.weights import read_state_dict
from promptreid.retrieval.loading import configuration_of

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}
DATA = {
    "identities": 3,
    "cameras": 2,
    "camera_rows": {"SYSU": 0},
    "modalities": ["visible", "infrared"],
    "images_per_sample": 1,
}
CONFIG = "model:\n  name: mip_vit_tiny_patch16\ndata:\n  height: 64\n"
RUN: dict[str, Any] = {
    "state_dict": STATE,
    "epoch": 2,
    "step": 1,
    "batches": 7,
    "evaluated": True,
    "rank1": 0.5,
    "data": DATA,
    "config": CONFIG,
    "split": "sysu",
    "versions": {"torch": "2.12"},
    "optimizer": {"state": {}},
    "scheduler": {"last_epoch": 2},
    "processes": 1,
}


def read(name: str) -> Any:
    """A parser of weights in a file of this name."""

    def parse(folder: Path, content: bytes) -> object:
        (folder / name).write_bytes(content)
        state = read_state_dict(folder / name)
        assert all(isinstance(value, Tensor) and isinstance(key, str) for key, value in state.items()), "no state dict"
        return state

    return parse


def header(folder: Path, content: bytes) -> object:
    """What the header of a file of weights says, as bytes of its JSON, and what a test makes of that."""
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content + bytes(8))
    about = checkpoint.about_weights(path)
    check_configuration(state_of_header(about)["config"], CONFIG, path, True)
    return data_behind(path), read_state_dict(path)


def made_header(folder: Path, content: bytes) -> object:
    """A file of weights whose header says altered things of its training."""
    source = Source(content)
    text = CONFIG if source.once_in(3) else source.rest()[:2000].decode("utf-8", "replace")
    about = {"data": json.dumps(source.altered(DATA)), "config": text.replace("plugins", ""), "epoch": source.text()}
    clean = {name: value.encode("utf-8", "replace").decode() for name, value in about.items()}
    path = folder / "model.safetensors"
    path.write_bytes(safetensors_bytes(STATE, clean))
    check_configuration(state_of_header(checkpoint.about_weights(path))["config"], CONFIG, path, True)
    return data_behind(path), configuration_of(path)


def made_checkpoint(folder: Path, content: bytes) -> object:
    """A checkpoint with altered entries, and what tests and resumed runs ask of it."""
    source = Source(content)
    run = dict(RUN)
    for _ in range(source.number(0, 3)):
        name = source.choice(sorted(RUN))
        if source.once_in(3):
            run.pop(name, None)
        else:
            run[name] = source.altered(run[name]) if name in run and name != "state_dict" else source.value()
    path = folder / "model.pth.tar-2"
    torch.save(run, path)
    state = checkpoint.load(path)
    data_behind(path)
    configuration_of(path)
    check_configuration(str(state.get("config", "")), CONFIG, path, True)
    weights = read_state_dict(path)
    check_resumable(state, path)
    return Position.of(state), weights


def raw_checkpoint(folder: Path, content: bytes) -> object:
    """Any bytes as the newest checkpoint of a run."""
    path = folder / "model.pth.tar-2"
    path.write_bytes(content)
    return checkpoint.load_newest(folder)


def made_pickle(folder: Path, content: bytes) -> object:
    """Instructions of pickles in any order, in torch's zip file or in a TorchScript archive."""
    source = Source(content)
    script = source.once_in(2)
    body = b"\x80\x02" + b"".join(_instruction(source) for _ in range(source.number(0, 60))) + b"."
    path = folder / ("a.pt" if script else "a.pth")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", body)
        archive.writestr("a/version", b"3\n")
        archive.writestr("a/byteorder", b"little")
        archive.writestr("a/data/0", bytes(24))
        if script:
            archive.writestr("a/constants.pkl", b"\x80\x02).")
    return read_state_dict(path)


def _instruction(source: Source) -> bytes:
    number = struct.pack("<i", source.choice((0, 1, 2, 255, 2**31 - 1, -1)))
    name = source.choice(GLOBALS)
    options = [
        b"(",
        b")",
        b"]",
        b"}",
        b"N",
        b"\x88",
        b"K" + source.bytes(1).ljust(1, b"\0"),
        b"J" + number,
        b"c" + name,
        b"R",
        b"\x81",
        b"b",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"e",
        b"a",
        b"u",
        b"s",
        b"Q",
        b"q\0",
        b"q\1",
        b"h\0",
        b"h\1",
        b"r" + number,
        b"j" + number,
        b"X\3\0\0\0abc",
        b"X\7\0\0\0storage",
        b"X\1\0\0\0" + source.choice((b"0", b"1", b"/")),
        b"X\3\0\0\0cpu",
        b"2",
        b"0",
        b"1",
        b"\x8a\4" + number,
        b"G" + source.bytes(8).ljust(8, b"\0"),
        TENSOR,
        TENSOR,
    ]
    return source.choice(options)


GLOBALS = (
    b"torch\nFloatStorage\n",
    b"torch._utils\n_rebuild_tensor_v2\n",
    b"collections\nOrderedDict\n",
    b"torch\nfloat32\n",
    b"torch\nSize\n",
    b"__torch__\nA\n",
    b"torch._utils\n_rebuild_parameter\n",
    b"os\nsystem\n",
    b"builtins\neval\n",
    b"builtins\nbytearray\n",
    b"torch\nTensor\n",
    b"torch._tensor\n_rebuild_from_type_v2\n",
    b"torch.jit._pickle\nbuild_intlist\n",
    b"_codecs\nencode\n",
    b"torch.serialization\n_get_layout\n",
    b"torch\ndevice\n",
    b"torch._utils\n_rebuild_sparse_tensor\n",
    b"torch.nn\nModule\n",
    b"torch._utils\n_rebuild_meta_tensor_no_storage\n",
    b"torch._utils\n_rebuild_qtensor\n",
    b"torch\nUntypedStorage\n",
)
TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
    b"0X\3\0\0\0cpuK\6tQK\0K\2K\3\x86K\3K\1\x86\x89"
    b"ccollections\nOrderedDict\n)RtR"
)


def _pth_seeds() -> list[bytes]:
    found = []
    for content in (STATE, {"state_dict": STATE, "names": ["a", ("b", None)]}, [1], {"a": torch.ones(1).expand(10**9)}):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            found.append(file.getvalue())
    return found


def _script_seeds() -> list[bytes]:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return [file.getvalue()]


def _header_seeds() -> list[bytes]:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    more = {"a": entry, "__metadata__": {"data": json.dumps(DATA), "config": CONFIG}}
    odd: list[Any] = [
        {"a": {**entry, "dtype": "F8_E4M3"}},
        {"a": {**entry, "shape": [2**40, 2**40]}},
        {"a": {**entry, "shape": []}},
        [],
        {"__metadata__": 3},
        {"__metadata__": {"config": "[" * 500}},
        {"__metadata__": {"config": "- a"}},
        {"__metadata__": {"data": "[" * 9000}},
    ]
    return [json.dumps(one).encode() for one in (more, *odd)] + [b"[" * 9000]


def _checkpoint_seeds() -> list[bytes]:
    file = io.BytesIO()
    torch.save(RUN, file)
    return [file.getvalue()]


PICKLE = (
    b"PK\3\4",
    b"PK\1\2",
    b"PK\5\6",
    b"data.pkl",
    b"data/0",
    b"\x80\x02",
    b"q\0",
    b"tR",
    b"tQ",
    b"cos\nsystem\n",
    *GLOBALS[:6],
)
JSON = (
    b'"dtype":',
    b'"shape":',
    b'"data_offsets":',
    b"[0,8]",
    b'"F32"',
    b'"BF16"',
    b'"F4"',
    b"[",
    b"{",
    b'"__metadata__":',
    b"99999999999",
)

TARGETS = [
    Target("weights_pth", read("a.pth"), _pth_seeds, PICKLE),
    Target("weights_torchscript", read("a.pt"), _script_seeds, PICKLE, 20_000),
    Target("made_pickle", made_pickle, lambda: [bytes(8)]),
    Target("weights_safetensors", read("a.safetensors"), lambda: [safetensors_bytes(STATE, {"config": CONFIG})], JSON),
    Target("header", header, _header_seeds, JSON),
    Target("made_header", made_header, lambda: [b"\2", bytes(12) + CONFIG.encode()]),
    Target("checkpoint", raw_checkpoint, _checkpoint_seeds, PICKLE, 8192),
    Target("made_checkpoint", made_checkpoint, lambda: [bytes(8)]),
]
