"""What smaller descriptors are said to score is what they score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vectors import description, vectors_of

import promptreid
from promptreid.retrieval.compression.comparison import ALONE, compare
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.embed_job import embed_to_file
from promptreid.retrieval.embedding_files import load_embeddings
from promptreid.retrieval.embeddings import Embeddings, scores
from promptreid.retrieval.object_lists import list_objects

IDS, CAMERAS = np.arange(120) % 12, np.arange(120) // 12 % 3
BANDS = [(True, True, True), (True, False, False), (True, True, False)]


def drawn(space: str = "shared", missing: bool = False) -> Embeddings:
    return vectors_of(description(space), IDS, 1, [BANDS[n % 3] for n in range(120)] if missing else None, 1.0)


def slow(embeddings: Embeddings, cameras: np.ndarray) -> tuple[float, float]:
    """Rank-1 and mAP, query by query; of an unknown camera, the query alone is passed over."""
    found, first, precisions = scores(embeddings, embeddings), [], []
    for row in range(len(embeddings)):
        seen = (IDS[row] != IDS) | (cameras != cameras[row]) | (cameras == -1)
        seen[row] = False
        order = [other for other in np.argsort(-found[row], kind="stable") if seen[other]]
        matches = [IDS[other] == IDS[row] for other in order]
        places = np.flatnonzero(matches)
        first.append(matches[0])
        precisions.append(np.mean([(n + 1) / (place + 1) for n, place in enumerate(places)]))
    return float(np.mean(first)), float(np.mean(precisions))


@pytest.mark.parametrize("cameras", [CAMERAS, np.full(120, -1)], ids=["known", "unknown"])
@pytest.mark.parametrize(("space", "missing"), [("shared", False), ("parts", True), ("whole", False)])
def test_objects_are_looked_for_among_all_others(space: str, missing: bool, cameras: np.ndarray) -> None:
    full = drawn(space, missing)
    small = Compressor.fit(full, dim=6, store="int8")
    found = compare(full, {"who": np.array([f"p{i}" for i in IDS]), "camids": cameras}, [small], identities="who")
    assert (found.protocol, found.objects, found.model) == (ALONE, 120, "toy")
    for row, vectors in zip(found.rows, (full, small.apply(full)), strict=True):
        assert (row.rank1, row.mAP) == pytest.approx(slow(vectors, cameras), abs=1e-6)
    first, second = found.rows
    assert (first.bytes, second.bytes, second.smaller) == (48, 6, 8)
    assert second.mAP_lost == pytest.approx(first.mAP - second.mAP) and second.compressor == small.digest
    assert json.loads(json.dumps(found.as_dict()))["rows"][1]["mAP"] == second.mAP
    lines = found.text().splitlines()
    assert lines[4].startswith("| full, 12, float32 | 48 | 1.0 x |") and lines[4].endswith("| | |")
    assert lines[5].startswith("| 6, int8 | 6 | 8.0 x |") and f"| {100 * second.mAP_lost:.2f} |" in lines[5]


def test_the_full_descriptor_of_a_run_scores_what_the_run_did(mip: Any, tmp_path: Path) -> None:
    reid = promptreid.load(mip.data.save_dir)
    files = {}
    for split in ("test", "train"):
        files[split] = tmp_path / f"{split}.safetensors"
        embed_to_file(reid, list_objects("sysu_mm01", reid.model, root=mip.data.root, split=split), files[split])
    test, columns = load_embeddings(files["test"])
    train, others = load_embeddings(files["train"])
    assert set(others["split"]) == {"train"} and not {*others["visible"]} & {*columns["visible"]} - {""}
    small = Compressor.fit(train, dim=8)
    (results,) = Path(mip.data.save_dir).glob("results-*.json")
    for number, record in enumerate(json.loads(results.read_text())["results"]):
        found = compare(test, columns, [small], None if number == 0 else record["protocol"])
        assert found.protocol == record["protocol"]
        assert found.rows[0].mAP == pytest.approx(record["mAP"], abs=1e-4)
        assert found.rows[0].rank1 == pytest.approx(record["rank"]["1"], abs=1e-4)
    assert compare(train, others, []).protocol == ALONE


def test_queries_and_gallery_without_a_protocol_are_tested_as_market1501() -> None:
    full = drawn("parts", True)
    columns = {"pids": IDS, "camids": CAMERAS, "split": np.array(["query", "gallery"] * 60)}
    columns["pids"] = np.arange(120) // 2 % 10
    found = compare(full, columns, [])
    assert found.protocol == "market1501"
    assert compare(full, columns, [], "nothing-excluded").protocol == "nothing-excluded"


def test_what_cannot_be_compared_is_refused() -> None:
    full, columns = drawn(), {"pids": IDS, "camids": CAMERAS}
    small = Compressor.fit(full, dim=6)
    for embeddings, given, protocol, message in [
        (full, {"place": IDS}, None, "no column 'pids' of identities; the file has place"),
        (full, {}, None, "no other columns"),
        (full, columns, "market1501", "needs a column split"),
        (small.apply(full), columns, None, "compressed already"),
        (full, {**columns, "split": np.array(["query", "gallery"] * 60)}, "markt1501", "unknown"),
    ]:
        with pytest.raises(ValueError, match=message):
            compare(embeddings, given, [small], protocol)
    other = Compressor.fit(vectors_of(description("shared", model_id="b" * 64), IDS), dim=6)
    with pytest.raises(ValueError, match="of different weights"):
        compare(full, columns, [other])
    unknown = vectors_of(description("shared", protocol="theirs"), IDS)
    with pytest.raises(ValueError, match="name another one with --protocol"):
        compare(unknown, {**columns, "split": np.array(["query", "gallery"] * 60)}, [])
