"""Pictures of ranked lists: what is in them, in which order, and how right and wrong differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_data_set import config_of, write
from PIL import Image
from toy_triples import ToyTriples, write_triples

from promptreid import host
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.evaluation.protocols import find_protocols, oriented
from promptreid.evaluation.statistics.per_query import PerQuery
from promptreid.retrieval.extraction import extract
from promptreid.runs.load_trained import open_target, trained_engine
from promptreid.runs.run import run
from promptreid.visual.rank_lists import QUERY, RIGHT, WRONG, Shown, draw_rank_list

SIZE = (160, 80)
STEP = 80 + 2 * 4 + 6  # an image, its frame, the gap


def plain(path: Path, *colours: tuple[int, int, int]) -> tuple[str, ...]:
    """Images of one colour each."""
    files = []
    for number, colour in enumerate(colours):
        files.append(str(path.with_name(f"{path.name}-{number}.png")))
        Image.new("RGB", (8, 16), colour).save(files[-1])
    return tuple(files)


def centres(picture: Image.Image, row: int = 0) -> list[tuple[int, int, int]]:
    """The colours in the middle of the query and of the images beside it, by the query's frame."""
    pixels = np.asarray(picture)
    top, left = np.argwhere((pixels == QUERY).all(axis=2) & (np.arange(len(pixels)) > 25)[:, None])[0]
    found = []
    for x in (left, *range(left + STEP + 20, pixels.shape[1] - 80, STEP)):
        found.append(tuple(int(v) for v in pixels[top + row * (160 + 8 + 6) + 84, x + 44]))
    return found


def test_images_stand_in_their_order_with_every_band(tmp_path: Path) -> None:
    colours = [(10 * n, 200 - 10 * n, 50) for n in range(4)]
    shown = [
        Shown(plain(tmp_path / str(n), colour, colour[::-1]), (), None if n == 0 else n == 2)
        for n, colour in enumerate(colours)
    ]
    picture = draw_rank_list(shown[0], shown[1:], size=SIZE)
    assert centres(picture) == colours
    assert centres(picture, row=1) == [colour[::-1] for colour in colours]


def test_right_and_wrong_differ_in_colour_in_grey_and_in_their_marks(tmp_path: Path) -> None:
    image = plain(tmp_path / "a", (90, 90, 90))
    pictures = {right: draw_rank_list(Shown(image), [Shown(image, (), right)], size=SIZE) for right in (True, False)}
    frames = {right: {tuple(c) for _, c in picture.getcolors(1 << 20)} for right, picture in pictures.items()}
    assert RIGHT in frames[True] and RIGHT not in frames[False]
    assert WRONG in frames[False] and WRONG not in frames[True]
    marks = {}
    for right, colour in ((True, RIGHT), (False, WRONG)):
        pixels = np.asarray(pictures[right])
        marks[right] = (pixels == colour).all(axis=2)[:28]  # above the images
    assert marks[True].any() and marks[False].any() and not np.array_equal(marks[True], marks[False])
    # Both frames have another brightness: a print without colours shows them, too.
    grey = [Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)) for colour in (RIGHT, WRONG)]
    assert abs(grey[0] - grey[1]) > 20


def test_a_missing_band_is_told_and_no_gallery_is_a_picture_too(tmp_path: Path) -> None:
    (image,) = plain(tmp_path / "a", (90, 90, 90))
    picture = draw_rank_list(Shown((None, image)), [], bands=("RGB", "NIR"), title="t\xfcr" * 200, size=SIZE)
    assert {(200, 200, 200), (90, 90, 90)} <= {colour for _, colour in picture.getcolors(1 << 20)}
    assert picture.width > 1000  # the title's


def drawn(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Any, list[Any], Path]:
    settings = {"test.visrank": True, "test.visrank_topk": 2, **changes}
    cfg = config_of(name, write(name, tmp_path), tmp_path / "run", monkeypatch, **settings)
    (results,) = run(cfg, eval_only=True).values()
    return cfg, results, tmp_path / "run" / f"visrank_{name}"


