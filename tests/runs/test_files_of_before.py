"""Files that code of 0.1 wrote (in ``before_0_2``) load, score and are searched as they were then.

Features and the table of queries are those of the small MIP run beside them; vectors, galleries and the compressor are
of the first code that wrote such files.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import promptreid
from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.evaluation.features_io import SUFFIXES, load_features
from promptreid.evaluation.protocols import SYSUProtocol
from promptreid.evaluation.statistics.per_query import COLUMNS, PerQuery
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.embedding_files import load_embeddings

KEPT = Path(__file__).with_name("before_0_2")
RESULTS = json.loads((KEPT / "mip" / "results-sysu_mm01.json").read_text())["results"]
HITS = json.loads((KEPT / "vectors" / "hits.json").read_text())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_features_score_as_the_run_did(suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table = load_features(KEPT / "features" / f"features{suffix}")
    assert table.modalities == (["infrared"], ["visible"])
    protocol = SYSUProtocol("indoor", 1)
    result = protocol.evaluate(table.side("query"), table.side("gallery"))
    then = next(row for row in RESULTS if row["protocol"] == result.protocol)
    now = result.as_dict()
    assert [now[name] for name in ("mAP", "mINP")] == pytest.approx([then[name] for name in ("mAP", "mINP")], abs=1e-9)
    assert now["rank"]["1"] == pytest.approx(then["rank"]["1"], abs=1e-9)


def test_the_table_of_queries_says_the_same_as_the_features() -> None:
    table, protocol = load_features(KEPT / "features" / "features.npz"), SYSUProtocol("indoor", 1)
    query, gallery = table.side("query"), table.side("gallery")
    now = PerQuery.of(protocol.evaluate(query, gallery), protocol, query, gallery).columns
    then = PerQuery.load(KEPT / "features" / "per-query.csv").columns
    rows = now["trial"] < 2
    assert then["trial"].max() == 1
    for name in COLUMNS:
        np.testing.assert_array_equal(now[name][rows], then[name], err_msg=name)


def test_a_checkpoint_and_its_configuration_make_the_model() -> None:
    state = checkpoint.load(KEPT / "mip" / "model" / "model.pth.tar-2")
    assert (state["epoch"], state["config"].partition("\n")[0]) == (2, "model:")
    load_config(KEPT / "mip" / "config.yaml")
    reid = promptreid.load(KEPT / "mip" / "model" / "model.pth.tar-2")
    image = np.full((32, 16, 3), 90, np.uint8)
    found = reid.embed([image], band="visible")
    assert found.vectors.shape == (1, load_features(KEPT / "features" / "features.npz").features.shape[1])


@pytest.mark.parametrize("suffix", [".safetensors", ".parquet"])
def test_vectors_are_what_they_were(suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    found, columns = load_embeddings(KEPT / "vectors" / f"vectors{suffix}")
    assert len(found) == 20
    assert columns["pids"].tolist() == [row % 5 for row in range(20)]
    index = promptreid.GalleryIndex(found.model)
    index.add(found)
    queries, _ = load_embeddings(KEPT / "vectors" / "queries.safetensors")
    assert [list(ids) for ids in index.search(queries, k=3).ids] == HITS["ids"]


def test_a_gallery_is_searched_as_it_was() -> None:
    index = promptreid.GalleryIndex.load(KEPT / "vectors" / "gallery.safetensors")
    queries, _ = load_embeddings(KEPT / "vectors" / "queries.safetensors")
    found = index.search(queries, k=3)
    assert [list(ids) for ids in found.ids] == HITS["ids"]
    np.testing.assert_allclose(found.scores, HITS["scores"], atol=1e-6)
    assert found.known == (True, True)
    assert index.threshold is not None and (index.threshold.pairs, index.threshold.far) == (1650, 0.05)
    assert len(index.search(queries, k=20, since=10.0, cameras=[1]).ids[0]) == 2


def test_a_compressed_gallery_and_its_compressor() -> None:
    index = promptreid.GalleryIndex.load(KEPT / "vectors" / "gallery-int8.safetensors")
    small = Compressor.load(KEPT / "vectors" / "compressor.safetensors")
    assert index.compressor is not None and index.compressor.digest == small.digest
    queries, _ = load_embeddings(KEPT / "vectors" / "queries.safetensors")
    assert [list(ids) for ids in index.search(queries, k=3).ids] == [["0-10", "0-15", "0-0"], ["0-18", "0-3", "0-8"]]
    assert small.apply(queries).model == index.model
