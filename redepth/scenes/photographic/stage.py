"""What is rendered: bodies, what they wear, the lights, the air, the lens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from redepth.scenes.photographic.bodies import Body, Coats
from redepth.scenes.photographic.camera import Floats, View

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Material:
    """A tile between two colours, with stains.

    Attributes:
        tile: index in the texture bank.
        size_m: of the tile before it repeats.
        dark, light: linear colours where the tile is 0 and 1.
        stain: index of a second tile, six times as large.
        stained: how much the second tile darkens, 0 to 1.
        offset: of the tile, in tiles.
        glow: light of its own, as a share of its colour: screens, lamps, windows.
    """

    tile: int
    size_m: float
    dark: Colour
    light: Colour
    stain: int = 0
    stained: float = 0.0
    offset: float = 0.0
    glow: float = 0.0


@dataclass(frozen=True, slots=True)
class Lamp:
    """A light.

    Attributes:
        towards: to a distant light (unit vector), or the place of a near one, metres.
        is_near: whether it is a place; its light then falls with the distance.
        strength: of the direct light.
        ambient: light from all sides.
        sky_share: how much more of the ambient comes from above, 0 to 1.
        colour: of the direct light.
        shadow: 0 for none, 1 for the direct light gone.
    """

    towards: tuple[float, float, float]
    is_near: bool
    strength: float
    ambient: float
    sky_share: float
    colour: Colour
    shadow: float


@dataclass(frozen=True, slots=True)
class Sky:
    """What is seen where no ray hits: a gradient and clouds."""

    horizon: Colour
    zenith: Colour
    cloud_tile: int
    clouds: float


@dataclass(frozen=True, slots=True)
class Air:
    """Haze: colours go to the sky's by 1 - exp(-distance / clear_m)."""

    clear_m: float = np.inf


@dataclass(frozen=True, slots=True)
class Lens:
    """Blur of what is out of focus, in pixels for a difference of 1 / m in inverse depth."""

    focus_m: float = 1.0
    blur_px: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A scene before its picture.

    Attributes:
        crease: how dark corners and contacts are, 0 to 1.
    """

    view: View
    bodies: tuple[Body, ...]
    materials: tuple[Material, ...]
    lamp: Lamp
    sky: Sky
    air: Air = Air()
    lens: Lens = Lens()
    crease: float = 0.3


@dataclass(slots=True)
class Wardrobe:
    """Materials while a stage is built; a body refers to one by its number."""

    materials: list[Material] = field(default_factory=list)

    def add(self, material: Material) -> int:
        """Keep a material and return its number."""
        self.materials.append(material)
        return len(self.materials) - 1

    def coats(self, material: Material) -> Coats:
        """Return the coats of a body that wears one material all over."""
        number = self.add(material)
        return number, number, number


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """A rendered picture and its exact depth.

    Attributes:
        rgb_hw3: uint8 [H, W, 3], gamma 2.2.
        disparity_hw: float32 [H, W] >= 0, 1 / m; 0 is the sky.
    """

    rgb_hw3: np.ndarray
    disparity_hw: Floats
