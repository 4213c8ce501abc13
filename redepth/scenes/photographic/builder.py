"""Put bodies on a stage: boxes and others by place, size and turn; colours and tiles drawn."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.photographic.bodies import (
    Body,
    Box,
    Coats,
    Cutout,
    Cylinder,
    Ellipsoid,
    Frame,
)
from redepth.scenes.photographic.camera import Floats
from redepth.scenes.photographic.stage import Colour, Material, Wardrobe
from redepth.scenes.photographic.textures import Bank

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Style:
    """How the scenes of one set look.

    Attributes:
        name: part of each scene's seed.
        bank_seed: of the texture tiles.
        kinds: tiles that walls, floors and things may wear.
        saturation: of drawn colours, at most.
        shadows: how often there are cast shadows.
        near_lamps: how often indoor light comes from a lamp in the room.
        round_share: how many of the small things are round.
    """

    name: str
    bank_seed: int
    kinds: tuple[str, ...]
    saturation: float
    shadows: float
    near_lamps: float
    round_share: float


@dataclass(slots=True)
class Builder:
    """A stage while it is built.

    Attributes:
        rng: every draw comes from it.
    """

    rng: np.random.Generator
    style: Style
    bank: Bank
    wardrobe: Wardrobe = field(default_factory=Wardrobe)
    bodies: list[Body] = field(default_factory=list)

    def tile(self, *kinds: str) -> int:
        """Draw a tile of one of the kinds; of any that the style has where none is given."""
        first, stop = self.bank.kinds[choice(self.rng, kinds or self.style.kinds)]
        return int(self.rng.integers(first, stop))

    def material(
        self,
        *kinds: str,
        size_m: float = 1.0,
        brightness: tuple[float, float] = (0.05, 0.8),
        contrast: float | None = None,
        glow: float = 0.0,
        hue: float | None = None,
    ) -> Material:
        """Draw what something wears: two colours of like hue, a tile, stains."""
        rng = self.rng
        base = self.colour(brightness, hue)
        strength = uniform(rng, 0.0, 1.0) ** 2 if contrast is None else contrast
        other = self.colour(brightness, hue)
        dark = _mixed(base, other, strength)
        return Material(
            self.tile(*kinds), size_m * uniform(rng, 0.6, 1.6), dark, base,
            self.tile("clouds", "blots"), uniform(rng, 0.0, 0.45) * float(chance(rng, 0.6)),
            uniform(rng, 0.0, 1.0), glow,
        )  # fmt: skip

    def colour(self, brightness: tuple[float, float], hue: float | None = None) -> Colour:
        """Draw a linear colour; half of them are nearly grey."""
        rng = self.rng
        value = uniform(rng, *brightness)
        saturation = self.style.saturation * uniform(rng, 0.0, 1.0) ** 2
        drawn = uniform(rng, 0.0, 1.0) if hue is None else (hue + uniform(rng, -0.05, 0.05)) % 1.0
        return colorsys.hsv_to_rgb(
            drawn, saturation if hue is None else 0.6 * saturation + 0.3, value
        )

    def coats(self, *kinds: str, size_m: float = 1.0, **how: object) -> Coats:
        """Draw one material for all sides."""
        return self.wardrobe.coats(self.material(*kinds, size_m=size_m, **how))  # type: ignore[arg-type]

    def box(self, centre: Point, size: Point, coats: Coats, yaw_deg: float = 0.0) -> None:
        """Place a box by its centre and its full extent."""
        self.bodies.append(Box(frame(centre, size, yaw_deg), coats))

    def stand(self, foot: Point, size: Point, coats: Coats, yaw_deg: float = 0.0) -> None:
        """Place a box by the middle of its lower face."""
        x, y, z = foot
        self.box((x, y + size[1] / 2, z), size, coats, yaw_deg)

    def ellipsoid(
        self, centre: Point, size: Point, coats: Coats, yaw_deg: float = 0.0, lean_deg: float = 0.0
    ) -> None:
        """Place an ellipsoid by its centre and its full extent."""
        self.bodies.append(Ellipsoid(frame(centre, size, yaw_deg, lean_deg), coats))

    def cylinder(
        self, foot: Point, width: float, height: float, coats: Coats, lean_deg: float = 0.0
    ) -> None:
        """Place a cylinder by the middle of its lower end."""
        x, y, z = foot
        centre = (x, y + height / 2, z)
        self.bodies.append(Cylinder(frame(centre, (width, height, width), 0.0, lean_deg), coats))

    def cutout(
        self,
        foot: Point,
        size_wh: tuple[float, float],
        coats: Coats,
        mask_hw: npt.NDArray[np.bool_],
        yaw_deg: float = 0.0,
    ) -> None:
        """Place a cut-out by the middle of its lower edge."""
        x, y, z = foot
        width, height = size_wh
        self.bodies.append(
            Cutout(frame((x, y + height / 2, z), (width, height, 1.0), yaw_deg), coats, mask_hw)
        )


def frame(centre: Point, size: Point, yaw_deg: float = 0.0, lean_deg: float = 0.0) -> Frame:
    """Return a frame turned about y by yaw (to the right), and before that about z by lean."""
    yaw, lean = math.radians(yaw_deg), math.radians(lean_deg)
    about_y = np.array(
        ((math.cos(yaw), 0, math.sin(yaw)), (0, 1, 0), (-math.sin(yaw), 0, math.cos(yaw)))
    )
    about_z = np.array(
        ((math.cos(lean), -math.sin(lean), 0), (math.sin(lean), math.cos(lean), 0), (0, 0, 1))
    )
    half = np.maximum(np.array(size, dtype=np.float32) / 2, 1e-3)
    axes_33: Floats = (about_y @ about_z).astype(np.float32)
    return Frame(np.array(centre, dtype=np.float32), axes_33, half)


def turned(x: float, z: float, yaw_deg: float) -> tuple[float, float]:
    """Return where (x, z) comes to when the frame turns by yaw, as `frame` does."""
    yaw = math.radians(yaw_deg)
    return x * math.cos(yaw) + z * math.sin(yaw), z * math.cos(yaw) - x * math.sin(yaw)


def foliage_mask(rng: np.random.Generator, side: int = 48) -> npt.NDArray[np.bool_]:
    """Draw the silhouette of a bush or a crown: an ellipse with a ragged edge and holes."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    cells = rng.random((side // 4 + 1, side // 4 + 1))
    ragged = np.kron(cells, np.ones((4, 4)))[:side, :side] + rng.random((side, side))
    return np.asarray(x**2 + y**2 < 0.15 + 0.7 * ragged, dtype=bool)


def ridge_mask(
    rng: np.random.Generator, roughness: float, size_hw: tuple[int, int] = (64, 256)
) -> npt.NDArray[np.bool_]:
    """Draw the silhouette of hills or of a wood: full below a line that wanders."""
    height, width = size_hw
    line = np.zeros(width)
    for octave in range(1, 7):
        phase, amount = rng.random(), rng.standard_normal() * octave ** -(2.0 - roughness)
        line += amount * np.sin(2 * math.pi * (octave * 1.7 * np.arange(width) / width + phase))
    line += roughness * 0.3 * rng.standard_normal(width)
    line = 0.35 + 0.6 * (line - line.min()) / max(float(np.ptp(line)), 1e-6)
    return np.asarray(np.arange(height)[::-1, None] / height < line, dtype=bool)


def is_clear(foot: Sequence[float], reach_m: float, place: Sequence[float]) -> bool:
    """Return whether something of this reach around (x, z) stays clear of a place (x, z)."""
    return math.hypot(foot[0] - place[0], foot[1] - place[1]) > reach_m


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue
