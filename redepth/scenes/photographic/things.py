"""Things that scenes are furnished with: furniture, clutter, plants, cars, people, animals."""

from __future__ import annotations

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.photographic.bodies import Coats
from redepth.scenes.photographic.builder import Builder, Point, foliage_mask, turned

_WOOD = ("grain", "planks", "clouds")
_CLOTH = ("clouds", "stripes", "checks", "speckle", "collage", "carried")
_GREEN = 0.28


def clutter(build: Builder, middle: Point, reach: tuple[float, float], count: int) -> None:
    """Put small things on a level place: middle of it (x, y, z), half its extent in x and z."""
    rng = build.rng
    for _ in range(count):
        x = middle[0] + uniform(rng, -0.9, 0.9) * reach[0]
        z = middle[2] + uniform(rng, -0.9, 0.9) * reach[1]
        small_thing(
            build, (x, middle[1], z), uniform(rng, 0.03, 0.16) * choice(rng, (1.0, 1.0, 2.0))
        )


def small_thing(build: Builder, foot: Point, size_m: float) -> None:
    """Put a box, a tin, a cup, a ball or a book of about a size."""
    rng = build.rng
    coats = build.coats(size_m=max(size_m, 0.1))
    x, y, z = foot
    if chance(rng, build.style.round_share):
        if chance(rng, 0.35):
            high = size_m * uniform(rng, 0.6, 1.2)
            build.ellipsoid((x, y + high / 2, z), (size_m, high, size_m), coats)
        else:
            high = size_m * uniform(rng, 0.1, 2.5)
            build.cylinder(foot, size_m, high, coats)
            if chance(rng, 0.3):
                build.cylinder((x, y + high, z), size_m * 0.4, high * 0.4, coats)
        return
    high = size_m * choice(rng, (0.15, 0.5, 1.0, 1.8))
    sides = (size_m * uniform(rng, 0.6, 2.0), high, size_m * uniform(rng, 0.4, 1.5))
    build.stand(foot, sides, coats, uniform(rng, -90.0, 90.0))


def table(build: Builder, foot: Point, size: Point, yaw_deg: float, things: int) -> None:
    """Put a table or desk, with things on it."""
    rng = build.rng
    wide, high, deep = size
    top = build.coats(*_WOOD, size_m=1.0)
    x, y, z = foot
    build.box((x, y + high - 0.02, z), (wide, 0.04, deep), top, yaw_deg)
    legs = build.coats(*_WOOD)
    if chance(rng, 0.6):
        for side in (-1, 1):
            for end in (-1, 1):
                dx, dz = turned(side * (wide / 2 - 0.05), end * (deep / 2 - 0.05), yaw_deg)
                build.stand((x + dx, y, z + dz), (0.05, high - 0.03, 0.05), legs, yaw_deg)
    else:
        for side in (-1, 1):
            dx, dz = turned(side * (wide / 2 - 0.2), 0.0, yaw_deg)
            build.stand((x + dx, y, z + dz), (0.35, high - 0.03, deep * 0.9), legs, yaw_deg)
    reach = (wide / 2, deep / 2) if abs(yaw_deg) % 180 < 45 else (deep / 2, wide / 2)
    if abs(yaw_deg) % 90 > 10:
        reach = (min(reach) * 0.7, min(reach) * 0.7)
    clutter(build, (x, y + high, z), reach, things)
    if chance(rng, 0.6):
        dx, dz = turned(uniform(rng, -0.25, 0.25) * wide, deep * 0.25, yaw_deg)
        monitor(build, (x + dx, y + high, z + dz), yaw_deg + uniform(rng, -20, 20))


def monitor(build: Builder, foot: Point, yaw_deg: float) -> None:
    """Put a screen on a stand."""
    rng = build.rng
    wide = uniform(rng, 0.3, 0.65)
    high, stand = wide * uniform(rng, 0.55, 0.8), uniform(rng, 0.03, 0.15)
    frame = build.wardrobe.add(build.material("clouds", brightness=(0.01, 0.3)))
    screen = build.material("screen", "collage", "carried", size_m=wide, contrast=0.9)
    lit = build.wardrobe.add(screen)
    x, y, z = foot
    thick = choice(rng, (0.03, 0.05, 0.3))
    build.box((x, y + stand + high / 2, z), (wide, high, thick), (frame, frame, lit), yaw_deg)
    build.stand(foot, (wide * 0.2, stand, 0.06), (frame, frame, frame), yaw_deg)
    build.stand(foot, (wide * 0.5, 0.015, 0.18), (frame, frame, frame), yaw_deg)


