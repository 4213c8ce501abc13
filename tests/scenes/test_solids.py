"""Depth and normals of solids against what geometry says, and shadows where they must fall."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redepth.geometry.camera import Doubles, Pinhole
from redepth.scenes.draws import scene_generator
from redepth.scenes.finishes import plain_finish
from redepth.scenes.scene import Split
from redepth.scenes.solids import Shape, Solid, axes_along
from redepth.scenes.tracing import Thing, lit_by, look

SIZE_PX = 65  # odd: the middle pixel looks along the optical axis
MIDDLE = (SIZE_PX // 2, SIZE_PX // 2)
CAMERA = Pinhole(60.0, 60.0, SIZE_PX // 2, SIZE_PX // 2)
UPRIGHT = np.eye(3)
FORWARD = axes_along(np.array([0.0, 0.0, 1.0]))
FINISH = plain_finish(scene_generator("test", 0, Split.TRAIN), "", (0.5, 0.5, 0.5), 0.0)
WALL = Thing(
    Solid(Shape.PLANE, np.array([0.0, 0.0, 9.0]), FORWARD, np.ones(3)), FINISH, is_surrounding=True
)


def thing(shape: Shape, half: float | tuple[float, float, float], tube: float = 0.0) -> Thing:
    """Place a solid 5 m before the camera."""
    sizes = np.broadcast_to(half, 3).astype(float)
    return Thing(Solid(shape, np.array([0.0, 0.0, 5.0]), UPRIGHT, sizes, tube), FINISH)


def rays_of_all_pixels() -> Doubles:
    """Return the camera's rays, [SIZE_PX, SIZE_PX, 3]."""
    along_px = np.arange(SIZE_PX, dtype=np.float64)
    return CAMERA.rays(*np.meshgrid(along_px, along_px))


def seen(*things: Thing) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sight = look((WALL, *things), CAMERA, SIZE_PX, samples=1)
    shape = (SIZE_PX, SIZE_PX)
    return (
        sight.depth_n.reshape(shape),
        sight.normals_n3.reshape(*shape, 3),
        sight.thing_n.reshape(shape),
    )


def test_wall_has_one_z_depth_and_faces_the_camera() -> None:
    depth, normals, _ = seen()
    assert np.allclose(depth, 9.0, rtol=0, atol=1e-12)
    assert np.allclose(normals, (0.0, 0.0, -1.0))


def test_tilted_plane_follows_its_equation() -> None:
    normal = np.array([0.0, -math.cos(0.4), -math.sin(0.4)])
    floor = Thing(
        Solid(Shape.PLANE, np.array([0.0, 1.0, 4.0]), axes_along(-normal), np.ones(3)), FINISH
    )
    depth, normals, index = seen(floor)
    rays = rays_of_all_pixels()
    expected = (normal @ floor.solid.centre) / (rays @ normal)
    on_floor = index == 1
    assert on_floor.any()
    assert np.allclose(depth[on_floor], expected[on_floor], atol=1e-9)
    assert np.allclose(normals[on_floor], normal)


def test_ball_is_a_ball() -> None:
    depth, normals, index = seen(thing(Shape.BALL, 1.0))
    rays = rays_of_all_pixels()
    points = (rays * depth[..., None])[index == 1]
    from_centre = points - np.array([0.0, 0.0, 5.0])
    assert depth[MIDDLE] == pytest.approx(4.0)
    assert np.allclose(np.linalg.norm(from_centre, axis=-1), 1.0)
    assert np.allclose(normals[index == 1], from_centre)
    assert (from_centre[:, 2] < 0).all(), "the far side is not seen"
    # It covers the disc of its tangent cone: tan = 1 / sqrt(25 - 1).
    assert np.sum(index == 1) == pytest.approx(math.pi * (60.0 / math.sqrt(24.0)) ** 2, rel=0.05)


@pytest.mark.parametrize(
    ("solid", "nearest"),
    [
        (thing(Shape.BOX, (0.5, 0.4, 0.3)), 4.7),
        (thing(Shape.CYLINDER, (0.6, 1.0, 0.6)), 4.4),
        (thing(Shape.CONE, (0.8, 1.0, 0.8)), 4.6),
    ],
    ids=["box", "cylinder", "cone"],
)
def test_nearest_point_on_the_optical_axis(solid: Thing, nearest: float) -> None:
    assert seen(solid)[0][MIDDLE] == pytest.approx(nearest)


