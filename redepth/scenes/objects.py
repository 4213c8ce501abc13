"""Render a stage of objects through a pinhole camera: depth at pixel centres, smooth edges."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redepth.geometry.camera import Pinhole
from redepth.scenes.draws import chance, uniform
from redepth.scenes.lights import encode, light_from, light_words, shade
from redepth.scenes.scene import Array, Lighting, Scene, SceneKind, Split, scene_id
from redepth.scenes.stages import Stage
from redepth.scenes.tracing import Sight, lit_by, look

CAMERA_TO_LIGHTING = np.array([-1.0, 1.0, -1.0])  # and back
SAMPLES = 2  # a side of a pixel, for the picture; truth is that of the pixel's centre
CAPTION_SIZE_PX = 32  # a caption names what covers at least so many of its pixels
MIN_NAMED_PX = 5


def render_objects(
    family: str, seed: int, split: Split, size_px: int, stage: Stage, lighting: Lighting
) -> Scene:
    """Render a stage that has been drawn."""
    camera = camera_of(stage, size_px)
    truth = look(stage.things, camera, size_px, samples=1)
    fine = look(stage.things, camera, size_px, SAMPLES)
    linear = _box_filtered(shade_sight(stage, fine, lighting), size_px)
    named = np.array([not thing.is_surrounding for thing in stage.things])
    shape = (size_px, size_px)
    return Scene(
        id=scene_id(family, seed, split),
        family=family,
        seed=seed,
        split=split,
        kind=SceneKind.OBJECTS,
        rgb_hw3=encode(linear),
        depth_hw=truth.depth_n.reshape(shape).astype(np.float32),
        normal_hw3=_lighting_frame(truth.normals_n3, size_px),
        mask_hw=named[truth.thing_n].reshape(shape),
        albedo_hw3=truth.albedo_n3.reshape(*shape, 3).astype(np.float32),
        lighting=lighting,
        camera=camera,
        caption=f"{_words(stage)}, {light_words(lighting.directions_l3[0])}",
    )


def camera_of(stage: Stage, size_px: int) -> Pinhole:
    """Return the camera that sees the stage's field of view in a square picture."""
    focal_px = size_px / (2.0 * math.tan(math.radians(stage.field_of_view_deg) / 2.0))
    return Pinhole.centred(focal_px, focal_px, (size_px, size_px))


def draw_objects_lighting(rng: np.random.Generator) -> Lighting:
    """Draw a key light from above and up to two weak ones from other sides."""
    directions = [light_from(uniform(rng, 20.0, 160.0), uniform(rng, 28.0, 60.0))]
    ambient = uniform(rng, 0.15, 0.25)
    weights = [0.95 - ambient]
    for _ in range(2):
        if chance(rng, 0.4):
            directions.append(light_from(uniform(rng, 0.0, 180.0), uniform(rng, 20.0, 70.0)))
            weights.append(uniform(rng, 0.08, 0.2))
    return Lighting(
        directions_l3=np.stack(directions),
        diffuse_l=np.array(weights),
        ambient=ambient,
        specular=uniform(rng, 0.15, 0.45),
        shininess=2.0 ** uniform(rng, 3.5, 6.0),
    )


def shade_sight(stage: Stage, sight: Sight, lighting: Lighting) -> Array:
    """Return the linear light of every ray, [N, 3], with the key light's shadows."""
    towards_key = lighting.directions_l3[0] * CAMERA_TO_LIGHTING
    distance = np.linalg.norm(sight.points_n3, axis=-1, keepdims=True)
    return shade(
        sight.albedo_n3,
        sight.normals_n3 * CAMERA_TO_LIGHTING,
        lighting,
        gloss_hw=sight.gloss_n,
        view_hw3=-sight.points_n3 / distance * CAMERA_TO_LIGHTING,
        key_visible_hw=lit_by(stage.things, sight, towards_key),
    )


def _words(stage: Stage) -> str:
    """Say what stands there, the largest that are seen first, the same at any size."""
    sight = look(stage.things, camera_of(stage, CAPTION_SIZE_PX), CAPTION_SIZE_PX, samples=1)
    areas = np.bincount(sight.thing_n, minlength=len(stage.things))
    seen = [index for index in np.argsort(-areas, kind="stable") if areas[index] >= MIN_NAMED_PX]
    return stage.words([stage.things[index].name for index in seen])


def _lighting_frame(normals_n3: Array, size_px: int) -> npt.NDArray[np.float32]:
    turned = normals_n3 * CAMERA_TO_LIGHTING
    normals: npt.NDArray[np.float32] = turned.reshape(size_px, size_px, 3).astype(np.float32)
    return normals


def _box_filtered(linear_n3: Array, size_px: int) -> Array:
    """Return the mean over each pixel's samples, clamped first as a sensor would."""
    parts = np.clip(linear_n3, 0.0, 1.0).reshape(size_px, SAMPLES, size_px, SAMPLES, 3)
    means: Array = parts.mean(axis=(1, 3))
    return means
