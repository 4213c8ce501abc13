"""Objects on a floor before a wall: solids, fences, wires and plants, placed at random.

World frame while placing: x right, y down, z forward, metres; the floor is y = 0, and the camera
stands over x = z = 0 and looks down a little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.finishes import Finish, draw_finish, draw_surroundings, plain_finish
from redepth.scenes.scene import Array
from redepth.scenes.solids import Shape, Solid, axes_along
from redepth.scenes.tracing import Thing
from redepth.scenes.words import counted, with_and, with_article

MAX_TRIES = 30
MAX_NAMED = 3  # things that a caption names
GREENS = ((0.10, 0.34, 0.08), (0.22, 0.42, 0.10), (0.08, 0.26, 0.14))


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Everything that stands there, in the camera frame, and how to speak of it.

    Attributes:
        things: floor and wall first.
        lead: what the caption begins with, and `joint`, what joins the names of others to it.
        floor: the floor's texture, or "".
        field_of_view_deg: along a side of the square picture.
    """

    things: tuple[Thing, ...]
    lead: str
    joint: str
    floor: str
    field_of_view_deg: float

    def words(self, names: Sequence[str]) -> str:
        """Return the caption when things of these names are seen; "" are passed over."""
        named = [name for name in names if name][:MAX_NAMED]
        others = f"{self.joint}{with_and(named)}" if named else ""
        ground = f" on a {self.floor} floor" if self.floor else ""
        return f"{self.lead}{others}{ground}" if self.lead or others else f"an empty room{ground}"


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """Where the camera stands: how high, and how far it looks down."""

    height_m: float
    pitch_deg: float

    def seen(self, thing: Thing) -> Thing:
        """Return a thing of the world in the camera frame."""
        pitch = math.radians(self.pitch_deg)
        cosine, sine = math.cos(pitch), math.sin(pitch)
        turn = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
        solid = thing.solid
        centre = turn @ (solid.centre + np.array([0.0, self.height_m, 0.0]))
        placed = Solid(solid.shape, centre, turn @ solid.axes_33, solid.half_sizes, solid.tube)
        return replace(thing, solid=placed)


def draw_solids(rng: np.random.Generator) -> Stage:
    """Draw 3 to 6 solids that stand apart."""
    return _staged(rng, _draw_standing(rng, int(rng.integers(3, 7)), (1.8, 3.3)))


def draw_fences(rng: np.random.Generator) -> Stage:
    """Draw a fence of thin pickets, with things behind it that show through."""
    wood = plain_finish(rng, "", (0.42, 0.26, 0.13), 0.0)
    white = plain_finish(rng, "", (0.80, 0.79, 0.75), 0.1)
    paint, name = choice(rng, ((wood, "wooden"), (white, "white")))
    behind = _draw_standing(rng, int(rng.integers(1, 4)), (2.6, 3.7))
    return _staged(rng, [*_fence(rng, paint), *behind], f"a {name} fence", " before ")


def draw_wires(rng: np.random.Generator) -> Stage:
    """Draw two or three poles with sagging wires between them, and a thing or two."""
    metal = plain_finish(rng, "", (0.22, 0.22, 0.24), 0.6)
    others = _draw_standing(rng, int(rng.integers(1, 3)), (2.5, 3.5))
    count = int(rng.integers(2, 4))
    lead = f"{counted(count, 'pole')} with wires"
    return _staged(rng, [*_poles(rng, metal, count), *others], lead, ", ")


def draw_plants(rng: np.random.Generator) -> Stage:
    """Draw a plant in a pot: thin stems that bend, and leaves."""
    colour, name = choice(rng, (((0.50, 0.22, 0.12), "clay"), ((0.70, 0.70, 0.68), "white")))
    others = _draw_standing(rng, 1, (2.6, 3.6))
    x, z = uniform(rng, -0.3, 0.3), uniform(rng, 1.5, 2.0)
    plant = _plant(rng, x, z, plain_finish(rng, "", colour, 0.2))
    lead = f"a plant with thin stems in a {name} pot"
    return _staged(rng, [*plant, *others], lead, " before ")