@pytest.mark.parametrize("name", ["sysu_mm01", "rgbnt201", "rgbnt100", "msvr310", "regdb_i2v"])
def test_one_picture_per_query_beside_the_numbers_of_the_protocol(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        cfg, results, folder = drawn(name, tmp_path, monkeypatch)
    saved = json.loads((tmp_path / "run" / f"results-{name}.json").read_text())["results"]
    assert [result["mAP"] for result in saved] == [result.mAP for result in results]
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("[")]
    assert [line.partition("] ")[2] for line in lines] == [result.line() for result in results]
    assert all(line.startswith("[given") for line in lines)  # a small tree is told to be a part of the published one
    count = results[0].num_valid + results[0].num_invalid
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == count > 5
    table = extract(cfg)
    pids = table.side("query").pids
    assert [f"-pid-{pid}-" in name for pid, name in zip(pids, names, strict=True)] == [True] * count
    assert [int(name.split("-")[1]) for name in names] == list(range(count))
    if name != "rgbnt100":
        return
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run(cfg, eval_only=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["msvr310", "sysu_mm01", "llcm_v2i_readme_2023", "llcm_i2v"])
@pytest.mark.parametrize("rerank", [False, True])
def test_what_is_drawn_is_the_protocols_order(
    name: str, rerank: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the frames of each picture: the first match stands where the table of every query says."""
    calls: list[list[bool]] = []
    titles: list[str] = []

    def watch(query: Shown, gallery: list[Shown], **settings: Any) -> Image.Image:
        calls.append([bool(shown.right) for shown in gallery])
        titles.append(settings["title"])
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr("promptreid.visual.rank_lists.draw_rank_list", watch)
    cfg, results, _ = drawn(name, tmp_path, monkeypatch, **{"test.rerank": rerank, "test.visrank_topk": 400})
    table = extract(cfg)
    (protocol,) = find_protocols(results[0].protocol.split(" + ")[0])
    sides = table.side("query"), table.side("gallery")
    rows = PerQuery.of(results[0], oriented(protocol, table.modalities), *sides).columns
    first = rows["trial"] == 0
    assert [sum(call) for call in calls] == rows["matches"][first].tolist()
    for call, ap, title in zip(calls, rows["AP"][first], titles, strict=True):
        found = np.flatnonzero(call)
        if len(found):
            assert np.mean(np.arange(1, len(found) + 1) / (found + 1)) == pytest.approx(ap, abs=1e-12)
            assert f"AP {100 * ap:.2f} %" in title
        else:
            assert "no match in the gallery" in title


def test_a_gallery_smaller_than_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchreid's evaluator ends in numpy's complaint about an inhomogeneous shape."""

    class Tiny(ToyTriples):
        def queries(self, test: list[Any]) -> list[Any]:
            return test[:1]

        def __init__(self, root: str = "", **kwargs: Any) -> None:
            super().__init__(root, **kwargs)
            self.gallery = [self.gallery[row] for row in (0, 2, 6)]
            self.data = getattr(self, self.mode)

    write_triples(tmp_path)
    monkeypatch.setitem(host._DATASETS, "tiny_triples", Tiny)
    cfg = config_of("tiny_triples", tmp_path, tmp_path / "run", monkeypatch, **{"test.visrank": True})
    ((result,),) = run(cfg, eval_only=True).values()
    assert (result.num_valid, result.num_invalid) == (1, 0)
    (picture,) = (tmp_path / "run" / "visrank_tiny_triples").iterdir()
    assert picture.name == "query-0-pid-0-4_0_0.jpg"


def test_a_query_without_a_match_is_drawn_and_weights_that_are_no_numbers_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alone(ToyTriples):
        """The first query's identity is in no other image."""

        def queries(self, test: list[Any]) -> list[Any]:
            (path, _, camid), *others = test
            return [(path, 99, camid), *others[:3]]

    write_triples(tmp_path)
    monkeypatch.setitem(host._DATASETS, "alone_triples", Alone)
    cfg = config_of("alone_triples", tmp_path, tmp_path / "run", monkeypatch, **{"test.visrank": True})
    ((result,),) = run(cfg, eval_only=True).values()
    assert (result.num_valid, result.num_invalid) == (3, 1)
    names = sorted(path.name for path in (tmp_path / "run" / "visrank_alone_triples").iterdir())
    assert names == ["query-00-pid-99-4_0_0.jpg", *(f"query-0{n}-pid-0-4_{n // 2}_{n % 2}.jpg" for n in (1, 2, 3))]

    path, state = checkpoint.load_newest(tmp_path / "run" / "model")
    state["state_dict"]["mix.bias"][0] = float("nan")
    checkpoint.save(state, path.parent)
    with pytest.raises(ValueError, match=r"mix\.bias is not finite \(NaN or infinity\)"):
        run(cfg, eval_only=True)


def test_an_engine_that_cannot_draw_says_so_before_it_extracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = config_of("rgbnt201", write("rgbnt201", tmp_path), tmp_path / "run", monkeypatch)
    datamanager, _ = open_target(cfg)
    engine = trained_engine(cfg, datamanager)
    engine.draw = None
    monkeypatch.setattr(engine, "extract_features", None)
    with pytest.raises(ValueError, match=r"test\.visrank: this engine was built without what draws; pass draw="):
        engine.test(visrank=True, save_dir=str(tmp_path))


def test_training_does_not_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = config_of("rgbnt201", write("rgbnt201", tmp_path), tmp_path / "run", monkeypatch, **{"test.visrank": True})
    with pytest.raises(ValueError, match=r"test\.visrank draws rank lists only when nothing is trained"):
        run(cfg)