def chair(build: Builder, foot: Point, yaw_deg: float) -> None:
    """Put a chair; its back is on its own +z side."""
    rng = build.rng
    seat, wide = uniform(rng, 0.4, 0.5), uniform(rng, 0.38, 0.55)
    coats = build.coats(*_CLOTH, size_m=0.3, brightness=(0.02, 0.6))
    x, y, z = foot
    build.box((x, y + seat - 0.03, z), (wide, uniform(rng, 0.03, 0.1), wide), coats, yaw_deg)
    dx, dz = turned(0.0, wide / 2, yaw_deg)
    back = uniform(rng, 0.35, 0.65)
    build.box((x + dx, y + seat + back / 2, z + dz), (wide, back, 0.05), coats, yaw_deg)
    metal = build.coats("clouds", brightness=(0.02, 0.5))
    if chance(rng, 0.4):
        build.cylinder(foot, 0.06, seat, metal)
        build.cylinder(foot, wide, 0.06, metal)
        return
    for side in (-1, 1):
        for end in (-1, 1):
            dx, dz = turned(side * (wide / 2 - 0.03), end * (wide / 2 - 0.03), yaw_deg)
            build.stand((x + dx, y, z + dz), (0.04, seat, 0.04), metal, yaw_deg)


def cupboard(build: Builder, foot: Point, size: Point, yaw_deg: float) -> None:
    """Put a closed cupboard, with things on top when it is low."""
    plain = build.wardrobe.add(build.material(*_WOOD, "collage", size_m=1.0))
    front = build.wardrobe.add(
        build.material(*_WOOD, "bricks", "collage", "books", size_m=max(size[0], size[1]) * 0.8)
    )
    build.stand(foot, size, (plain, plain, front), yaw_deg)
    if size[1] < 1.4:
        top = (foot[0], foot[1] + size[1], foot[2])
        reach = min(size[0], size[2]) / 2
        clutter(build, top, (reach, reach), int(build.rng.integers(0, 5)))


def bookshelf(build: Builder, foot: Point, size: Point, yaw_deg: float) -> None:
    """Put an open shelf: sides, boards, rows of books and things between them."""
    rng = build.rng
    wide, high, deep = size
    wood = build.coats(*_WOOD, size_m=1.0)
    x, y, z = foot
    for side in (-1, 1):
        dx, dz = turned(side * wide / 2, 0.0, yaw_deg)
        build.stand((x + dx, y, z + dz), (0.03, high, deep), wood, yaw_deg)
    dx, dz = turned(0.0, deep / 2, yaw_deg)
    build.stand((x + dx, y, z + dz), (wide, high, 0.02), build.coats(*_WOOD), yaw_deg)
    boards = max(2, round(high / uniform(rng, 0.3, 0.5)))
    for number in range(boards + 1):
        level = y + high * number / boards
        build.box((x, level, z), (wide, 0.025, deep), wood, yaw_deg)
        if number == boards:
            break
        filled = uniform(rng, 0.2, 1.0)
        books = build.material("books", "stripes", "collage", size_m=wide * 0.8, contrast=0.9)
        shift = uniform(rng, -0.5, 0.5) * (1 - filled) * wide
        dx, dz = turned(shift, uniform(rng, -0.05, 0.1) * deep, yaw_deg)
        tall = high / boards * uniform(rng, 0.45, 0.9)
        row = (wide * filled * 0.95, tall, deep * 0.75)
        build.stand((x + dx, level, z + dz), row, build.wardrobe.coats(books), yaw_deg)


def sofa(build: Builder, foot: Point, wide: float, yaw_deg: float) -> None:
    """Put a sofa or a bed; its back is on its own +z side."""
    rng = build.rng
    coats = build.coats(*_CLOTH, size_m=0.5)
    deep, seat = uniform(rng, 0.8, 2.0), uniform(rng, 0.3, 0.5)
    x, y, z = foot
    build.stand(foot, (wide, seat, deep), coats, yaw_deg)
    dx, dz = turned(0.0, deep / 2 - 0.1, yaw_deg)
    build.stand((x + dx, y, z + dz), (wide, seat + uniform(rng, 0.2, 0.5), 0.2), coats, yaw_deg)
    if chance(rng, 0.6):
        for side in (-1, 1):
            dx, dz = turned(side * (wide / 2 - 0.1), 0.0, yaw_deg)
            build.stand((x + dx, y, z + dz), (0.2, seat + 0.2, deep), coats, yaw_deg)
    for _ in range(int(rng.integers(0, 4))):
        pillow = build.coats(*_CLOTH, size_m=0.3)
        dx, dz = turned(uniform(rng, -0.4, 0.4) * wide, deep * 0.2, yaw_deg)
        build.ellipsoid((x + dx, y + seat + 0.15, z + dz), (0.45, 0.35, 0.2), pillow, yaw_deg)