def _staged(
    rng: np.random.Generator, things: list[Thing], lead: str = "", joint: str = ""
) -> Stage:
    """Add floor and wall, and see it all from somewhere."""
    viewpoint = Viewpoint(uniform(rng, 0.9, 1.4), uniform(rng, 14.0, 24.0))
    floor, wall = draw_surroundings(rng), draw_surroundings(rng)
    away, turn = uniform(rng, 4.2, 5.8), math.radians(uniform(rng, -15.0, 15.0))
    into = np.array([math.sin(turn), 0.0, math.cos(turn)])
    backdrop = (
        Thing(_solid(Shape.PLANE, np.zeros(3), _upright(0.0), 1.0), floor, is_surrounding=True),
        Thing(_solid(Shape.PLANE, away * into, axes_along(into), 1.0), wall, is_surrounding=True),
    )
    seen = tuple(viewpoint.seen(thing) for thing in (*backdrop, *things))
    return Stage(seen, lead, joint, floor.words, uniform(rng, 42.0, 56.0))


def _draw_standing(
    rng: np.random.Generator, count: int, distances_m: tuple[float, float]
) -> list[Thing]:
    """Draw solids that stand on the floor and do not touch; fewer if there is no room."""
    things: list[Thing] = []
    for _ in range(MAX_TRIES):
        if len(things) == count:
            break
        size, z = uniform(rng, 0.18, 0.42), uniform(rng, *distances_m)
        x = uniform(rng, -0.38, 0.38) * z
        if all(_gap_m(t.solid, x, z) > t.solid.radius_m + 1.3 * size for t in things):
            noun, build = choice(rng, _STANDING)
            finish = draw_finish(rng, 1.5 / size)
            name = with_article(f"{finish.words} {noun}")
            things.append(Thing(build(rng, x, z, size), finish, name))
    return things


def _gap_m(solid: Solid, x: float, z: float) -> float:
    return math.hypot(float(solid.centre[0]) - x, float(solid.centre[2]) - z)


def _ball(rng: np.random.Generator, x: float, z: float, size: float) -> Solid:
    return _solid(Shape.BALL, (x, -size, z), _upright(uniform(rng, 0.0, 360.0)), size)


def _box(rng: np.random.Generator, x: float, z: float, size: float) -> Solid:
    half = (size * uniform(rng, 0.6, 1.0), size * uniform(rng, 0.5, 1.5), size * 0.8)
    return _solid(Shape.BOX, (x, -half[1], z), _upright(uniform(rng, 0.0, 90.0)), half)


def _cylinder(rng: np.random.Generator, x: float, z: float, size: float) -> Solid:
    radius, half = size * uniform(rng, 0.5, 0.9), size * uniform(rng, 0.6, 1.6)
    turned = _upright(uniform(rng, 0.0, 90.0))
    return _solid(Shape.CYLINDER, (x, -half, z), turned, (radius, half, radius))


def _cone(rng: np.random.Generator, x: float, z: float, size: float) -> Solid:
    radius, half = size * uniform(rng, 0.6, 0.9), size * uniform(rng, 0.7, 1.3)
    turned = _upright(uniform(rng, 0.0, 90.0))
    return _solid(Shape.CONE, (x, -half, z), turned, (radius, half, radius))


def _ring(rng: np.random.Generator, x: float, z: float, size: float) -> Solid:
    """Return a torus that stands on its edge or lies flat."""
    tube, half = uniform(rng, 0.16, 0.32), np.full(3, size)
    if chance(rng, 0.5):
        return Solid(Shape.TORUS, np.array([x, -tube * size, z]), _upright(0.0), half, tube)
    turn = math.radians(uniform(rng, -60.0, 60.0))
    axes = axes_along(np.array([math.sin(turn), 0.0, math.cos(turn)]))
    return Solid(Shape.TORUS, np.array([x, -size, z]), axes, half, tube)


_STANDING: tuple[tuple[str, Callable[[np.random.Generator, float, float, float], Solid]], ...] = (
    ("ball", _ball),
    ("box", _box),
    ("cylinder", _cylinder),
    ("cone", _cone),
    ("ring", _ring),
)


def _fence(rng: np.random.Generator, paint: Finish) -> list[Thing]:
    """Return pickets and two rails, in a line that runs from side to side at a slant."""
    angle = uniform(rng, -25.0, 25.0)
    axes = _upright(angle)
    along, middle = axes[:, 0], np.array([0.0, 0.0, uniform(rng, 1.7, 2.3)])
    height, gap = uniform(rng, 0.55, 0.95), uniform(rng, 0.20, 0.34)
    thin = uniform(rng, 0.014, 0.03)
    things = []
    for step in range(-8, 9):
        place = middle + step * gap * along + np.array([0.0, -height / 2.0, 0.0])
        if place[2] > 0.8:
            picket = _solid(Shape.BOX, place, axes, (thin, height / 2.0, 0.012))
            things.append(Thing(picket, paint))
    for level in (0.3, 0.8):
        place = middle + np.array([0.0, -level * height, 0.0]) + 0.02 * axes[:, 2]
        length = min(8.0 * gap, (middle[2] - 0.8) / max(abs(along[2]), 0.05))
        things.append(Thing(_solid(Shape.BOX, place, axes, (length, 0.02, 0.008)), paint))
    return things


