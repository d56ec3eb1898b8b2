"""The synthetic vehicles: always the same, on the picture, told apart by structure that all bands and views share."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from enum import IntEnum

import numpy as np
import pytest
from numpy.typing import NDArray

from promptreid import synthetic
from promptreid.synthetic import BANDS, RENDERERS, Frame, Shot, Style, Vehicle, render_shot, writer
from promptreid.synthetic.coachwork import coachwork
from promptreid.synthetic.layers import Layer
from promptreid.synthetic.sight import SIDES, Sight
from promptreid.synthetic.vehicle import KINDS
from promptreid.synthetic.vehicle_materials import RIVALS, VehiclePart, contrast_of, cooled
from promptreid.synthetic.vehicle_rendering import Drive, Look, vehicle_part_map

SIZE = (128, 256)
DAY, NIGHT = Style("vehicle"), Style("vehicle", night=frozenset(range(9, 17)))
LEFT, REAR, RIGHT = 2, 4, 6
EMPTY = (VehiclePart.BACKGROUND, VehiclePart.OCCLUDER, VehiclePart.SHADOW)


def vehicle_of(pid: int, seed: int = 0) -> Vehicle:
    return Vehicle.draw(synthetic.keyed(seed, "identity", pid))


def moment_of(pid: int, frame: int = 1) -> tuple[Frame, Drive]:
    rng = synthetic.keyed(0, "frame", pid, 1, frame)
    return Frame.draw(rng), Drive.draw(rng)


def parts_of(pid: int, side: int, camera: int = 1) -> NDArray[np.uint8]:
    """The map of parts of a vehicle from a side; the camera, frame and turn depend on nothing else."""
    frame, drive = moment_of(1)
    look = Look.at(vehicle_of(pid), writer._camera(0, camera, camera), frame, side, drive)
    return vehicle_part_map(vehicle_of(pid), look, frame, SIZE)


def picture(pid: int, camera: int, band: str, style: Style = DAY, frame: int = 1) -> NDArray[np.float64]:
    return render_shot(Shot("", pid, camera, frame, band), seed=0, location=1, size=SIZE, style=style).astype(float)


# Always the same


PIXELS = {
    1: "ab310a11dab51032b78829264a29792efd96795ddfe7913fd4b9eae4433dd132",
    2: "d97cc11d7abda8ff52d101ae45703cc451c134b70e950758481c9a5883aa807f",
}


@pytest.mark.parametrize("renderer", PIXELS)
def test_pixels_are_pinned(renderer: int) -> None:
    state = hashlib.sha256()
    for pid in range(1, 9):
        for band in BANDS:
            shot = Shot("", pid, pid + 8 * (pid % 2), pid, band)
            image = render_shot(shot, seed=5, location=pid, size=(64, 128), style=NIGHT, renderer=renderer)
            state.update(image.tobytes())
    assert state.hexdigest() == PIXELS[renderer]


def test_a_picture_depends_on_nothing_but_its_shot() -> None:
    alone = picture(3, 1, "visible")
    for pid in range(4, 9):
        picture(pid, 1, "visible")
    assert (picture(3, 1, "visible") == alone).all()


def test_noise_is_fresh_in_every_band_and_frame() -> None:
    """One noise in two bands of a moment would tell which pictures belong together."""
    frames, bands = [picture(1, 1, "near_infrared", frame=f) for f in (1, 2)], [picture(1, 1, b) for b in BANDS]
    assert (frames[0] != frames[1]).mean() > 0.5
    fine = [(np.diff(np.diff(image.mean(2), axis=1), axis=1)).ravel() for image in bands]
    flat = np.abs(np.stack(fine)).max(0) < 40
    assert abs(np.corrcoef(fine[1][flat], fine[2][flat])[0, 1]) < 0.1


# On the picture


@pytest.mark.parametrize("side", range(8))
def test_vehicles_fill_the_picture_and_stay_on_it(side: int) -> None:
    frame, drive = moment_of(1)
    for pid in range(60):
        vehicle = vehicle_of(pid)
        look = Look.at(vehicle, writer._camera(0, pid % 8, 1), frame, side, drive)
        layers = [layer for layer in coachwork(vehicle, look.sight) if layer.polygons and layer.within is None]
        body = [layer for layer in layers if layer.part in (VehiclePart.SIDE, VehiclePart.END, VehiclePart.TOP)]
        shares = look.project(np.array([point for layer in body for polygon in layer.polygons for point in polygon]))
        assert shares.min() > 0.0 and shares.max() < 1.0, (pid, vehicle.kind)
        extent = shares.max(0) - shares.min(0)
        assert extent[0] > 0.4 and extent[1] > 0.4, (pid, vehicle.kind)


@pytest.mark.parametrize("size", [(16, 32), (64, 128), (256, 128)])
def test_any_size(size: tuple[int, int]) -> None:
    for night in (1, 9):
        image = render_shot(Shot("", 1, night, 1, "visible"), seed=0, location=1, size=size, style=NIGHT)
        assert image.shape == (*size, 3)
        assert image.dtype == np.uint8


# Bands share the structure


def test_infrared_is_grey() -> None:
    for band in BANDS:
        image = picture(2, 1, band)
        assert bool((image == image[..., :1]).all()) == (band != "visible")


def test_bands_share_the_outlines() -> None:
    """Where the part changes, so does the picture, in each band."""
    contrast = defaultdict(list)
    for pid in range(8):
        frame, drive = moment_of(pid)
        look = Look.at(vehicle_of(pid), writer._camera(0, 1, 1), frame, 1, drive)
        parts = vehicle_part_map(vehicle_of(pid), look, frame, SIZE)[::2, ::2].astype(int)
        seen = ~np.isin(parts, EMPTY)
        pair = seen[1:] & seen[:-1]
        edge, flat = pair & (parts[1:] != parts[:-1]), pair & (parts[1:] == parts[:-1])
        for band in BANDS:
            step = np.abs(np.diff(picture(pid, 1, band).mean(2), axis=0))
            contrast[band].append(step[edge].mean() / step[flat].mean())
    assert {band: np.mean(ratios) > 1.5 for band, ratios in contrast.items()} == dict.fromkeys(BANDS, True)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_markings_stand_out_in_every_band_but_painted_ones_in_thermal(renderer: int) -> None:
    for pid in range(200):
        palette = Vehicle.draw(synthetic.keyed(0, "identity", pid), renderer).palette
        for band in ("near_infrared", "thermal_infrared"):
            for part, rival in RIVALS.items():
                gap = abs(int(palette[band][part, 0]) - int(palette[band][rival, 0]))
                if renderer == 2 and (band, part) == ("thermal_infrared", VehiclePart.MARKING):
                    assert gap <= 0.15 * 110 + 1
                else:
                    assert gap >= contrast_of(band, RENDERERS[renderer]) - 1, (pid, band, part)


@pytest.mark.parametrize(("renderer", "least", "most"), [(1, 0.1, 0.7), (2, 0.85, 0.99)])
def test_near_infrared_follows_the_paint_and_warmth_does_not(renderer: int, least: float, most: float) -> None:
    palettes = [Vehicle.draw(synthetic.keyed(0, "identity", pid), renderer).palette for pid in range(400)]
    levels = {band: [palette[band][VehiclePart.SIDE].mean() for palette in palettes] for band in BANDS}
    assert least < np.corrcoef(levels["visible"], levels["near_infrared"])[0, 1] < most
    assert abs(np.corrcoef(levels["visible"], levels["thermal_infrared"])[0, 1]) < 0.15


def test_the_motor_is_warm_and_the_glass_is_cold() -> None:
    for pid in range(50):
        table = vehicle_of(pid).palette["thermal_infrared"][:, 0].astype(int)
        warm, cold = cooled(vehicle_of(pid).palette["thermal_infrared"], 0.5)[:, 0].astype(int), VehiclePart.GLASS
        assert table[VehiclePart.BONNET] > warm[VehiclePart.BONNET] > table[VehiclePart.SIDE] > table[cold]
        assert abs(2 * (warm - table[VehiclePart.SIDE]) - (table - table[VehiclePart.SIDE]))[VehiclePart.TYRE] <= 2
        assert warm[VehiclePart.SIDE] == table[VehiclePart.SIDE]


# Identities and views


def test_vehicles_are_many() -> None:
    def structure(pid: int) -> tuple[object, ...]:
        vehicle = vehicle_of(pid)
        return (
            vehicle.kind, vehicle.windows, vehicle.top, vehicle.gear, vehicle.marking.kind, vehicle.wheels.rim,
            vehicle.face.headlamp, vehicle.face.taillamp,
        )  # fmt: skip

    assert len({structure(pid) for pid in range(500)}) > 490
    assert {structure(pid)[0] for pid in range(100)} == set(KINDS)


@pytest.mark.parametrize("side", range(8))
def test_no_two_vehicles_look_alike_from_any_side(side: int) -> None:
    maps = [parts_of(pid, side) for pid in range(6)]
    for first in range(6):
        for second in range(first):
            assert (maps[first] != maps[second]).mean() > 0.03, (first, second)


def test_views_show_what_is_there() -> None:
    for pid in range(12):
        front, rear = (set(np.unique(parts_of(pid, side))) for side in (0, REAR))
        assert VehiclePart.HEADLAMP in front - rear
        assert VehiclePart.TAILLAMP in rear - front
        assert VehiclePart.BONNET in front or vehicle_of(pid).top == "bonnet"
        assert VehiclePart.EXHAUST in rear - front
        for side in (LEFT, RIGHT):
            shown = parts_of(pid, side)
            assert {VehiclePart.TYRE, VehiclePart.SIDE, VehiclePart.GLASS} <= set(np.unique(shown))
            assert (shown == VehiclePart.SIDE).mean() > 2 * (shown == VehiclePart.END).mean()


def test_both_sides_are_mirror_images_but_for_the_damage() -> None:
    """The front is to the left from a vehicle's left, and to the right from its right."""
    for pid in range(8):
        vehicle = vehicle_of(pid)
        maps = []
        for cosine, sine in (SIDES[LEFT], SIDES[RIGHT]):
            layers = coachwork(vehicle, Sight(cosine, sine, 0.2))
            maps.append([layer for layer in layers if layer.part != VehiclePart.DENT])
        left, right = (corners_by_part(layers) for layers in maps)
        for part in (VehiclePart.MARKING, VehiclePart.RIM, VehiclePart.GLASS):
            assert left[part] == sorted((round(-x, 6), y) for x, y in right[part]), (pid, part)


