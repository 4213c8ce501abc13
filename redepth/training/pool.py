"""Rendered scenes held in memory, and batches drawn from them by (seed, stage, step) alone.

Rendering within a step would cost more than the step: a pool is rendered once and drawn from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from redepth.scenes.draws import scene_generator
from redepth.scenes.families import render_scene
from redepth.scenes.lights import encode, shade
from redepth.scenes.reliefs import LightRange, draw_relief_lighting
from redepth.scenes.scene import Scene, SceneKind, Split
from redepth.types import FloatMap

SIZE_PX = 64
# raw = GAIN (1 / z - 1 / 2) + MIDDLE for a relief, whose depth is about 2: positive, and the slope
# of 1 / (raw + m) is the scene's own. Hence 4 / (raw + 1.4) = z: s and m of the preset.
DISPARITY_GAIN, DISPARITY_MIDDLE = 4.0, 0.6
RENDER_SCALE = DISPARITY_GAIN
RENDER_MARGIN = DISPARITY_GAIN / 2.0 - DISPARITY_MIDDLE
_OBJECTS_STD = 0.2
_LEAST_DISPARITY = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class ScenePool:
    """Scenes of some families, those of one family beside each other.

    Attributes:
        rgb_n3hw: uint8 [N, 3, H, W].
        disparity_nhw: float32 [N, H, W] > 0, `target_disparity`.
        captions: N of them.
        families: family -> (first, stop) in the pool.
    """

    rgb_n3hw: Tensor
    disparity_nhw: Tensor
    captions: tuple[str, ...]
    families: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class SceneBatch:
    """Some scenes of a pool.

    Attributes:
        image_b3hw: float32 [B, 3, H, W] in [0, 1], gamma 2.2.
        disparity_bhw: float32 [B, H, W].
        captions: B of them.
        sibling_disparity_bhw: that of another scene of each one's family.
    """

    image_b3hw: Tensor
    disparity_bhw: Tensor
    captions: tuple[str, ...]
    sibling_disparity_bhw: Tensor


def render_pool(
    counts: Mapping[str, int],
    light: LightRange | None = None,
    size_px: int = SIZE_PX,
    on_scene: Callable[[], None] = lambda: None,
) -> ScenePool:
    """Render the first `counts[family]` training scenes of each family.

    Args:
        light: where the light of reliefs stands, in place of where the family has it.
    """
    rgb: list[Tensor] = []
    disparity: list[Tensor] = []
    captions: list[str] = []
    families: dict[str, tuple[int, int]] = {}
    for family, count in counts.items():
        families[family] = (len(captions), len(captions) + count)
        for seed in range(count):
            scene = render_scene(family, seed, size_px, Split.TRAIN)
            if light is not None and scene.kind is SceneKind.RELIEF:
                scene = lit_from(scene, light)
            rgb.append(torch.from_numpy(scene.rgb_hw3).permute(2, 0, 1).contiguous())
            disparity.append(torch.from_numpy(target_disparity(scene)))
            captions.append(scene.caption)
            on_scene()
    return ScenePool(torch.stack(rgb), torch.stack(disparity), tuple(captions), families)


def lit_from(scene: Scene, light: LightRange) -> Scene:
    """Return a relief under another light, drawn from its own seed."""
    rng = scene_generator(f"{scene.family} lit anew", scene.seed, scene.split)
    lighting = draw_relief_lighting(rng, light, gloss=0.0)
    shaded_hw3 = shade(
        scene.albedo_hw3.astype(np.float64), scene.normal_hw3.astype(np.float64), lighting
    )
    return replace(scene, rgb_hw3=encode(shaded_hw3), lighting=lighting)


def target_disparity(scene: Scene) -> FloatMap:
    """Return what the mini depth net is to say of a scene, float32 [H, W] > 0.

    A relief: 4 (1 / z - 1 / 2) + 0.6, one gain for all, so that slopes keep their scale. Objects,
    whose distances have another: 1 / z brought to mean 0.6 and standard deviation 0.2.
    """
    inverse_hw = 1.0 / scene.depth_hw
    if scene.kind is SceneKind.RELIEF:
        disparity_hw = DISPARITY_GAIN * (inverse_hw - 0.5) + DISPARITY_MIDDLE
    else:
        deviation_hw = (inverse_hw - inverse_hw.mean()) / max(float(inverse_hw.std()), 1e-6)
        disparity_hw = _OBJECTS_STD * deviation_hw + DISPARITY_MIDDLE
    positive_hw: FloatMap = np.maximum(disparity_hw, _LEAST_DISPARITY).astype(np.float32)
    return positive_hw


def render_depth(disparity_bhw: Tensor) -> Tensor:
    """Return the depth whose normals the re-lighting uses; of a relief's target, its own."""
    return RENDER_SCALE / (disparity_bhw + RENDER_MARGIN)


def draw_batch(
    pool: ScenePool, shares: Mapping[str, float], count: int, generator: torch.Generator
) -> SceneBatch:
    """Draw scenes: the family by its share, then any of its scenes, and a sibling of each."""
    names: Sequence[str] = list(shares)
    weights = torch.tensor([shares[name] for name in names])
    drawn = torch.multinomial(weights, count, replacement=True, generator=generator)
    ranges = torch.tensor([pool.families[name] for name in names])[drawn]
    first, width = ranges[:, 0], ranges[:, 1] - ranges[:, 0]
    place, sibling = torch.rand(2, count, generator=generator)
    chosen = first + (place * width).long()
    others = first + (sibling * width).long()
    return SceneBatch(
        image_b3hw=pool.rgb_n3hw[chosen].float() / 255.0,
        disparity_bhw=pool.disparity_nhw[chosen],
        captions=tuple(pool.captions[index] for index in chosen.tolist()),
        sibling_disparity_bhw=pool.disparity_nhw[others],
    )


def step_generator(seed: int, stage: str, step: int) -> torch.Generator:
    """Return the generator of one training step: what it draws is a function of where it is."""
    digest = hashlib.sha256(f"train\x1f{stage}\x1f{seed}\x1f{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
