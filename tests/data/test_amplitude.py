"""Low-frequency amplitudes that bands of one identity exchange: the transform, and the step on a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import small_config
from torch import Tensor
from triple_sets import NAMES, Triples, register, write_triples

from promptreid.data.amplitude import AmplitudeSwap, low_frequencies, swap_amplitude
from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.data.dataset import ModalDataset
from promptreid.data.manager import ModalDataManager
from promptreid.data.transforms import Augmentation
from promptreid.runs.build import build_datamanager

HEIGHT, WIDTH = 12, 10
PLAIN: dict[str, Any] = {"mean": [0.0] * 3, "std": [1.0] * 3}


def pictures(count: int, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def spectrum(channel: np.ndarray) -> np.ndarray:
    """The discrete Fourier transform by its definition."""
    height, width = channel.shape
    found = np.zeros((height, width), dtype=complex)
    for u in range(height):
        for v in range(width):
            for y in range(height):
                for x in range(width):
                    found[u, v] += channel[y, x] * np.exp(-2j * np.pi * (u * y / height + v * x / width))
    return found


def slow_swap(image: np.ndarray, partner: np.ndarray, window: float) -> np.ndarray:
    """One channel: loops over all frequencies, and the sum of waves that they stand for."""
    height, width = image.shape
    own, other = spectrum(image), spectrum(partner)
    result = np.zeros((height, width), dtype=complex)
    for u in range(height):
        for v in range(width):
            rows, columns = min(u, height - u) / height, min(v, width - v) / width
            value = own[u, v]
            if rows < window and columns < window:
                value = abs(other[u, v]) * np.exp(1j * np.angle(value))
            for y in range(height):
                for x in range(width):
                    result[y, x] += value * np.exp(2j * np.pi * (u * y / height + v * x / width))
    assert abs(result.imag).max() < 1e-6
    return result.real / (height * width)


@pytest.mark.parametrize("window", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("size", [(6, 5), (5, 8)])
def test_slow_twin(window: float, size: tuple[int, int]) -> None:
    image, partner = pictures(2, size=size).double()
    fast = swap_amplitude(image, partner, window)
    for channel in range(3):
        slow = slow_swap(image[channel].numpy(), partner[channel].numpy(), window)
        np.testing.assert_allclose(fast[channel].numpy(), slow, atol=1e-10)


def test_the_smallest_window_exchanges_the_mean_alone() -> None:
    image, partner = pictures(2).double()
    means = partner.mean(dim=(1, 2), keepdim=True) - image.mean(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(swap_amplitude(image, partner, 1e-6), image + means)


@given(st.integers(0, 1000), st.floats(0, 0.5), st.integers(2, 17), st.integers(2, 17))
def test_phase_stays_and_energy_moves_within_the_window_alone(
    seed: int, window: float, height: int, width: int
) -> None:
    image, partner = pictures(2, seed, (height, width)).double()
    before, other, after = (torch.fft.rfft2(x) for x in (image, partner, swap_amplitude(image, partner, window)))
    inside = low_frequencies(height, width, window)
    torch.testing.assert_close(after[:, ~inside], before[:, ~inside])
    torch.testing.assert_close(after[:, inside].abs(), other[:, inside].abs())
    torch.testing.assert_close(after * before.abs(), before * after.abs(), atol=1e-9, rtol=1e-9)


def test_window_0_and_a_picture_with_itself_change_nothing() -> None:
    image, partner = pictures(2)
    assert swap_amplitude(image, partner, 0.0) is image
    assert int(low_frequencies(8, 8, 0.0).sum()) == 0
    torch.testing.assert_close(swap_amplitude(image, image, 0.3), image)


def test_a_black_picture_gets_light() -> None:
    _, partner = pictures(2)
    lit = swap_amplitude(torch.zeros_like(partner), partner, 1e-6)
    torch.testing.assert_close(lit, partner.mean(dim=(1, 2), keepdim=True).expand_as(partner))


def test_the_window_is_a_square_of_frequencies() -> None:
    inside = low_frequencies(256, 128, 0.05)
    rows, columns = inside.any(dim=1).nonzero().flatten().tolist(), inside.any(dim=0).nonzero().flatten().tolist()
    assert rows == [*range(13), *range(256 - 12, 256)] and columns == [*range(7)]


@pytest.mark.parametrize(("size", "window"), [((12, 9), 0.1), ((12, 10), -0.1), ((12, 10), 0.6)])
def test_bad_arguments(size: tuple[int, int], window: float) -> None:
    with pytest.raises(ValueError, match=r"images of shapes .* the shapes must be the same, and the window from 0"):
        swap_amplitude(pictures(1)[0], pictures(1, size=size)[0], window)


@pytest.mark.parametrize(("p", "window"), [(0.0, 0.1), (1.1, 0.1), (0.5, 0.0), (0.5, 0.7)])
def test_bad_settings(p: float, window: float) -> None:
    with pytest.raises(ValueError, match=r"p .* must be above 0 and at most 1, and window"):
        AmplitudeSwap(p, window, **PLAIN)


def item(pid: int, images: Tensor, modality: list[int], present: list[bool] | None = None) -> dict[str, Any]:
    return {"pid": pid, "img": ModalBatch.sample(images, modality, 0, present), "impath": f"{pid}"}


def images_of(items: list[dict[str, Any]]) -> Tensor:
    return torch.cat([each["img"]["images"] for each in items])


def test_partners_are_of_the_same_identity_and_another_band() -> None:
    """With means 0, 1, 2, ... each image's new mean tells its partner."""
    levels = torch.arange(8.0)[:, None, None, None].expand(8, 3, 4, 4)
    rows = [(1, 0), (1, 0), (1, 1), (1, 1), (2, 0), (2, 1), (3, 0), (3, 0)]
    items = [item(pid, levels[n : n + 1], [band]) for n, (pid, band) in enumerate(rows)]
    swap = AmplitudeSwap(1.0, 0.1, **PLAIN)
    torch.manual_seed(0)
    seen = torch.stack([images_of(swap(items)).mean(dim=(1, 2, 3)) for _ in range(40)]).round().int()
    partners = [set(column.tolist()) for column in seen.T]
    assert partners == [{2, 3}, {2, 3}, {0, 1}, {0, 1}, {5}, {4}, {6}, {7}]


