"""Outdoors: streets between houses, and open country with trees, hills and animals."""

from __future__ import annotations

import math

from redepth.scenes.draws import chance, choice, sign, uniform
from redepth.scenes.photographic import things
from redepth.scenes.photographic.builder import Builder, ridge_mask
from redepth.scenes.photographic.camera import View, look
from redepth.scenes.photographic.rooms import direction, focal
from redepth.scenes.photographic.stage import Air, Lamp, Sky, Stage

_FAR_M = 2000.0


def street(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Look along a street, or across it."""
    rng = build.rng
    half = uniform(rng, 3.0, 8.0)
    asphalt = build.coats("speckle", "clouds", "carried", size_m=2.0, brightness=(0.03, 0.25))
    build.box((0.0, -0.5, 0.0), (_FAR_M, 1.0, _FAR_M), asphalt)
    _markings(build, half)
    for side in (-1.0, 1.0):
        pavement = build.coats("checks", "bricks", "speckle", "clouds", size_m=1.5)
        broad, kerb = uniform(rng, 1.5, 4.0), uniform(rng, 0.05, 0.18)
        middle = side * (half + broad / 2)
        build.stand((middle, 0.0, 90.0), (broad, kerb, 220.0), pavement)
        _houses(build, side, half + broad)
        _beside_the_road(build, side, half, broad)
    for _ in range(int(rng.integers(0, 5))):
        lane = uniform(rng, -0.8, 0.8) * half
        turn = choice(rng, (0.0, 180.0)) + uniform(rng, -6, 6)
        things.car(build, (lane, 0.0, uniform(rng, 7.0, 60.0)), turn)
    place = (uniform(rng, -0.8, 0.8) * half, uniform(rng, 1.3, 2.2), 0.0)
    yaw = float(rng.normal(0.0, 10.0)) if chance(rng, 0.8) else uniform(rng, -70, 70)
    pitch = float(rng.normal(-1.0, 5.0))
    view = look(place, yaw, pitch, float(rng.normal(0.0, 1.5)), focal(build, size_hw), size_hw)
    return outdoors(build, view)


def country(build: Builder, size_hw: tuple[int, int]) -> Stage:
    """Look over open country."""
    rng = build.rng
    ground = build.coats(
        "speckle", "clouds", "carried", "blots", "grain", size_m=3.0, brightness=(0.03, 0.5),
        hue=choice(rng, (0.28, 0.12, 0.09, 0.6)),
    )  # fmt: skip
    build.box((0.0, -0.5, 0.0), (_FAR_M * 2, 1.0, _FAR_M * 2), ground)
    _ridges(build)
    for _ in range(int(rng.integers(0, 4))):
        size = uniform(rng, 20.0, 120.0)
        hill = (size * uniform(rng, 1.0, 3.0), size * uniform(rng, 0.1, 0.5), size)
        spot = (uniform(rng, -100, 100), 0.0, size + uniform(rng, 10.0, 150.0))
        coats = build.coats("speckle", "clouds", "carried", size_m=6.0, hue=0.26)
        build.ellipsoid(spot, hill, coats)
    if chance(rng, 0.4):
        path = build.coats("speckle", "clouds", size_m=2.0)
        spot = (uniform(rng, -2, 2), 0.0, 100.0)
        build.box(spot, (uniform(rng, 1.0, 4.0), 0.02, 220.0), path, uniform(rng, -8, 8))
    _scattered(build)
    place = (0.0, uniform(rng, 0.5, 2.0), 0.0)
    yaw, pitch = uniform(rng, -30, 30), float(rng.normal(-3.0, 8.0))
    view = look(place, yaw, pitch, float(rng.normal(0.0, 2.0)), focal(build, size_hw), size_hw)
    return outdoors(build, view)


def outdoors(build: Builder, view: View) -> Stage:
    """Light the open and return its stage."""
    rng = build.rng
    overcast = chance(rng, 0.4)
    horizon = (uniform(rng, 0.6, 1.3),) * 3
    blue = 0.0 if overcast else uniform(rng, 0.2, 0.7)
    zenith = (horizon[0] * (1 - blue), horizon[0] * (1 - blue * 0.6), horizon[0])
    warm = uniform(rng, 0.0, 0.2)
    sky = Sky(horizon, zenith, build.tile("clouds", "blots"), uniform(rng, 0.0, 1.0) ** 2)
    strength = uniform(rng, 0.0, 0.3) if overcast else uniform(rng, 0.6, 1.5)
    lamp = Lamp(
        direction(uniform(rng, -180, 180), uniform(rng, 15, 75)), False, strength,
        uniform(rng, 0.3, 0.7), uniform(rng, 0.2, 0.6), (1.0 + warm, 1.0, 1.0 - warm),
        uniform(rng, 0.5, 0.95) * float(chance(rng, build.style.shadows)),
    )  # fmt: skip
    clear_m = 10.0 ** uniform(rng, 1.9, 3.5)
    return Stage(
        view, tuple(build.bodies), tuple(build.wardrobe.materials), lamp, sky, Air(clear_m),
        crease=uniform(rng, 0.1, 0.6),
    )  # fmt: skip


def _markings(build: Builder, half: float) -> None:
    rng = build.rng
    if chance(rng, 0.3):
        return
    white = build.coats("clouds", "speckle", brightness=(0.4, 0.9), contrast=0.2)
    for lane in (-0.95, 0.0, 0.95):
        if lane == 0.0 and chance(rng, 0.7):
            for number in range(10):
                build.box((0.0, 0.0, 5.0 + 9.0 * number), (0.15, 0.02, 3.0), white)
        else:
            build.box((lane * half, 0.0, 90.0), (0.15, 0.02, 200.0), white)


def _houses(build: Builder, side: float, edge: float) -> None:
    """Put houses, hedges, fences or trees along one side, from behind the camera to far ahead."""
    rng = build.rng
    built = uniform(rng, 0.0, 1.0)
    setback = uniform(rng, 0.0, 8.0)
    along = -10.0
    while along < 150.0:
        long = uniform(rng, 6.0, 25.0)
        middle, along = along + long / 2, along + long + uniform(rng, 0.0, 6.0)
        if chance(rng, built):
            deep, high = uniform(rng, 8.0, 15.0), uniform(rng, 3.0, 18.0)
            face = build.material(
                "windows", "windows", "bricks", "collage", size_m=uniform(rng, 4, 10)
            )
            number = build.wardrobe.add(face)
            foot = (side * (edge + setback + deep / 2 + uniform(rng, 0, 2)), 0.0, middle)
            build.stand(foot, (deep, high, long), (number, number, number))
        elif chance(rng, 0.5):
            for _ in range(int(rng.integers(1, 4))):
                spot = (side * (edge + uniform(rng, 1.0, 8.0)), 0.0, middle + uniform(rng, -5, 5))
                things.tree(build, spot, uniform(rng, 3.0, 12.0))
        else:
            hedge = build.coats("speckle", "blots", "carried", "planks", size_m=1.5, hue=0.27)
            high = uniform(rng, 0.8, 3.0)
            build.stand((side * (edge + 1.0), 0.0, middle), (0.8, high, long), hedge)


def _beside_the_road(build: Builder, side: float, half: float, broad: float) -> None:
    rng = build.rng
    for _ in range(int(rng.integers(0, 4))):
        foot = (side * (half - 1.2), 0.0, uniform(rng, 4.0, 50.0))
        things.car(build, foot, uniform(rng, -4, 4))
    for _ in range(int(rng.integers(0, 4))):
        foot = (side * (half + 0.5), 0.1, uniform(rng, 4.0, 60.0))
        things.pole(build, foot, uniform(rng, 1.5, 7.0))
    for _ in range(int(rng.integers(0, 3))):
        foot = (side * (half + uniform(rng, 0.3, 1.0) * broad), 0.1, uniform(rng, 3.0, 30.0))
        things.person(build, foot, uniform(rng, 1.5, 1.9), uniform(rng, -180, 180))


def _ridges(build: Builder) -> None:
    """Put ridges one behind another, far away."""
    rng = build.rng
    distance = uniform(rng, 60.0, 200.0)
    for _ in range(int(rng.integers(0, 4))):
        mask = ridge_mask(rng, uniform(rng, 0.0, 1.0))
        coats = build.coats("speckle", "clouds", "carried", size_m=distance * 0.3, hue=0.28)
        high = distance * uniform(rng, 0.04, 0.3)
        foot = (uniform(rng, -0.3, 0.3) * distance, 0.0, distance)
        build.cutout(foot, (distance * 5.0, high), coats, mask, uniform(rng, -15, 15))
        distance *= uniform(rng, 1.5, 3.0)


def _scattered(build: Builder) -> None:
    """Put trees, bushes, rocks, animals, people and fences about."""
    rng = build.rng
    wooded = uniform(rng, 0.0, 1.0)
    for _ in range(int(rng.integers(0, 14))):
        distance = 3.0 * 20.0 ** uniform(rng, 0.0, 1.0)
        aside = sign(rng) * distance * uniform(rng, 0.0, 0.8)
        foot = (aside, 0.0, distance)
        item = rng.random()
        if item < 0.5 * wooded:
            things.tree(build, foot, uniform(rng, 2.0, 12.0))
        elif item < 0.6:
            size = uniform(rng, 0.4, 1.8)
            things.leaves(build, (aside, size * 0.4, distance), size)
        elif item < 0.75:
            rock = build.coats("clouds", "speckle", "carried", size_m=1.0)
            size_m = (uniform(rng, 0.3, 2.5), uniform(rng, 0.3, 1.5), uniform(rng, 0.3, 2.0))
            build.ellipsoid((aside, 0.1, distance), size_m, rock, uniform(rng, -90, 90))
        elif item < 0.85:
            things.animal(build, foot, uniform(rng, 0.4, 1.8), uniform(rng, -180, 180))
        elif item < 0.94:
            things.person(build, foot, uniform(rng, 1.4, 1.9), uniform(rng, -180, 180))
        else:
            things.pole(build, foot, uniform(rng, 1.0, 7.0))
    if chance(rng, 0.25):
        _fence(build)


def _fence(build: Builder) -> None:
    rng = build.rng
    wood = build.coats("grain", "clouds", brightness=(0.03, 0.6))
    distance, turn = uniform(rng, 3.0, 15.0), uniform(rng, -60, 60)
    yaw = math.radians(turn)
    for number in range(-8, 9):
        along = number * 2.0
        x, z = along * math.cos(yaw), distance - along * math.sin(yaw)
        build.stand((x, 0.0, z), (0.12, 1.2, 0.12), wood)
    for level in (0.5, 1.0):
        build.box((0.0, level, distance), (34.0, 0.1, 0.05), wood, turn)
