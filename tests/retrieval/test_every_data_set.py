"""What a run prints for a data set, tools/evaluate.py prints for the features that were extracted from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from every_data_set import BUILT, config_of, kind_of, write

from promptreid import DATASETS
from promptreid.datasets.as_triples import SUFFIX
from promptreid.evaluation.features_io import load_features, save_features
from promptreid.evaluation.protocols import find_protocols, oriented
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.retrieval.extraction import extract
from promptreid.runs.run import run


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The root of a data set, written once."""
    written: dict[str, Path] = {}

    def root_of(name: str) -> Path:
        kind = kind_of(name)
        if kind not in written:
            written[kind] = write(name, tmp_path_factory.mktemp(kind))
        return written[kind]

    return root_of


@pytest.mark.parametrize("name", BUILT)
def test_a_file_of_features_gives_the_numbers_of_the_run(
    name: str, roots: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = config_of(name, roots(name), tmp_path / "run", monkeypatch)
    (printed,) = run(cfg, eval_only=True).values()
    assert printed
    extracted = extract(cfg)
    for suffix in (".npz", ".safetensors"):
        save_features(extracted, tmp_path / f"f{suffix}")
        table = load_features(tmp_path / f"f{suffix}")
        for result in printed:
            assert 0 < result.mAP < 1 or name == "rgbnt201_dev"  # which has two identities here
            (protocol,) = find_protocols(result.protocol)
            sides = table.side("query"), table.side("gallery")
            again = oriented(protocol, table.modalities).evaluate(*sides, cfg.test.dist_metric)
            assert again.as_dict() == result.as_dict()


@pytest.mark.parametrize("name", ["msvr310", "rgbnt201", "llcm_v2i_readme_2023"])
def test_and_re_ranked_cosines_too(
    name: str, roots: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"test.rerank": True, "test.dist_metric": "cosine", "test.normalize_feature": True}
    cfg = config_of(name, roots(name), tmp_path / "run", monkeypatch, **changes)
    ((result, *_),) = run(cfg, eval_only=True).values()
    table = extract(cfg)
    plain, _, method = result.protocol.partition(" + ")
    (protocol,) = find_protocols(plain)
    sides = table.side("query"), table.side("gallery")
    again = oriented(protocol, table.modalities).evaluate(*sides, "cosine", rerank=KReciprocal())
    assert method == "k-reciprocal(20,6,0.3)"
    assert again.as_dict() == result.as_dict()


@pytest.mark.parametrize("name", [name for name in DATASETS if name.endswith(SUFFIX)])
def test_each_of_torchreids_own_sets_as_triples_has_its_protocol(name: str) -> None:
    printed = f"{name.removesuffix(SUFFIX)}-as-triples"
    (protocol,) = find_protocols(printed)
    assert (protocol.name, protocol.rule, protocol.level) == (printed, "camera", "image")


def test_scenes_go_into_the_file_where_images_have_them(
    roots: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = extract(config_of("msvr310", roots("msvr310"), tmp_path / "a", monkeypatch))
    assert all(f"_s{scene:03d}_" in path for scene, path in zip(table.scenes, table.paths, strict=True))
    assert extract(config_of("rgbnt201", roots("rgbnt201"), tmp_path / "b", monkeypatch)).scenes is None
