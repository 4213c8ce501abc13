"""The families of scenes by name, and how scenes of one are rendered.

A scene depends on (family, seed, split) alone: neither its size nor its neighbours change what it
shows. Pictures are vectorised over pixels and rendered one by one: at 64 px a picture is already
long enough for NumPy's loops, and a batch is its single scenes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from redepth.errors import ConfigError
from redepth.scenes.coins import draw_coin
from redepth.scenes.draws import scene_generator, uniform
from redepth.scenes.faces import draw_face
from redepth.scenes.landscapes import draw_cloth, draw_dunes
from redepth.scenes.leaves import draw_leaf
from redepth.scenes.objects import draw_objects_lighting, render_objects
from redepth.scenes.pebbles import draw_pebbles
from redepth.scenes.plain_reliefs import draw_gaussians, draw_lumps, draw_saddles, draw_swells
from redepth.scenes.relief import Relief
from redepth.scenes.reliefs import (
    FROM_ABOVE,
    MAX_RMS_SLOPE,
    MIN_RMS_SLOPE,
    NEAR_FRONTAL,
    LightRange,
    draw_relief_lighting,
    render_relief,
)
from redepth.scenes.scene import Lighting, Scene, SceneKind, Split
from redepth.scenes.stages import Stage, draw_fences, draw_plants, draw_solids, draw_wires

MIN_SIZE_PX = 16


@dataclass(frozen=True, slots=True)
class Reliefs:
    """A family of single surfaces; `in_distribution` is what a depth net is trained on."""

    draw: Callable[[np.random.Generator], Relief]
    light: LightRange
    in_distribution: bool
    kind: SceneKind = SceneKind.RELIEF

    def render(self, family: str, seed: int, size_px: int, split: Split) -> Scene:
        """Draw relief, light and slope, in this order, and render them."""
        rng = scene_generator(family, seed, split)
        relief = self.draw(rng)
        lighting = draw_relief_lighting(rng, self.light, relief.gloss)
        rms_slope = uniform(rng, MIN_RMS_SLOPE, MAX_RMS_SLOPE)
        return render_relief(family, seed, split, size_px, relief, lighting, rms_slope)


@dataclass(frozen=True, slots=True)
class Objects:
    """A family of things on a floor before a wall."""

    draw: Callable[[np.random.Generator], Stage]
    in_distribution: bool
    kind: SceneKind = SceneKind.OBJECTS

    def render(self, family: str, seed: int, size_px: int, split: Split) -> Scene:
        """Render what was drawn."""
        return render_objects(family, seed, split, size_px, *self.drawn(family, seed, split))

    def drawn(self, family: str, seed: int, split: Split) -> tuple[Stage, Lighting]:
        """Draw stage and lights, in this order."""
        rng = scene_generator(family, seed, split)
        stage = self.draw(rng)
        return stage, draw_objects_lighting(rng)


FAMILIES: dict[str, Reliefs | Objects] = {
    "lumps": Reliefs(draw_lumps, NEAR_FRONTAL, in_distribution=True),
    "gaussians": Reliefs(draw_gaussians, NEAR_FRONTAL, in_distribution=True),
    "saddles": Reliefs(draw_saddles, NEAR_FRONTAL, in_distribution=True),
    "swells": Reliefs(draw_swells, NEAR_FRONTAL, in_distribution=True),
    "pebbles": Reliefs(draw_pebbles, FROM_ABOVE, in_distribution=True),
    "faces": Reliefs(draw_face, FROM_ABOVE, in_distribution=False),
    "coins": Reliefs(draw_coin, FROM_ABOVE, in_distribution=False),
    "dunes": Reliefs(draw_dunes, FROM_ABOVE, in_distribution=False),
    "cloth": Reliefs(draw_cloth, FROM_ABOVE, in_distribution=False),
    "leaves": Reliefs(draw_leaf, FROM_ABOVE, in_distribution=False),
    "solids": Objects(draw_solids, in_distribution=True),
    "fences": Objects(draw_fences, in_distribution=False),
    "wires": Objects(draw_wires, in_distribution=False),
    "plants": Objects(draw_plants, in_distribution=False),
}


def families(*, kind: SceneKind, in_distribution: bool) -> tuple[str, ...]:
    """Return the names of the families of a kind, in or out of distribution."""
    return tuple(
        name
        for name, family in FAMILIES.items()
        if family.kind is kind and family.in_distribution is in_distribution
    )


def render_scene(family: str, seed: int, size_px: int, split: Split) -> Scene:
    """Render one scene, size_px x size_px, from its arguments alone.

    Args:
        family: a key of FAMILIES.
        seed: >= 0. The same seed of another split is another scene.
        size_px: >= 16. The same seed at another size is the same scene.

    Raises:
        ConfigError: no such family, a negative seed, or too small a size.
    """
    require_family(family)
    if seed < 0 or size_px < MIN_SIZE_PX:
        raise ConfigError(
            f"expected seed >= 0 and size_px >= {MIN_SIZE_PX}, got {seed} and {size_px}"
        )
    return FAMILIES[family].render(family, seed, size_px, split)


def render_batch(family: str, seeds: Iterable[int], size_px: int, split: Split) -> list[Scene]:
    """Render scenes of one family; each equals `render_scene` of its seed, bit for bit."""
    return [render_scene(family, seed, size_px, split) for seed in seeds]


def require_family(name: str) -> None:
    """Raise ConfigError for a family that does not exist, naming those that do."""
    if name not in FAMILIES:
        raise ConfigError(f"no family of scenes {name!r}; known: {', '.join(FAMILIES)}")