def tree(build: Builder, foot: Point, high: float) -> None:
    """Put a tree: a trunk and a crown of ellipsoids and ragged cut-outs."""
    rng = build.rng
    bark = build.coats("grain", "clouds", size_m=0.5, brightness=(0.02, 0.2), hue=0.08)
    trunk = high * uniform(rng, 0.2, 0.5)
    build.cylinder(foot, high * uniform(rng, 0.02, 0.07), trunk * 1.3, bark, uniform(rng, -5, 5))
    x, y, z = foot
    for _ in range(int(rng.integers(2, 7))):
        size = high * uniform(rng, 0.2, 0.55)
        place = (
            x + uniform(rng, -0.2, 0.2) * high,
            y + uniform(rng, trunk, high - size / 2),
            z + uniform(rng, -0.2, 0.2) * high,
        )
        leaves(build, place, size)


def leaves(build: Builder, centre: Point, size: float) -> None:
    """Put a clump of leaves, solid or as a ragged cut-out."""
    rng = build.rng
    coats = build.coats(
        "speckle", "blots", "carried", size_m=size * 0.5, brightness=(0.02, 0.35),
        contrast=0.9, hue=_GREEN + uniform(rng, -0.1, 0.05),
    )  # fmt: skip
    if chance(rng, 0.5):
        build.ellipsoid(centre, (size, size * uniform(rng, 0.6, 1.1), size), coats)
        return
    x, y, z = centre
    foot = (x, y - size / 2, z)
    build.cutout(foot, (size, size), coats, foliage_mask(rng), uniform(rng, -40, 40))


def car(build: Builder, foot: Point, yaw_deg: float) -> None:
    """Put a car: body, cabin, four wheels."""
    rng = build.rng
    long, wide = uniform(rng, 3.4, 5.0), uniform(rng, 1.6, 2.0)
    body_high, cabin_high = uniform(rng, 0.55, 0.85), uniform(rng, 0.45, 0.7)
    if chance(rng, 0.2):
        long, body_high, cabin_high = long * 1.3, uniform(rng, 1.0, 1.6), uniform(rng, 0.6, 1.0)
    paint = build.coats("clouds", brightness=(0.01, 0.9), contrast=0.1)
    glass = build.coats("clouds", "collage", brightness=(0.01, 0.3))
    rubber = build.coats("clouds", brightness=(0.005, 0.05))
    x, y, z = foot
    build.stand((x, y + 0.25, z), (wide, body_high, long), paint, yaw_deg)
    dx, dz = turned(0.0, -long * uniform(rng, 0.0, 0.1), yaw_deg)
    cabin = (wide * 0.88, cabin_high, long * uniform(rng, 0.45, 0.65))
    build.stand((x + dx, y + 0.25 + body_high, z + dz), cabin, glass, yaw_deg)
    roof = (cabin[0], 0.05, cabin[2])
    build.stand((x + dx, y + 0.25 + body_high + cabin_high, z + dz), roof, paint, yaw_deg)
    for side in (-1, 1):
        for end in (-1, 1):
            dx, dz = turned(side * wide * 0.46, end * long * 0.32, yaw_deg)
            build.ellipsoid((x + dx, y + 0.32, z + dz), (0.25, 0.64, 0.64), rubber, yaw_deg)


