"""Stages of objects: frames, cameras, captions, and shadows against rays cast at everything."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redepth.scenes.draws import scene_generator
from redepth.scenes.finishes import plain_finish
from redepth.scenes.lights import encode, light_from
from redepth.scenes.objects import camera_of, draw_objects_lighting, render_objects, shade_sight
from redepth.scenes.scene import Split
from redepth.scenes.solids import Shape, Solid
from redepth.scenes.stages import (
    Stage,
    Viewpoint,
    draw_fences,
    draw_plants,
    draw_solids,
    draw_wires,
)
from redepth.scenes.tracing import SHADOW_OFFSET_M, Thing, lit_by, look

DRAW = {"solids": draw_solids, "fences": draw_fences, "wires": draw_wires, "plants": draw_plants}


def stage_of(family: str, seed: int = 0) -> Stage:
    return DRAW[family](scene_generator(family, seed, Split.TRAIN))


@pytest.mark.parametrize("family", DRAW)
def test_shadows_are_those_of_rays_cast_at_everything(family: str) -> None:
    stage = stage_of(family)
    sight = look(stage.things, camera_of(stage, 40), 40, samples=1)
    towards = light_from(120.0, 55.0) * np.array([-1.0, 1.0, -1.0])
    starts = sight.points_n3 + SHADOW_OFFSET_M * sight.normals_n3
    blocked = np.zeros(len(starts), dtype=bool)
    for thing in stage.things[2:]:
        blocked |= np.isfinite(thing.solid.hit(starts, towards))
    expected = ~blocked & (sight.normals_n3 @ towards > 0.0)
    assert blocked.any() and expected.any()
    assert np.array_equal(lit_by(stage.things, sight, towards), expected)


@pytest.mark.parametrize("family", DRAW)
def test_seeing_a_stage_keeps_its_shape(family: str) -> None:
    for thing in stage_of(family, 1).things:
        axes = thing.solid.axes_33
        assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1.0)


def test_a_viewpoint_turns_the_world_into_the_camera_frame() -> None:
    """From 1.5 m, looking down by 30 degrees: the floor 1.5 tan 60 ahead is straight ahead."""
    ball = Thing(
        Solid(Shape.BALL, np.array([0.2, 0.0, 1.5 * math.sqrt(3.0)]), np.eye(3), np.ones(3)),
        plain_finish(scene_generator("test", 0, Split.TRAIN), "", (0.5, 0.5, 0.5), 0.0),
    )
    seen = Viewpoint(1.5, 30.0).seen(ball).solid
    assert np.allclose(seen.centre, (0.2, 0.0, 3.0))
    assert np.allclose(seen.axes_33[:, 1], (0.0, math.sqrt(0.75), 0.5)), "down leans forward"


def test_things_stand_on_the_floor() -> None:
    stage = stage_of("solids", 2)
    floor, _, *standing = (thing.solid for thing in stage.things)
    up = -floor.axes_33[:, 1]
    assert (floor.centre * -up).sum() > 0.8, "the camera is above the floor"
    for solid in standing:
        assert 0.0 < (solid.centre - floor.centre) @ up <= solid.radius_m + 1e-9


@pytest.mark.parametrize("size_px", [33, 64])
def test_camera_spans_the_field_of_view(size_px: int) -> None:
    stage = stage_of("solids")
    edges = np.array([-0.5, size_px - 0.5])
    rays = camera_of(stage, size_px).rays(edges, edges)
    reach = math.tan(math.radians(stage.field_of_view_deg) / 2.0)
    assert np.allclose(rays[:, :2], [[-reach, -reach], [reach, reach]])


def test_caption_names_only_what_is_seen() -> None:
    stage = Stage((), "a white fence", " before ", "striped", 50.0)
    assert stage.words([]) == "a white fence on a striped floor"
    assert stage.words(["", "a red ball", "", "a box"]) == (
        "a white fence before a red ball and a box on a striped floor"
    )
    assert Stage((), "", "", "", 50.0).words(["a", "b", "c", "d"]) == "a, b and c"
    assert Stage((), "", "", "", 50.0).words([]) == "an empty room"


def test_inside_a_plain_region_the_picture_is_the_shaded_pixel() -> None:
    """Where all four samples of a pixel see nearly the same, smoothing edges changes nothing."""
    rng = scene_generator("solids", 3, Split.TRAIN)
    stage, lighting = draw_solids(rng), draw_objects_lighting(rng)
    scene = render_objects("solids", 3, Split.TRAIN, 48, stage, lighting)
    sight = look(stage.things, camera_of(stage, 48), 48, samples=1)
    centre = encode(shade_sight(stage, sight, lighting)).reshape(48, 48, 3)
    error = np.abs(centre.astype(int) - scene.rgb_hw3).max(axis=-1)
    assert np.mean(error <= 2) > 0.7