def corners_by_part(layers: list[Layer]) -> dict[IntEnum, list[tuple[float, float]]]:
    corners = defaultdict(list)
    for layer in layers:
        corners[layer.part] += [(round(x, 6), round(y, 6)) for polygon in layer.polygons for x, y in polygon]
    return defaultdict(list, {part: sorted(points) for part, points in corners.items()})


def test_cameras_look_from_the_side_of_their_number() -> None:
    """Camera 12 stands where camera 4 does, behind the vehicle."""
    style = Style("vehicle", night=frozenset({8, 12}))
    rear, front = (picture(5, camera, "visible", style) for camera in (12, 8))
    reddish = [np.maximum(image[..., 0] - image[..., 1], 0).max() for image in (rear, front)]
    assert reddish[0] > reddish[1]


# Night


def test_nights_are_dark_but_for_the_lamps() -> None:
    for pid in range(1, 6):
        day, night = picture(pid, 8, "visible"), picture(pid, 8, "visible", Style("vehicle", night=frozenset({8})))
        assert night.mean() < 0.8 * day.mean()
        assert np.median(night) < np.median(day)


def test_warmth_needs_no_light() -> None:
    style = Style("vehicle", night=frozenset({8}))
    assert (picture(1, 8, "thermal_infrared") == picture(1, 8, "thermal_infrared", style)).all()
    near = [picture(1, 8, "near_infrared", s).mean() for s in (DAY, style)]
    seen = [picture(1, 8, "visible", s).mean() for s in (DAY, style)]
    assert near[1] / near[0] > seen[1] / seen[0], "near-infrared cameras bring their own light"


def test_lamps_glare_where_they_are() -> None:
    vehicle, camera = vehicle_of(1), writer._camera(0, 8, 1)
    rng = synthetic.keyed(0, "frame", 1, 8, 1)
    frame, drive = Frame.draw(rng), Drive.draw(rng)
    look = Look.at(vehicle, camera, frame, 0, drive)
    lamps = vehicle_part_map(vehicle, look, frame, SIZE)[::2, ::2] == VehiclePart.HEADLAMP
    night = picture(1, 8, "visible", Style("vehicle", night=frozenset({8}))).mean(2)
    assert lamps.any()
    assert night[lamps].mean() > 2 * np.median(night)
