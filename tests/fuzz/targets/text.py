"""Lists, configurations and other files that people write by hand."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from tests.fuzz.outcome import Target

from promptreid.config import plugins
from promptreid.config.load import load_config
from promptreid.datasets import lists
from promptreid.evaluation.statistics.per_query import COLUMNS, PerQuery
from promptreid.runs.tables.own_table import read_table
from promptreid.synthetic.manifest import read_manifest

ROOT = Path(__file__).parents[3]


def ids(folder: Path, content: bytes) -> object:
    """``exp/train_id.txt`` and its like."""
    file = folder / "ids.txt"
    file.write_bytes(content)
    return lists.read_ids(file)


def image_list(folder: Path, content: bytes) -> object:
    """``idx/train_vis.txt`` and its like, with a check of its labels."""
    for person in ("1", "0002", "٣"):
        place = folder / "vis" / person
        if not place.is_dir():
            place.mkdir(parents=True)
            for name in ("a.jpg", "B.PNG", "b.jpg", "c_c01.jpg"):
                (place / name).touch()
    (folder / "idx").mkdir(exist_ok=True)
    (folder / "idx" / "train.txt").write_bytes(content)
    entries = lists.read_list(folder, "train.txt", "vis")
    lists.check_labels([entries, entries[:-1] or entries])
    lists.check_disjoint(entries[:1], entries[1:])
    return entries


def configuration(folder: Path, content: bytes) -> object:
    """A YAML file of keys, by :func:`load_config`. Plugins run as programs, so none is named."""
    if b"plugins" in content or b"\\" in content:
        return None
    file = folder / "own.yaml"
    file.write_bytes(content)
    with patch.object(plugins, "entry_points", lambda **group: ()):  # which looks through all installed packages
        return load_config(file)


def own_table(folder: Path, content: bytes) -> object:
    """The YAML file of a table of one's own."""
    if b"plugins" in content or b"\\" in content:
        return None
    (folder / "own.yaml").touch()
    file = folder / "table.yaml"
    file.write_bytes(content)
    return read_table(file)


def per_query(folder: Path, content: bytes) -> object:
    """The table of every query's outcome."""
    file = folder / "per-query.csv"
    file.write_bytes(content)
    return PerQuery.load(file)


def manifest(folder: Path, content: bytes) -> object:
    """``synthetic.json``."""
    (folder / "synthetic.json").write_bytes(content)
    return read_manifest(folder)


def _id_seeds() -> list[bytes]:
    return [b"1,2,3\n", b"\xef\xbb\xbf7\r\n", "１,٢".encode(), b"1\n2\n3", b"9" * 5000, b"0x1,1_0", b"\xff\xfe1\0"]


def _list_seeds() -> list[bytes]:
    return [
        b"vis/1/a.jpg 0\nvis/0002/b.jpg 1\n",
        b"vis/01/A.png 0\r\n",
        "vis/٣/a.jpg ١\n".encode(),
        b"vis/1/a.jpg " + b"9" * 5000,
        b"vis/../a.jpg 0",
        b"vis/1/a\0.jpg 0",
        b"vis/1/b 0\nvis/2/c_c01.jpg 1",
    ]


def _yaml_seeds() -> list[bytes]:
    shipped = sorted((ROOT / "configs").rglob("*.yaml"))
    bombs = [
        b"a: &a {x: 1}\nb: &b {x: *a, y: *a}\nc: &c {x: *b, y: *b}\ntrain: *c",
        b"train: &a\n  lr: *a",
        b"<<: {train: {lr: 1}}",
        b"train: {lr: 2001-99-99, max_epoch: 1:60:60}",
        b"train: {lr: !!int '', max_epoch: !!float ''}",
        b"train: {lr: !!timestamp x, max_epoch: !!bool x}",
        b"train: {lr: !!python/name:os.system , max_epoch: !!binary x}",
        b"train: {lr: !!omap [a: 1], max_epoch: !!set {a, b}, seed: !!pairs [a: 1]}",
        b"? [a, b]\n: 1\n",
        b"{" * 2000,
        b"- " * 2000,
        b"train: {lr: 0x" + b"f" * 5000 + b"}",
        b"_BASE_: own.yaml",
        b"_BASE_: [own.yaml]",
        b"_BASE_: ../own.yaml\n",
        b"a.b: 1\na: {b: 2}",
        b"train: 3\ndata: {sources: ['a', '[b]'], height: '(1'}",
        b"--- a\n--- b\n",
    ]
    return [file.read_bytes() for file in shipped[:4]] + bombs


def _table_seeds() -> list[bytes]:
    return [
        b"title: A\nrows:\n  a: {name: plain ViT, config: own.yaml}\n  b: {config: own.yaml, set: {a: {b: x}}}\n",
        b"rows: {a: {config: own.yaml, set: 3, trained: x}}\nreference: [a]\nmissing: {}\nnote: 1",
        b"rows: {a: {config: [own.yaml]}}",
        b"rows: {a: {config: own.yaml, set: {a: &a {b: *a}}}}",
    ]


def _csv_seeds() -> list[bytes]:
    head = ",".join(COLUMNS).encode() + b"\n"
    row = b"sysu-python,plain,0,a.jpg,1,2,1,0.5,0.25,3\n"
    return [
        head + row,
        head,
        b"",
        head + row * 3 + b"a,b\n",
        head + b'"' + b"x" * 200_000,
        head + b"a\0b\n",
        b"\xff" + head,
    ]


YAML = (
    b"train:",
    b"model: ",
    b"data: ",
    b"lr: ",
    b"name: ",
    b"max_epoch: ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!int ",
    b"!!float ",
    b"!!binary ",
    b"!!timestamp ",
    b"!!set ",
    b"!!omap ",
    b"_BASE_: ",
    b"\n  ",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"? ",
    b": ",
    b"|\n",
    b">\n",
    b"0x",
    b"0b",
    b"1:2",
    b".inf",
    b".nan",
    b"null",
    b"~",
    b"---\n",
    b"'",
    b'"',
    b"#",
    b"@",
    b"`",
    b"%YAML 1.1\n",
)
DIGITS = (
    b",",
    b"\n",
    b"\r\n",
    b"0",
    b"-1",
    b"_",
    b" ",
    b"\xef\xbb\xbf",
    b"9" * 5000,
    "٣".encode(),
    b"vis/",
    b"a.jpg",
    b"\0",
    b"/",
)
CSV = (b",", b'"', b"\n", b"\r", b"\r\n", b"\0", b"nan", b"inf", b"1e400", b"-1", b"sysu", b"\xef\xbb\xbf", b"9" * 5000)

TARGETS = [
    Target("ids", ids, _id_seeds, DIGITS),
    Target("image_list", image_list, _list_seeds, DIGITS),
    Target("configuration", configuration, _yaml_seeds, YAML),
    Target("own_table", own_table, _table_seeds, (*YAML, b"rows: ", b"config: own.yaml", b"set: ", b"title: ")),
    Target("per_query", per_query, _csv_seeds, CSV),
    Target(
        "manifest", manifest, lambda: [b'{"renderer": 1}', b"[1, 2]", b"[[1, 2]]", b"[" * 5000], (b"{", b"[", b'"a":')
    ),
]
