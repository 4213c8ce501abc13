"""Rooms: walls with furniture before them, corridors, tables seen from near by."""

from __future__ import annotations

import math

from redepth.scenes.draws import chance, choice, sign, uniform
from redepth.scenes.photographic import things
from redepth.scenes.photographic.bodies import Room
from redepth.scenes.photographic.builder import Builder, frame, is_clear
from redepth.scenes.photographic.camera import View, look
from redepth.scenes.photographic.stage import Lamp, Sky, Stage

_NO_SKY = Sky((0.1, 0.1, 0.1), (0.1, 0.1, 0.1), 0, 0.0)
Spot = tuple[float, float]


def room(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Furnish a room and look about in it."""
    rng = build.rng
    wide, long, high = uniform(rng, 2.4, 7.0), uniform(rng, 2.6, 9.0), uniform(rng, 2.2, 3.3)
    here = (uniform(rng, -0.4, 0.4) * wide, uniform(rng, -0.45, 0.3) * long)
    walls(build, wide, high, long)
    for side in range(4):
        along_wall(build, side, (wide, high, long), here)
    in_the_middle(build, (wide, long), here)
    there = (uniform(rng, -0.5, 0.5) * wide, uniform(rng, -0.5, 0.5) * long)
    if math.dist(here, there) < 1.2:
        there = (there[0], here[1] + 2.0)
    yaw = math.degrees(math.atan2(there[0] - here[0], there[1] - here[1]))
    pitch = min(max(float(rng.normal(-12.0, 12.0)), -50.0), 18.0)
    place = (here[0], uniform(rng, 0.7, 1.9), here[1])
    view = look(place, yaw, pitch, float(rng.normal(0.0, 3.0)), focal(build, size_hw), size_hw)
    return indoors(build, view, (wide, high, long))


def corridor(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Look along a narrow room, with doors and things along its walls."""
    rng = build.rng
    wide, long, high = uniform(rng, 1.2, 3.0), uniform(rng, 6.0, 25.0), uniform(rng, 2.2, 3.5)
    here = (uniform(rng, -0.3, 0.3) * wide, -0.48 * long)
    walls(build, wide, high, long)
    for side in (-1.0, 1.0):
        for _ in range(int(rng.integers(1, 6))):
            size = (0.06, uniform(rng, 1.9, 2.1), uniform(rng, 0.7, 1.0))
            foot = (side * wide / 2, 0.0, uniform(rng, -0.4, 0.5) * long)
            build.stand(foot, size, build.coats("grain", "collage", "bricks", size_m=1.5))
        if chance(rng, 0.5):
            deep = uniform(rng, 0.2, 0.4)
            foot = (side * (wide - deep) / 2, 0.0, uniform(rng, -0.2, 0.4) * long)
            things.cupboard(
                build, foot, (uniform(rng, 0.5, 2.0), uniform(rng, 0.5, 2.0), deep), 90.0
            )
    if chance(rng, 0.4):
        foot = (uniform(rng, -0.3, 0.3) * wide, 0.0, uniform(rng, -0.3, 0.3) * long)
        things.person(build, foot, uniform(rng, 1.5, 1.9), uniform(rng, -180, 180))
    place = (here[0], uniform(rng, 1.0, 1.8), here[1])
    yaw, pitch = float(rng.normal(0.0, 12.0)), float(rng.normal(-5.0, 7.0))
    view = look(place, yaw, pitch, float(rng.normal(0.0, 2.0)), focal(build, size_hw), size_hw)
    return indoors(build, view, (wide, high, long))


def desk(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Look at a table from near by, from a little above or from right above."""
    rng = build.rng
    wide, long, high = uniform(rng, 2.6, 6.0), uniform(rng, 2.6, 7.0), uniform(rng, 2.4, 3.0)
    walls(build, wide, high, long)
    top, deep = uniform(rng, 0.4, 1.1), uniform(rng, 0.6, 1.1)
    level = uniform(rng, 0.6, 0.9)
    distance = choice(rng, (0.05, 0.4, 1.0, 1.5))
    z = choice(rng, (0.5 * long - deep / 2, uniform(rng, 0.0, 0.4) * long))
    middle = (uniform(rng, -0.25, 0.25) * wide, 0.0, z)
    size = (top * uniform(rng, 1.4, 2.5), level, deep)
    things.table(build, middle, size, uniform(rng, -10, 10), int(rng.integers(2, 14)))
    reach = distance + uniform(rng, 0.2, 0.9)
    above = uniform(rng, 0.25, 0.8)
    here = (middle[0] + uniform(rng, -0.5, 0.5) * reach, z - reach)
    for side in range(4):
        along_wall(build, side, (wide, high, long), here, sparse=0.6)
    if chance(rng, 0.5):
        foot = (middle[0] + uniform(rng, -0.4, 0.4), 0.0, z + sign(rng) * deep * 0.7)
        if is_clear((foot[0], foot[2]), 0.6, here):
            things.chair(build, foot, uniform(rng, -180, 180))
    aim = (middle[0] + uniform(rng, -0.2, 0.2), z + uniform(rng, -0.2, 0.3))
    yaw = math.degrees(math.atan2(aim[0] - here[0], aim[1] - here[1]))
    pitch = -math.degrees(math.atan2(above, reach)) + float(rng.normal(4.0, 7.0))
    place = (here[0], level + above, here[1])
    view = look(place, yaw, pitch, float(rng.normal(0.0, 5.0)), focal(build, size_hw), size_hw)
    return indoors(build, view, (wide, high, long))


def walls(build: Builder, wide: float, high: float, long: float) -> None:
    """Put floor, walls, ceiling, skirting and lamps."""
    rng = build.rng
    kinds = build.style.kinds
    wall = build.material(
        *kinds, size_m=1.5, brightness=(0.25, 0.9), contrast=uniform(rng, 0, 1) ** 4
    )
    floor = build.material(
        "planks", "checks", "clouds", "speckle", "bricks", "carried", "lines", "grain",
        size_m=1.2, brightness=(0.03, 0.6),
    )  # fmt: skip
    second = wall if chance(rng, 0.7) else build.material(size_m=1.5, brightness=(0.2, 0.9))
    numbers = (build.wardrobe.add(wall), build.wardrobe.add(floor), build.wardrobe.add(second))
    build.bodies.append(Room(frame((0.0, high / 2, 0.0), (wide, high, long)), numbers))
    ceiling = build.coats("clouds", "lines", brightness=(0.5, 0.95), contrast=0.2)
    build.box((0.0, high, 0.0), (wide, 0.02, long), ceiling)
    glow = build.coats("clouds", brightness=(0.9, 1.0), contrast=0.0, glow=2.0)
    for _ in range(int(rng.integers(0, 3))):
        spot = (uniform(rng, -0.3, 0.3) * wide, high - 0.02, uniform(rng, -0.3, 0.4) * long)
        build.box(spot, (uniform(rng, 0.2, 1.2), 0.05, uniform(rng, 0.2, 0.6)), glow)
    if chance(rng, 0.6):
        skirting = build.coats("clouds", brightness=(0.02, 0.9), contrast=0.1)
        for side in (-1.0, 1.0):
            build.stand((side * wide / 2, 0.0, 0.0), (0.03, 0.1, long), skirting)
            build.stand((0.0, 0.0, side * long / 2), (wide, 0.1, 0.03), skirting)


def along_wall(
    build: Builder, side: int, size: tuple[float, float, float], here: Spot, sparse: float = 0.25
) -> None:
    """Put furniture along one wall and hang things on it. Sides: +z, +x, -z, -x."""
    rng = build.rng
    wide, high, long = size
    length, away = (wide, long / 2) if side % 2 == 0 else (long, wide / 2)
    yaw = (0.0, 90.0, 180.0, -90.0)[side]
    place = -length / 2
    while place < length / 2 - 0.4:
        item_wide = uniform(rng, 0.4, 1.9)
        middle = place + item_wide / 2
        place += item_wide + uniform(rng, 0.0, 0.6)
        if middle + item_wide / 2 > length / 2:
            break
        if chance(rng, sparse):
            _hang(build, _foot(side, middle, away - 0.02), item_wide, high, yaw)
            continue
        deep = uniform(rng, 0.3, 0.7)
        foot = _foot(side, middle, away - deep / 2)
        if is_clear((foot[0], foot[2]), item_wide / 2 + 0.5, here):
            _furniture(build, foot, item_wide, deep, yaw)


def in_the_middle(build: Builder, size: Spot, here: Spot) -> None:
    """Put tables, chairs, boxes and people about the room."""
    rng = build.rng
    for _ in range(int(rng.integers(1, 8))):
        foot = (uniform(rng, -0.4, 0.4) * size[0], 0.0, uniform(rng, -0.4, 0.4) * size[1])
        reach = uniform(rng, 0.5, 1.6)
        if not is_clear((foot[0], foot[2]), reach / 2 + 0.45, here):
            continue
        yaw = choice(rng, (0.0, 90.0, uniform(rng, -90, 90)))
        item = rng.random()
        if item < 0.3:
            high = uniform(rng, 0.4, 0.8)
            size_m = (reach, high, reach * uniform(rng, 0.5, 1.0))
            things.table(build, foot, size_m, yaw, int(rng.integers(0, 8)))
        elif item < 0.6:
            things.chair(build, foot, uniform(rng, -180, 180))
        elif item < 0.7:
            things.sofa(build, foot, reach + 0.5, yaw)
        elif item < 0.82:
            things.person(build, foot, uniform(rng, 1.2, 1.9), uniform(rng, -180, 180))
        else:
            things.small_thing(build, foot, uniform(rng, 0.2, 0.7))


def indoors(build: Builder, view: View, size: tuple[float, float, float]) -> Stage:
    """Light a room and return its stage."""
    rng = build.rng
    wide, high, long = size
    warm = uniform(rng, -0.15, 0.25)
    is_near = chance(rng, build.style.near_lamps)
    if is_near:
        towards = (uniform(rng, -0.4, 0.4) * wide, high - 0.3, uniform(rng, -0.4, 0.4) * long)
    else:
        towards = direction(uniform(rng, -180, 180), uniform(rng, 20, 75))
    lamp = Lamp(
        towards, is_near, uniform(rng, 0.2, 1.2), uniform(rng, 0.3, 0.8), uniform(rng, 0.0, 0.4),
        (1.0 + warm, 1.0, 1.0 - warm),
        uniform(rng, 0.4, 0.9) * float(chance(rng, build.style.shadows)),
    )  # fmt: skip
    return Stage(
        view, tuple(build.bodies), tuple(build.wardrobe.materials), lamp, _NO_SKY,
        crease=uniform(rng, 0.1, 0.6),
    )  # fmt: skip


def direction(azimuth_deg: float, height_deg: float) -> tuple[float, float, float]:
    """Return the unit vector to a light at an azimuth (0 is ahead) and a height."""
    azimuth, height = math.radians(azimuth_deg), math.radians(height_deg)
    level = math.cos(height)
    return math.sin(azimuth) * level, math.sin(height), math.cos(azimuth) * level


def focal(build: Builder, size_hw: tuple[int, int]) -> float:
    """Draw a focal length in pixels: 38 to 78 degrees across the longer side."""
    across = math.radians(uniform(build.rng, 38.0, 78.0))
    return max(size_hw) / 2 / math.tan(across / 2)


def _foot(side: int, along: float, away: float) -> tuple[float, float, float]:
    x, z = ((along, away), (away, -along), (-along, -away), (-away, along))[side]
    return x, 0.0, z


def _furniture(
    build: Builder, foot: tuple[float, float, float], wide: float, deep: float, yaw: float
) -> None:
    rng = build.rng
    item = rng.random()
    if item < 0.28:
        high = choice(rng, (uniform(rng, 0.4, 1.2), uniform(rng, 1.2, 2.2)))
        things.cupboard(build, foot, (wide, high, deep), yaw)
    elif item < 0.5:
        things.bookshelf(build, foot, (wide, uniform(rng, 0.8, 2.2), deep * 0.7), yaw)
    elif item < 0.75:
        size = (wide, uniform(rng, 0.65, 0.8), deep + 0.1)
        things.table(build, foot, size, yaw, int(rng.integers(1, 8)))
    elif item < 0.85:
        things.sofa(build, foot, wide, yaw)
    elif item < 0.93:
        things.potted_plant(build, foot, uniform(rng, 0.4, 1.6))
    else:
        things.person(build, foot, uniform(rng, 1.5, 1.9), uniform(rng, -180, 180))


def _hang(
    build: Builder, foot: tuple[float, float, float], wide: float, high: float, yaw: float
) -> None:
    """Hang a picture, a window, a door, a board or a curtain on a wall, or leave it bare."""
    rng = build.rng
    x, y, z = foot
    item = rng.random()
    if item < 0.3:
        size = (wide * 0.7, uniform(rng, 0.3, 0.9), 0.03)
        coats = build.coats("carried", "collage", "screen", "clouds", size_m=size[0], contrast=0.9)
        build.box((x, uniform(rng, 1.2, 1.7), z), size, coats, yaw)
    elif item < 0.55:
        pane = build.coats("collage", "clouds", brightness=(0.5, 1.0), glow=uniform(rng, 0.5, 2.0))
        size = (wide * 0.8, uniform(rng, 0.8, 1.4), 0.02)
        build.box((x, uniform(rng, 1.4, 1.7), z), size, pane, yaw)
        bar = build.coats("clouds", brightness=(0.1, 0.9), contrast=0.0)
        build.box((x, 1.5, z), (0.05, size[1], 0.06), bar, yaw)
        build.box((x, 1.5 - size[1] / 2, z), (size[0] + 0.1, 0.06, 0.2), bar, yaw)
    elif item < 0.75:
        size = (min(wide, 0.95), min(2.05, high - 0.1), 0.06)
        build.stand((x, y, z), size, build.coats("grain", "bricks", "collage", size_m=1.6), yaw)
    elif item < 0.88:
        folds = build.coats("stripes", "grain", size_m=wide * 0.5)
        build.stand((x, y, z), (wide * 0.8, high * 0.9, 0.12), folds, yaw)