def person(build: Builder, foot: Point, high: float, yaw_deg: float) -> None:
    """Put somebody: legs, trunk, arms, head, hair."""
    rng = build.rng
    skin = build.coats("clouds", brightness=(0.1, 0.7), contrast=0.1, hue=0.06)
    shirt = build.coats(*_CLOTH, size_m=0.3)
    trousers = build.coats(*_CLOTH, size_m=0.3, brightness=(0.01, 0.4))
    hair = build.coats("grain", "clouds", size_m=0.1, brightness=(0.005, 0.2))
    x, y, z = foot
    unit = high / 1.75
    stride = uniform(rng, 0.0, 0.25) * unit
    for side in (-1, 1):
        dx, dz = turned(side * 0.1 * unit, side * stride, yaw_deg)
        leg = (0.17 * unit, 0.9 * unit, 0.2 * unit)
        build.ellipsoid((x + dx, y + 0.43 * unit, z + dz), leg, trousers, yaw_deg)
        dx, dz = turned(side * 0.26 * unit, 0.0, yaw_deg)
        arm = (0.12 * unit, 0.65 * unit, 0.13 * unit)
        lean = side * uniform(rng, 0.0, 30.0)
        build.ellipsoid((x + dx, y + 1.12 * unit, z + dz), arm, shirt, yaw_deg, lean)
    build.ellipsoid(
        (x, y + 1.12 * unit, z), (0.46 * unit, 0.75 * unit, 0.27 * unit), shirt, yaw_deg
    )
    build.cylinder((x, y + 1.4 * unit, z), 0.12 * unit, 0.15 * unit, skin)
    head = (0.18 * unit, 0.25 * unit, 0.21 * unit)
    build.ellipsoid((x, y + 1.62 * unit, z), head, skin, yaw_deg)
    grown = uniform(rng, 1.0, 1.5)
    crown = (0.2 * unit * grown, 0.2 * unit * grown, 0.2 * unit)
    dx, dz = turned(0.0, -0.03 * unit, yaw_deg + 180)
    build.ellipsoid((x + dx, y + 1.68 * unit, z + dz), crown, hair, yaw_deg)


def animal(build: Builder, foot: Point, high: float, yaw_deg: float) -> None:
    """Put an animal: trunk along its own x, head, ears, four legs, tail."""
    rng = build.rng
    fur = build.coats("grain", "blots", "stripes", "clouds", size_m=high * 0.4, hue=0.08)
    x, y, z = foot
    long, thick = high * uniform(rng, 1.0, 1.6), high * uniform(rng, 0.4, 0.6)
    build.ellipsoid((x, y + high * 0.6, z), (long, thick, thick), fur, yaw_deg)
    for side in (-1, 1):
        for end in (-1, 1):
            dx, dz = turned(end * long * 0.35, side * thick * 0.25, yaw_deg)
            build.cylinder((x + dx, y, z + dz), high * 0.12, high * 0.55, fur)
    rise = uniform(rng, 0.75, 1.1) * high
    dx, dz = turned(long * 0.55, 0.0, yaw_deg)
    skull = high * uniform(rng, 0.3, 0.45)
    build.ellipsoid((x + dx, y + rise, z + dz), (skull * 1.2, skull, skull), fur, yaw_deg)
    for side in (-1, 1):
        ex, ez = turned(long * 0.5, side * skull * 0.35, yaw_deg)
        ear = (skull * 0.2, skull * 0.5, skull * 0.25)
        build.ellipsoid((x + ex, y + rise + skull * 0.55, z + ez), ear, fur, yaw_deg)
    dx, dz = turned(-long * 0.6, 0.0, yaw_deg)
    build.cylinder((x + dx, y + high * 0.5, z + dz), high * 0.06, high * 0.5, fur, 30.0)


def potted_plant(build: Builder, foot: Point, high: float) -> None:
    """Put a plant in a pot."""
    rng = build.rng
    build.cylinder(foot, high * 0.35, high * 0.35, build.coats("clouds", "carried", size_m=0.3))
    x, y, z = foot
    for _ in range(int(rng.integers(2, 5))):
        place = (
            x + uniform(rng, -0.15, 0.15) * high,
            y + uniform(rng, 0.45, 0.8) * high,
            z + uniform(rng, -0.15, 0.15) * high,
        )
        leaves(build, place, high * uniform(rng, 0.25, 0.5))


def pole(build: Builder, foot: Point, high: float, coats: Coats | None = None) -> None:
    """Put a pole, some with a sign or a lamp on top."""
    rng = build.rng
    worn = coats or build.coats("clouds", brightness=(0.03, 0.5))
    build.cylinder(foot, uniform(rng, 0.06, 0.2), high, worn)
    x, y, z = foot
    if chance(rng, 0.5):
        sign = (uniform(rng, 0.4, 1.0), uniform(rng, 0.3, 1.0), 0.05)
        build.box((x, y + high, z), sign, build.coats("collage"), uniform(rng, -30, 30))
