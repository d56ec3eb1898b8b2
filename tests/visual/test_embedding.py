"""Features in a plane."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.visual.embedding import Points, embedding_figure
from promptreid.visual.projection import project


def drawn(count: int = 40, people: int = 5, bands: int = 2, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    pids, band = rng.integers(0, people, count), rng.integers(0, bands, count)
    features = rng.standard_normal((count, 8)) + 5 * rng.standard_normal((people, 8))[pids]
    return Points(features.astype(np.float32), pids, band, np.array(["visible", "infrared"])[band])


def test_three_panels_with_every_point_in_each() -> None:
    points = drawn()
    figure = embedding_figure(points, method="pca")
    assert [axes.get_title() for axes in figure.axes] == ["identity", "camera", "band"]
    for axes in figure.axes:
        assert sum(len(part.get_offsets()) for part in axes.collections) == 40
        assert all(part.get_rasterized() for part in axes.collections)
    assert [text.get_text() for text in figure.axes[2].get_legend().get_texts()] == ["IR", "RGB"]


def test_before_and_after_share_one_layout() -> None:
    points = drawn()
    other = Points(points.features + 3, points.pids, points.cameras, points.bands)
    figure = embedding_figure([("as trained", points), ("without bind", other)], method="pca")
    assert len(figure.axes) == 6 and len({axes.get_xlim() for axes in figure.axes}) == 1
    assert [figure.axes[row].get_ylabel() for row in (0, 3)] == ["as trained", "without bind"]
    with pytest.raises(ValueError, match="show different images"):
        embedding_figure([("a", points), ("b", drawn(seed=1))], method="pca")


def test_what_is_left_out_is_said() -> None:
    points = drawn(50, 40, 1)  # one band, and more identities than marks
    points.features[3] = np.nan
    figure = embedding_figure(points, method="pca", limit=30, title="run")
    title = figure.get_suptitle()
    assert title == "run; PCA of 30 images; 1 images with NaN left out; drawn at random from 49"
    assert sum(len(part.get_offsets()) for part in figure.axes[0].collections) == 30


def test_one_identity_is_drawn_and_bad_input_is_refused() -> None:
    embedding_figure(drawn(people=1, bands=1), method="pca", width="column")
    broken = drawn(4)
    broken.features[:2] = np.inf
    with pytest.raises(ValueError, match="2 images have finite features, at least 3"):
        embedding_figure(broken, method="pca")
    with pytest.raises(ValueError, match="'lle' is not one of tsne, umap, pca"):
        project(drawn().features, "lle")


def test_chosen_identities_are_those_of_most_bands() -> None:
    points = drawn(60, 10)
    points.bands[points.pids < 7] = "visible"
    chosen = points.of_identities(3)
    assert set(chosen.pids) == {7, 8, 9}
    assert len(points.of_identities(99)) == 60