def _poles(rng: np.random.Generator, metal: Finish, count: int) -> list[Thing]:
    """Return poles from left to right and wires that sag from each to the next."""
    xs = np.linspace(-0.75, 0.75, count) + rng.uniform(-0.15, 0.15, count)
    zs, heights = rng.uniform(1.9, 2.9, count), rng.uniform(0.8, 1.3, count)
    feet = np.stack((xs, np.zeros(count), zs), axis=-1)
    tops = feet - np.stack((np.zeros(count), heights, np.zeros(count)), axis=-1)
    thick, thin = uniform(rng, 0.018, 0.035), uniform(rng, 0.006, 0.011)
    things = [_rod(foot, top, thick, metal) for foot, top in zip(feet, tops, strict=True)]
    for level in rng.uniform(0.0, 0.35, int(rng.integers(1, 4))):
        down, sag = np.array([0.0, level, 0.0]), uniform(rng, 0.05, 0.25)
        for start, end in zip(tops[:-1] + down, tops[1:] + down, strict=True):
            things += _bent_rod(start, (start + end) / 2 + [0.0, sag, 0.0], end, thin, metal)
    return things


def _plant(rng: np.random.Generator, x: float, z: float, pot: Finish) -> list[Thing]:
    """Return a pot, stems that bend outwards, and leaves along them."""
    green = plain_finish(rng, "", choice(rng, GREENS), 0.3)
    rim = np.array([x, -0.30, z])
    vessel = _solid(Shape.CYLINDER, (x, -0.15, z), _upright(0.0), (0.17, 0.15, 0.17))
    things = [Thing(vessel, pot)]
    for _ in range(int(rng.integers(4, 9))):
        side, lean = uniform(rng, 0.0, math.tau), uniform(rng, 0.1, 0.42)
        out = lean * np.array([math.cos(side), 0.0, math.sin(side)])
        rise = np.array([0.0, -uniform(rng, 0.35, 0.85), 0.0])
        stem = (rim + 0.1 * out, rim + 0.15 * out + 0.6 * rise, rim + out + rise)
        things += _bent_rod(*stem, uniform(rng, 0.007, 0.013), green)
        things += [_leaf(rng, _on_curve(*stem, share), green) for share in (0.6, 0.82, 1.0)]
    return things


def _leaf(rng: np.random.Generator, place: Array, green: Finish) -> Thing:
    """Return a flat ellipsoid that hangs at a place."""
    direction = rng.standard_normal(3) * np.array([1.0, 0.5, 1.0])
    axes = axes_along(direction / np.linalg.norm(direction))
    length = uniform(rng, 0.06, 0.12)
    centre = place + 0.8 * length * axes[:, 1]
    half = (0.45 * length, length, 0.07 * length)
    return Thing(_solid(Shape.BALL, centre, axes, half), green)


def _bent_rod(
    start: Array, middle: Array, end: Array, radius: float, finish: Finish
) -> list[Thing]:
    """Return a thin rod along a curve, as 6 straight pieces."""
    places = [_on_curve(start, middle, end, share) for share in np.linspace(0.0, 1.0, 7)]
    return [_rod(a, b, radius, finish) for a, b in pairwise(places)]


def _on_curve(start: Array, middle: Array, end: Array, share: float) -> Array:
    """Return a point of the quadratic Bezier curve."""
    left = 1.0 - share
    return left * left * start + 2.0 * left * share * middle + share * share * end


def _rod(start: Array, end: Array, radius: float, finish: Finish) -> Thing:
    length = float(np.linalg.norm(end - start))
    axes = axes_along((end - start) / length)
    sizes = (radius, length / 2.0 + 0.3 * radius, radius)
    return Thing(_solid(Shape.CYLINDER, (start + end) / 2.0, axes, sizes), finish)


def _solid(
    shape: Shape,
    centre: Array | tuple[float, float, float],
    axes_33: Array,
    half: float | tuple[float, float, float],
) -> Solid:
    return Solid(shape, np.asarray(centre), axes_33, np.broadcast_to(half, 3).astype(float))


def _upright(turn_deg: float) -> Array:
    """Return axes with y down, turned about it."""
    turn = math.radians(turn_deg)
    cosine, sine = math.cos(turn), math.sin(turn)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
