"""One stage of objects, seen by several cameras with known poses: a posed scene with exact depth.

World frame: the camera frame of the stage as it is drawn. The cameras stand on an arc about a point
before the first one, and all look at it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from redepth.errors import ConfigError
from redepth.scenes.families import FAMILIES, Objects, require_family
from redepth.scenes.objects import CAMERA_TO_LIGHTING, render_objects
from redepth.scenes.scene import Array, Lighting, Scene, Split
from redepth.scenes.stages import Stage
from redepth.scenes.tracing import Thing

PIVOT_M = 2.6


@dataclass(frozen=True, slots=True, eq=False)
class PosedView:
    """A rendered picture and its pose: camera = rotation @ world + translation, metres.

    Attributes:
        rotation_33, translation_3: float64, from the world into the camera frame.
        scene: picture, exact depth and camera.
    """

    rotation_33: Array
    translation_3: Array
    scene: Scene


def render_views(
    family: str, seed: int, size_px: int, split: Split, turns_deg: Sequence[float]
) -> list[PosedView]:
    """Render a stage once for each turn of the camera about the point 2.6 m ahead.

    Raises:
        ConfigError: the family is not one of objects: a relief has one side.
    """
    require_family(family)
    drawing = FAMILIES[family]
    if not isinstance(drawing, Objects):
        raise ConfigError(f"{family} is a relief, seen from one side alone: take solids or fences")
    stage, lighting = drawing.drawn(family, seed, split)
    views = []
    for turn_deg in turns_deg:
        rotation_33, translation_3 = _pose(turn_deg)
        seen = _stage_from(stage, rotation_33, translation_3)
        light = _lighting_from(lighting, rotation_33)
        scene = render_objects(family, seed, split, size_px, seen, light)
        views.append(PosedView(rotation_33, translation_3, scene))
    return views


def _pose(turn_deg: float) -> tuple[Array, Array]:
    turn = math.radians(turn_deg)
    cosine, sine = math.cos(turn), math.sin(turn)
    rotation_33 = np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    pivot_3 = np.array([0.0, 0.0, PIVOT_M])
    return rotation_33, pivot_3 - rotation_33 @ pivot_3


def _stage_from(stage: Stage, rotation_33: Array, translation_3: Array) -> Stage:
    def seen(thing: Thing) -> Thing:
        centre = rotation_33 @ thing.solid.centre + translation_3
        axes_33 = rotation_33 @ thing.solid.axes_33
        return replace(thing, solid=replace(thing.solid, centre=centre, axes_33=axes_33))

    return replace(stage, things=tuple(map(seen, stage.things)))


def _lighting_from(lighting: Lighting, rotation_33: Array) -> Lighting:
    in_camera_l3 = lighting.directions_l3 * CAMERA_TO_LIGHTING
    turned_l3 = (in_camera_l3 @ rotation_33.T) * CAMERA_TO_LIGHTING
    return replace(lighting, directions_l3=turned_l3)