def test_ring_is_seen_through_and_lies_on_its_equation() -> None:
    ring = thing(Shape.TORUS, 1.0, tube=0.25)
    standing = Thing(Solid(Shape.TORUS, ring.solid.centre, FORWARD, np.ones(3), 0.25), FINISH)
    depth, _, index = seen(standing)
    assert depth[MIDDLE] == pytest.approx(9.0)
    rays = rays_of_all_pixels()
    x, y, z = ((rays * depth[..., None])[index == 1] - ring.solid.centre).T
    assert len(x) > 300
    assert np.allclose(np.hypot(np.hypot(x, y) - 0.75, z), 0.25, atol=1e-5)


@pytest.mark.parametrize("shape", [s for s in Shape if s is not Shape.PLANE])
def test_normals_are_those_of_the_depth(shape: Shape) -> None:
    """Cross products of neighbouring points agree with the normals, away from edges."""
    turned = np.linalg.qr(scene_generator("axes", 1, Split.TRAIN).standard_normal((3, 3)))[0]
    half = np.ones(3) if shape is Shape.TORUS else np.array([0.9, 1.1, 0.7])
    solid = Thing(Solid(shape, np.array([0.0, 0.0, 5.0]), turned, half, 0.3), FINISH)
    camera = Pinhole(800.0, 800.0, 200.0, 200.0)
    sight = look((WALL, solid), camera, 401, samples=1)
    points = sight.points_n3.reshape(401, 401, 3)
    normals, index = sight.normals_n3.reshape(401, 401, 3), sight.thing_n.reshape(401, 401)
    found = np.cross(points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1])
    found *= -1.0 / np.linalg.norm(found, axis=-1, keepdims=True)
    inside = (index == 1)[1:-1, 1:-1]
    cosine = np.abs((found * normals[1:-1, 1:-1]).sum(-1))[inside]
    assert inside.sum() > 5_000
    assert np.quantile(cosine, 0.10) > 0.999
    away = (normals * points).sum(-1)[index == 1]
    assert (away < 1e-9).all(), "a normal points away from the camera"


def test_windows_cut_nothing_off() -> None:
    """Casting only where a solid can be seen gives what casting everywhere gives."""
    rng = scene_generator("windows", 0, Split.TRAIN)
    rays = rays_of_all_pixels().reshape(-1, 3)
    for shape in (Shape.BALL, Shape.BOX, Shape.CYLINDER, Shape.CONE, Shape.TORUS):
        centre = np.array([*rng.uniform(-2.0, 2.0, 2), rng.uniform(2.0, 6.0)])
        turned = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        solid = Solid(shape, centre, turned, np.full(3, 0.9), 0.3)
        everywhere = np.minimum(solid.hit(np.zeros(3), rays), 9.0).reshape(SIZE_PX, SIZE_PX)
        assert np.array_equal(seen(Thing(solid, FINISH))[0], everywhere)


def test_shadow_of_a_ball_lies_behind_it() -> None:
    ball = thing(Shape.BALL, 1.0)
    sight = look((WALL, ball), CAMERA, SIZE_PX, samples=1)
    from_the_left = np.array([-0.6, 0.0, -0.8])
    lit = lit_by((WALL, ball), sight, from_the_left).reshape(SIZE_PX, SIZE_PX)
    x, y, _ = sight.points_n3.reshape(SIZE_PX, SIZE_PX, 3).transpose(2, 0, 1)
    on_wall = sight.thing_n.reshape(SIZE_PX, SIZE_PX) == 0
    # Points of the wall whose way to the light passes the ball's centre within its radius.
    passes = ((x - 3.0) * 0.8) ** 2 + y**2
    assert (~lit & on_wall).any()
    assert lit[on_wall & (passes > 1.01)].all()
    assert not lit[on_wall & (passes < 0.99)].any()
    facing = sight.normals_n3 @ from_the_left > 0
    assert np.array_equal(lit[~on_wall], facing.reshape(SIZE_PX, SIZE_PX)[~on_wall])


def test_camera_projects_back_to_the_pixel() -> None:
    columns, rows = np.meshgrid(np.arange(9.0), np.arange(7.0))
    points = CAMERA.rays(columns, rows) * 3.7
    assert np.allclose(CAMERA.project(points), (columns, rows))
