"""Subjects: something or somebody near the camera, a table from above, furniture from nearby."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.photographic import things
from redepth.scenes.photographic.bodies import Body, Room
from redepth.scenes.photographic.builder import Builder, Point
from redepth.scenes.photographic.camera import Floats, View, look
from redepth.scenes.photographic.outdoors import country, street
from redepth.scenes.photographic.rooms import desk, focal, indoors, room, walls
from redepth.scenes.photographic.stage import Lens, Stage

_TRIES = 20
_CLEAR_M = 0.15  # between a camera and what it stands beside


def portrait(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Put a person or an animal before the camera of another scene, in focus."""
    rng = build.rng
    stage = choice(rng, (room, room, country, street))(build, size_hw)
    view = stage.view
    distance = uniform(rng, 0.7, 3.0)
    seen_high = distance * size_hw[0] / view.focal_px
    shift = uniform(rng, -0.25, 0.25) * distance * size_hw[1] / view.focal_px
    x, y, z = (view.place_3 + distance * view.turn_33[:, 2] + shift * view.turn_33[:, 0]).tolist()
    yaw = math.degrees(math.atan2(x - view.place_3[0], z - view.place_3[2]))
    first = len(build.bodies)
    if chance(rng, 0.6):
        high = seen_high * uniform(rng, 0.6, 2.6)
        foot = (x, y - high * choice(rng, (0.5, 0.8, 0.9)), z)
        things.person(build, foot, high, yaw + uniform(rng, -60, 60))
    else:
        high = seen_high * uniform(rng, 0.4, 1.4)
        foot = (x, y - high * uniform(rng, 0.4, 0.9), z)
        things.animal(build, foot, high, yaw + uniform(rng, -180, 180))
    added = tuple(build.bodies[first:])
    blur_px = uniform(rng, 0.0, 6.0) * float(chance(rng, 0.6))
    return replace(
        stage, bodies=stage.bodies + added, materials=tuple(build.wardrobe.materials),
        lens=Lens(distance, blur_px),
    )  # fmt: skip


def table_top(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Look down at things on a table, from some decimetres."""
    rng = build.rng
    size = (uniform(rng, 3.0, 6.0), 2.6, uniform(rng, 3.0, 6.0))
    walls(build, size[0], size[1], size[2])
    level, reach = 0.75, uniform(rng, 0.3, 1.2)
    cloth = build.coats(*build.style.kinds, size_m=0.6)
    build.box(
        (0.0, level - 0.02, 0.3), (reach * 2, 0.04, reach * 1.6), cloth, uniform(rng, -30, 30)
    )
    above = uniform(rng, 0.2, 0.7)
    pitch = uniform(rng, -88.0, -15.0)
    back = above / math.tan(math.radians(-pitch))
    spread = 0.3 * above
    for _ in range(int(rng.integers(1, 9))):
        foot = (float(rng.normal(0, spread)), level, float(rng.normal(0.1, spread)))
        if chance(rng, 0.4):
            _cup(build, foot)
        else:
            things.small_thing(build, foot, uniform(rng, 0.04, 0.2))
    place = (0.0, level + above, 0.1 - back)
    yaw, roll = float(rng.normal(0.0, 8.0)), float(rng.normal(0.0, 4.0))
    view = look(place, yaw, pitch, roll, focal(build, size_hw), size_hw)
    stage = indoors(build, view, size)
    blur_px = uniform(rng, 0.0, 1.5) * float(chance(rng, 0.5))
    return replace(stage, lens=Lens(math.hypot(above, back), blur_px))


def close_up(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Look at something in a furnished room from an arm's length or two, from any side."""
    rng = build.rng
    stage = choice(rng, (room, desk))(build, size_hw)
    things_seen = [body for body in stage.bodies if _is_a_subject(body)]
    for _ in range(_TRIES):
        view = _before(build, choice(rng, things_seen or stage.bodies), size_hw)
        if _is_free(view.place_3, stage.bodies):
            blur_px = uniform(rng, 0.0, 3.0) * float(chance(rng, 0.4))
            return replace(stage, view=view, lens=Lens(1.0, blur_px))
    return stage


def _is_a_subject(body: Body) -> bool:
    largest, smallest = float(body.frame.half_3.max()), float(body.frame.half_3.min())
    return not isinstance(body, Room) and 0.1 < largest < 1.2 and smallest > 0.01


def _before(build: Builder, body: Body, size_hw: tuple[int, int]) -> View:
    """Place a camera before a body; it looks at a point in or beside it."""
    rng = build.rng
    azimuth, height = uniform(rng, -math.pi, math.pi), math.radians(uniform(rng, -10.0, 65.0))
    distance = float(body.frame.half_3.max()) + uniform(rng, 0.3, 1.6)
    level = distance * math.cos(height)
    spread = 0.3 * distance
    x, y, z = (float(part) + float(rng.normal(0.0, spread / 2)) for part in body.frame.centre_3)
    place: Point = (
        x - level * math.sin(azimuth),
        max(0.1, y + distance * math.sin(height)),
        z - level * math.cos(azimuth),
    )
    pitch = -math.degrees(height) + float(rng.normal(0.0, 8.0))
    yaw, roll = math.degrees(azimuth) + float(rng.normal(0.0, 8.0)), float(rng.normal(0.0, 5.0))
    return look(place, yaw, pitch, roll, focal(build, size_hw), size_hw)


def _is_free(place_3: Floats, bodies: Sequence[Body]) -> bool:
    """Return whether a camera stands in the room and in none of the things."""
    for body in bodies:
        local = np.abs(body.frame.inside((place_3 - body.frame.centre_3)[:, None]))[:, 0]
        margin_3 = _CLEAR_M / body.frame.half_3
        if isinstance(body, Room) and bool((local + margin_3 > 1.0).any()):
            return False
        if not isinstance(body, Room) and bool((local - margin_3 < 1.0).all()):
            return False
    return True


def _cup(build: Builder, foot: tuple[float, float, float]) -> None:
    """Put a cup on a saucer, with a drink in it."""
    rng = build.rng
    x, y, z = foot
    china = build.coats("clouds", "stripes", size_m=0.2, brightness=(0.2, 0.95), contrast=0.1)
    wide, high = uniform(rng, 0.07, 0.12), uniform(rng, 0.05, 0.12)
    build.cylinder(foot, wide * uniform(rng, 1.4, 2.2), 0.012, china)
    build.cylinder((x, y + 0.012, z), wide, high, china)
    drink = build.coats("clouds", size_m=0.1, brightness=(0.02, 0.5))
    build.cylinder((x, y + high, z), wide * 0.85, 0.013, drink)