def test_one_band_alone_is_left_as_it_is() -> None:
    items = [item(1, pictures(1, seed), [0]) for seed in range(3)]
    assert AmplitudeSwap(1.0, 0.3, **PLAIN)(items) == items


def test_missing_images_neither_give_nor_take() -> None:
    images = pictures(3)
    images[1] = 0
    (swapped,) = AmplitudeSwap(1.0, 0.2, **PLAIN)([item(1, images, [0, 1, 2], [True, False, True])])
    torch.testing.assert_close(swapped["img"]["images"][0], swap_amplitude(images[0], images[2], 0.2))
    assert torch.equal(swapped["img"]["images"][1], torch.zeros(3, HEIGHT, WIDTH))
    torch.testing.assert_close(swapped["img"]["images"][2], swap_amplitude(images[2], images[0], 0.2))


def test_normalisation_is_undone_for_it() -> None:
    light = pictures(2)
    mean, std = [0.5, 0.4, 0.3], [0.5, 0.25, 0.2]
    shift, scale = (torch.tensor(values)[:, None, None] for values in (mean, std))
    items = [item(1, ((picture - shift) / scale)[None], [band]) for band, picture in enumerate(light)]
    first, second = images_of(AmplitudeSwap(1.0, 0.2, mean, std)(items))
    torch.testing.assert_close(first * scale + shift, swap_amplitude(light[0], light[1], 0.2))
    torch.testing.assert_close(second * scale + shift, swap_amplitude(light[1], light[0], 0.2))
    assert torch.equal(images_of(items)[0], (light[0] - shift) / scale), "the items that were given stay"


def test_probability() -> None:
    items = [item(number // 2, pictures(1, number, (2, 2)), [number % 2]) for number in range(600)]
    torch.manual_seed(3)
    after = AmplitudeSwap(0.3, 0.2, **PLAIN)(items)
    assert 0.24 < np.mean([one is not other for one, other in zip(items, after, strict=True)]) < 0.36


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"amplitude_swap": 1.5}, r"data\.augment\.amplitude_swap 1\.5 must be from 0 to 1"),
        ({"amplitude_window": 0.8}, r"data\.augment\.amplitude_window 0\.8 must be from 0 to 0\.5"),
        ({"amplitude_swap": 0.5, "amplitude_window": 0.0}, r"changes nothing in a window of 0: raise"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**given)


class Single(ModalDataset):
    """Visible images alone."""

    modalities = NAMES[:1]

    def __init__(self, root: str = "", **kwargs: Any) -> None:
        files = sorted((Path(root) / NAMES[0]).iterdir())
        records = [(PathBundle({NAMES[0]: str(path)}, 0), int(path.stem.split("_")[0]), 0) for path in files]
        super().__init__(records, records, records, **kwargs)


def test_a_data_set_of_one_band_has_no_partners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, single=Single)
    root = write_triples(tmp_path)
    with pytest.raises(ValueError, match=r"amplitude_swap 0\.5: Single has visible images alone, .* set it to 0"):
        ModalDataManager(
            root=str(root), sources=["single"], height=24, width=12, use_gpu=False, workers=0,
            augment=Augmentation(amplitude_swap=0.5),
        )  # fmt: skip


def test_the_key_changes_train_batches_and_nothing_else(small_root: Path, tmp_path: Path) -> None:
    def first(**keys: Any) -> tuple[Tensor, Tensor]:
        data = build_datamanager(small_config(small_root, tmp_path, **keys), use_gpu=False)
        query = next(iter(data.test_loader["sysu_mm01"]["query"]))
        return next(iter(data.train_loader))["img"]["images"], query["img"]["images"]

    plain, tested = first()
    swapped, tested_too = first(**{"data.augment.amplitude_swap": 0.5, "data.augment.amplitude_window": 0.2})
    again, _ = first(**{"data.augment.amplitude_swap": 0.5, "data.augment.amplitude_window": 0.2})
    other_window, _ = first(**{"data.augment.amplitude_swap": 0.5, "data.augment.amplitude_window": 0.01})
    changed = (plain != swapped).flatten(1).any(dim=1)
    assert 0.2 < changed.float().mean() < 0.8
    assert torch.equal(tested, tested_too) and torch.equal(swapped, again)
    assert torch.equal((plain != other_window).flatten(1).any(dim=1), changed), "the same images, by another window"
    assert not torch.equal(swapped, other_window)


def test_triples_exchange_among_their_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, triples=Triples)
    settings: dict[str, Any] = {
        "root": str(write_triples(tmp_path)), "sources": ["triples"], "height": 24, "width": 12, "transforms": [],
        "use_gpu": False, "batch_size_train": 4, "num_instances": 2, "workers": 0, "train_sampler": "IdentitySampler",
    }  # fmt: skip
    plain, swapped = (
        next(iter(ModalDataManager(**settings, augment=augment).train_loader))["img"]["images"]
        for augment in (None, Augmentation(amplitude_swap=1.0))
    )
    assert (plain != swapped).flatten(2).any(dim=2).all()
