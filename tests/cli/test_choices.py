"""What the parsers offer is what the library has."""

from __future__ import annotations

from promptreid.cli import choices
from promptreid.config.defaults import default_config
from promptreid.config.keys import flatten
from promptreid.data.transforms import INTERPOLATIONS, PLAIN
from promptreid.datasets.published import PUBLISHED
from promptreid.datasets.table import NAME
from promptreid.evaluation.features_io import SUFFIXES
from promptreid.evaluation.ranking.distances import METRICS
from promptreid.evaluation.ranking.expansion import QueryExpansion
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.methods.mip.convert import DATA
from promptreid.methods.mip.released_model import IMAGE_SIZE, STRIDE
from promptreid.models.backbones.bundled_towers import MINI
from promptreid.pretraining.images import FIRST_SEED
from promptreid.runs.tables.definitions import TABLES
from promptreid.synthetic import TREES
from promptreid.visual.report.parts import SKIPPABLE


def test_names() -> None:
    assert tuple(sorted(PUBLISHED)) == choices.CHECKED_DATA
    assert tuple(sorted(TREES)) == choices.RENDERED_DATA
    assert NAME == choices.OWN_DATA
    assert tuple(TABLES) == choices.TABLES
    assert tuple(DATA) == choices.MIP_RELEASES
    assert tuple(MINI) == choices.TOWERS
    assert (*SUFFIXES, ".mat") == choices.FEATURE_SUFFIXES
    assert METRICS == choices.METRICS
    assert SKIPPABLE == choices.REPORT_PARTS
    assert (INTERPOLATIONS, PLAIN) == (choices.INTERPOLATIONS, choices.PLAIN)


def test_no_other_key_of_the_configuration_is_without_a_dot() -> None:
    assert {key for key in flatten(default_config()) if "." not in key} == set(choices.TOP_LEVEL_KEYS)


def test_defaults() -> None:
    assert KReciprocal() == KReciprocal(choices.RERANK_K1, choices.RERANK_K2, choices.RERANK_LAMBDA)
    assert QueryExpansion() == QueryExpansion(choices.AQE_K, choices.AQE_ALPHA)
    assert (STRIDE, IMAGE_SIZE) == (choices.MIP_STRIDE, choices.MIP_IMAGE_SIZE)
    assert FIRST_SEED == choices.FIRST_SEED
