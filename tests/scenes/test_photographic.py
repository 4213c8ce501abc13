"""Photographic scenes: their depth is what geometry says, and a seed is one scene."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redepth.scenes.photographic import COMPOSERS, OTHER, TRAINED, photograph
from redepth.scenes.photographic.bodies import (
    Body,
    Box,
    Cutout,
    Cylinder,
    Ellipsoid,
    Frame,
    Room,
)
from redepth.scenes.photographic.builder import Style, frame
from redepth.scenes.photographic.camera import Floats, View, look
from redepth.scenes.photographic.render import cast
from redepth.scenes.photographic.textures import KINDS, NUM_LEVELS, SIDE, texture_bank
from redepth.scenes.scene import Split

COATS = (0, 0, 0)
SIZE_HW = (48, 64)
AHEAD = look((0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 60.0, SIZE_HW)


def depth(view: View, *bodies: Body) -> Floats:
    return cast(bodies, view)[0]


def middle(depth_hw: Floats) -> float:
    return float(depth_hw[SIZE_HW[0] // 2, SIZE_HW[1] // 2])


def whole_picture(body: Body, view: View) -> Floats:
    """Depth without the window around the body."""
    return body.hit(view.place_3.reshape(3, 1, 1), view.rays_3hw)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, -20, 0), (30, -35, 10), (-120, -60, -5)])
def test_the_disparity_of_a_floor_is_linear_over_the_picture(
    yaw: float, pitch: float, roll: float
) -> None:
    """1 / z of a plane is a + b x + c y; for a level camera it is the row's alone."""
    floor = Box(frame((0.0, -0.5, 0.0), (400.0, 1.0, 400.0)), COATS)
    view = look((1.0, 1.5, -2.0), yaw, pitch, roll, 60.0, SIZE_HW)
    disparity_hw = 1.0 / depth(view, floor)
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    met = disparity_hw > 0.05
    unknowns = np.stack((rows[met], columns[met], np.ones(met.sum())), axis=1)
    found, *_ = np.linalg.lstsq(unknowns, disparity_hw[met], rcond=None)
    np.testing.assert_allclose(unknowns @ found, disparity_hw[met], atol=1e-5)
    assert met.mean() > 0.3
    if roll == 0:
        assert abs(found[1]) < 1e-7


def test_a_floor_below_a_level_camera_begins_at_the_horizon() -> None:
    """A pixel v below the horizon sees the floor at height * focal / v."""
    floor = Box(frame((0.0, -0.5, 0.0), (2000.0, 1.0, 2000.0)), COATS)
    depth_hw = depth(look((0.0, 1.6, 0.0), 0.0, 0.0, 0.0, 60.0, SIZE_HW), floor)
    below = np.arange(SIZE_HW[0]) + 0.5 - SIZE_HW[0] / 2
    assert np.isinf(depth_hw[below < 0]).all()
    seen = below[below > 0]
    np.testing.assert_allclose(depth_hw[below > 0, 5], 1.6 * 60.0 / seen, rtol=1e-4)


def test_bodies_are_met_where_they_begin() -> None:
    place, size = (0.01, 0.01, 5.0), (1.0, 2.0, 0.5)
    mask = np.ones((4, 4), dtype=bool)
    assert middle(depth(AHEAD, Box(frame(place, size), COATS))) == pytest.approx(4.75)
    assert middle(depth(AHEAD, Ellipsoid(frame(place, size), COATS))) == pytest.approx(
        4.75, abs=0.01
    )
    assert middle(depth(AHEAD, Cylinder(frame(place, size), COATS))) == pytest.approx(
        4.75, abs=0.01
    )
    assert middle(depth(AHEAD, Cutout(frame(place, size), COATS, mask))) == pytest.approx(5.0)
    assert middle(depth(AHEAD, Room(frame((0, 0, 0), (4, 3, 10)), COATS))) == pytest.approx(5.0)


def test_a_turned_box_shows_its_corner() -> None:
    """A cube of side 1 turned by 45 degrees begins half its diagonal before its middle."""
    cube = Box(frame((0.01, 0.0, 5.0), (1.0, 1.0, 1.0), yaw_deg=45.0), COATS)
    assert middle(depth(AHEAD, cube)) == pytest.approx(5.0 - math.sqrt(0.5), abs=0.03)


def test_the_nearer_body_is_seen() -> None:
    near = Box(frame((0.0, 0.0, 3.0), (0.2, 0.2, 0.2)), COATS)
    far = Box(frame((0.0, 0.0, 6.0), (3.0, 3.0, 0.2)), COATS)
    for bodies in ((near, far), (far, near)):
        depth_hw, body_hw = cast(bodies, AHEAD)
        assert middle(depth_hw) == pytest.approx(2.9)
        assert bodies[body_hw[24, 32]] is near
        assert bodies[body_hw[24, 20]] is far


