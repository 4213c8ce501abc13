"""Rendered scenes held in memory, and batches drawn from them by (seed, stage, step) alone.

Rendering within a step would cost more than the step: a pool is rendered once and drawn from. It
lies where the training runs, and what is drawn is drawn there.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from redepth.scenes.draws import scene_generator
from redepth.scenes.families import render_scene
from redepth.scenes.lights import encode, shade
from redepth.scenes.reliefs import LightRange, draw_relief_lighting
from redepth.scenes.scene import Scene, SceneKind, Split
from redepth.training.draws import uniform
from redepth.types import ByteImage, FloatMap

SIZE_PX = 64
# raw = GAIN (1 / z - 1 / 2) + MIDDLE for a relief, whose depth is about 2: positive, and the slope
# of 1 / (raw + m) is the scene's own. Hence 4 / (raw + 1.4) = z: s and m of the preset.
DISPARITY_GAIN, DISPARITY_MIDDLE = 4.0, 0.6
RENDER_SCALE = DISPARITY_GAIN
RENDER_MARGIN = DISPARITY_GAIN / 2.0 - DISPARITY_MIDDLE
_OBJECTS_STD = 0.2
_LEAST_DISPARITY = 0.02
_SCENES_A_CHUNK = 100


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

    def to(self, device: torch.device) -> ScenePool:
        """Return the pool with its tensors on a device."""
        return replace(
            self,
            rgb_n3hw=self.rgb_n3hw.to(device),
            disparity_nhw=self.disparity_nhw.to(device),
        )


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
    num_processes: int = 1,
    on_scenes: Callable[[int], None] = lambda count: None,
) -> ScenePool:
    """Render the first `counts[family]` training scenes of each family, on the CPU.

    Args:
        light: where the light of reliefs stands, in place of where the family has it.
        num_processes: that share the work; the scenes are the same for any number.
        on_scenes: called with how many were rendered, as they are.
    """
    chunks = [
        _Chunk(family, range(first, min(first + _SCENES_A_CHUNK, count)), light, size_px)
        for family, count in counts.items()
        for first in range(0, count, _SCENES_A_CHUNK)
    ]
    rendered = list(_render_chunks(chunks, num_processes, on_scenes))
    stops = np.cumsum(list(counts.values())).tolist()
    return ScenePool(
        rgb_n3hw=torch.cat([torch.from_numpy(chunk.rgb_n3hw) for chunk in rendered]),
        disparity_nhw=torch.cat([torch.from_numpy(chunk.disparity_nhw) for chunk in rendered]),
        captions=tuple(caption for chunk in rendered for caption in chunk.captions),
        families={
            family: (stop - count, stop)
            for (family, count), stop in zip(counts.items(), stops, strict=True)
        },
    )


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Training scenes of one family that one process renders in a row."""

    family: str
    seeds: range
    light: LightRange | None
    size_px: int


@dataclass(frozen=True, slots=True, eq=False)
class _Rendered:
    """The scenes of a chunk, as `ScenePool` holds them; arrays travel between processes."""

    rgb_n3hw: ByteImage
    disparity_nhw: FloatMap
    captions: tuple[str, ...]


def _render_chunks(
    chunks: Sequence[_Chunk], num_processes: int, on_scenes: Callable[[int], None]
) -> Iterator[_Rendered]:
    """Yield the chunks' scenes in the order of the chunks."""
    if num_processes == 1:
        for chunk in chunks:
            yield _render_chunk(chunk)
            on_scenes(len(chunk.seeds))
        return
    # Not forked: a forked copy of torch's thread pool hangs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context) as pool:
        futures = {pool.submit(_render_chunk, chunk): chunk for chunk in chunks}
        for future in as_completed(futures):
            future.result()
            on_scenes(len(futures[future].seeds))
        yield from (future.result() for future in futures)


def _render_chunk(chunk: _Chunk) -> _Rendered:
    rgb, disparity, captions = [], [], []
    for seed in chunk.seeds:
        scene = render_scene(chunk.family, seed, chunk.size_px, Split.TRAIN)
        if chunk.light is not None and scene.kind is SceneKind.RELIEF:
            scene = lit_from(scene, chunk.light)
        rgb.append(scene.rgb_hw3.transpose(2, 0, 1))
        disparity.append(target_disparity(scene))
        captions.append(scene.caption)
    return _Rendered(np.stack(rgb), np.stack(disparity), tuple(captions))


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
    """Draw scenes: the family by its share, then any of its scenes, and a sibling of each.

    The generator is of the pool's device.
    """
    names: Sequence[str] = list(shares)
    weights = torch.tensor([shares[name] for name in names], device=generator.device)
    drawn = torch.multinomial(weights, count, replacement=True, generator=generator)
    places = torch.tensor([pool.families[name] for name in names], device=generator.device)
    ranges = places[drawn]
    first, width = ranges[:, 0], ranges[:, 1] - ranges[:, 0]
    place, sibling = uniform(generator, 2, count)
    chosen = first + (place * width).long()
    others = first + (sibling * width).long()
    return SceneBatch(
        image_b3hw=pool.rgb_n3hw[chosen].float() / 255.0,
        disparity_bhw=pool.disparity_nhw[chosen],
        captions=tuple(pool.captions[index] for index in chosen.tolist()),
        sibling_disparity_bhw=pool.disparity_nhw[others],
    )