def test_a_cutout_is_met_where_its_mask_says() -> None:
    mask = np.zeros((2, 2), dtype=bool)
    mask[0, 1] = True  # above, and on the camera's right
    depth_hw = depth(AHEAD, Cutout(frame((0.0, 0.0, 5.0), (2.0, 2.0, 1.0)), COATS, mask))
    met = np.isfinite(depth_hw)
    assert met[20, 36]
    assert not met[20, 28]
    assert not met[28, 36]


@pytest.mark.parametrize("number", range(40))
def test_no_body_reaches_out_of_its_window(number: int) -> None:
    """Bodies all about, also behind the camera and around it: windows lose no pixel."""
    rng = np.random.default_rng(number)
    x, y, z = rng.normal(0, 1, 3).tolist()
    yaw, pitch, roll = rng.normal(0, 40, 3).tolist()
    view = look((x, y, z), yaw, pitch, roll, 60.0, SIZE_HW)
    place, size = rng.normal(0, 2, 3).tolist(), rng.uniform(0.1, 3, 3).tolist()
    own: Frame = frame(tuple(place), tuple(size), *rng.normal(0, 60, 2).tolist())
    shape = (Box, Ellipsoid, Cylinder, Room)[number % 4]
    body = shape(own, COATS)
    np.testing.assert_array_equal(depth(view, body), whole_picture(body, view))


@pytest.mark.parametrize("style", [TRAINED, OTHER], ids=lambda style: style.name)
@pytest.mark.parametrize("family", COMPOSERS)
def test_a_seed_is_one_scene(family: str, style: Style) -> None:
    first, again = (photograph(family, 3, Split.TUNING, style, SIZE_HW) for _ in range(2))
    np.testing.assert_array_equal(first.rgb_hw3, again.rgb_hw3)
    np.testing.assert_array_equal(first.disparity_hw, again.disparity_hw)
    assert first.rgb_hw3.dtype == np.uint8
    assert first.rgb_hw3.shape == (*SIZE_HW, 3)
    assert np.isfinite(first.disparity_hw).all()
    assert first.disparity_hw.min() >= 0
    assert first.disparity_hw.std() > 0
    assert first.rgb_hw3.std() > 5
    other = photograph(family, 3, Split.HELD_OUT, style, SIZE_HW)
    assert not np.array_equal(first.disparity_hw, other.disparity_hw)


def test_rooms_have_no_sky_and_streets_do() -> None:
    assert all(
        photograph("room", seed, size_hw=SIZE_HW).disparity_hw.min() > 0 for seed in range(6)
    )
    assert any(
        photograph("street", seed, size_hw=SIZE_HW).disparity_hw.min() == 0 for seed in range(6)
    )


def test_the_depth_is_the_same_at_another_size() -> None:
    """A seed is one scene: four pixels of the larger picture surround one of the smaller."""
    small = photograph("room", 1, size_hw=SIZE_HW).disparity_hw
    large = photograph("room", 1, size_hw=(96, 128)).disparity_hw
    ratio = large.reshape(48, 2, 64, 2).mean(axis=(1, 3)) / small
    assert np.quantile(np.abs(ratio - 1.0), 0.8) < 0.01


def test_smaller_levels_of_a_tile_have_its_mean() -> None:
    bank = texture_bank(1)
    tile, place = np.arange(len(KINDS)), np.full(len(KINDS), 0.5, dtype=np.float32)
    coarsest = bank.sample(tile, place, place, np.full_like(place, 2.0 ** (NUM_LEVELS - 1)))
    means = bank.values_n[: len(KINDS) * SIDE * SIDE].reshape(len(KINDS), -1).mean(axis=1)
    np.testing.assert_allclose(coarsest, means, atol=1e-3)


def test_tiles_repeat() -> None:
    bank = texture_bank(1)
    place = np.linspace(0, 1, 50, dtype=np.float32)
    tile, texels = np.full(50, 4), np.ones(50, dtype=np.float32)
    once = bank.sample(tile, place, place, texels)
    np.testing.assert_allclose(bank.sample(tile, place + 3, place - 2, texels), once, atol=0.02)


def test_styles_share_no_drawn_tile() -> None:
    one, other = texture_bank(TRAINED.bank_seed), texture_bank(OTHER.bank_seed)
    first, _ = one.kinds["carried"]  # the pictures are the same, and the last
    size = first * SIDE * SIDE
    own, others = (bank.values_n[:size].reshape(first, -1) for bank in (one, other))
    assert not any(np.array_equal(a, b) for a, b in zip(own, others, strict=True))
    assert "carried" not in OTHER.kinds
