"""Rendered scenes as examples for a refiner: rendered by several processes, held on a device."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import DepthAnythingForDepthEstimation

from redepth.coarse.depth_anything.network import IMAGENET_MEAN, IMAGENET_STD
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Scene, Split
from redepth.training.draws import Draws
from redepth.training.examples.alignment import align
from redepth.training.examples.scene_pool import SIZE_PX, target_disparity
from redepth.types import FloatMap

_SCENES_PER_CALL = 100
_IMAGES_PER_CALL = 256
# How the pictures that a network sees differ: as they are, darker and warmer, lighter and colder.
_LOOKS = ((1.0, (1.0, 1.0, 1.0)), (1.3, (1.1, 1.0, 0.9)), (0.75, (0.9, 1.0, 1.1)))


@dataclass(frozen=True, slots=True, eq=False)
class SceneExamples:
    """Scenes of some families with the coarse maps of a network.

    Attributes:
        rgb_n3hw: uint8 [N, 3, H, W].
        truth_nhw: float32 [N, H, W], disparity.
        coarse_nkhw: float16 [N, K, H, W], the network's maps of K looks of each picture, brought to
            the truth by scale and shift.
        families: family -> (first, stop).
    """

    rgb_n3hw: Tensor
    truth_nhw: Tensor
    coarse_nkhw: Tensor
    families: Mapping[str, tuple[int, int]]

    def to(self, device: torch.device) -> SceneExamples:
        """Return the same examples on a device."""
        return SceneExamples(
            self.rgb_n3hw.to(device),
            self.truth_nhw.to(device),
            self.coarse_nkhw.to(device),
            self.families,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ExampleBatch:
    """Examples of one step.

    Attributes:
        image_b3hw: float32 [B, 3, H, W] in [0, 1].
        truth_bhw: float32 [B, H, W], of the coarse map's kind.
        network_bhw: float32 [B, H, W], what a network says.
        valid_bhw: bool [B, H, W], where the truth is known.
    """

    image_b3hw: Tensor
    truth_bhw: Tensor
    network_bhw: Tensor
    valid_bhw: Tensor


def render_examples(
    counts: Mapping[str, int],
    network: DepthAnythingForDepthEstimation,
    device: torch.device,
    num_processes: int = 1,
    on_scenes: Callable[[int], None] = lambda count: None,
    split: Split = Split.TRAIN,
) -> SceneExamples:
    """Render the first `counts[family]` scenes of each family and ask the network.

    Args:
        num_processes: that render; the outcome does not depend on it.
        on_scenes: called with how many scenes were rendered since.
    """
    rendered = render_families(counts, target_disparity, num_processes, on_scenes, split)
    coarse = network_maps(network, rendered.rgb_n3hw, rendered.maps_nhw, device)
    return SceneExamples(rendered.rgb_n3hw, rendered.maps_nhw, coarse, rendered.families)


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """Scenes of some families, those of one family beside each other.

    Attributes:
        rgb_n3hw: uint8 [N, 3, H, W].
        maps_nhw: float32 [N, H, W], what was asked of each scene.
        families: family -> (first, stop).
    """

    rgb_n3hw: Tensor
    maps_nhw: Tensor
    families: Mapping[str, tuple[int, int]]


def render_families(
    counts: Mapping[str, int],
    map_of: Callable[[Scene], FloatMap],
    num_processes: int = 1,
    on_scenes: Callable[[int], None] = lambda count: None,
    split: Split = Split.TRAIN,
) -> Rendered:
    """Render the first `counts[family]` scenes of each family, 64 px, in several processes.

    Args:
        map_of: a function of a module, which other processes can import.
        num_processes: that render; the outcome does not depend on it.
        on_scenes: called with how many scenes were rendered since.
    """
    families: dict[str, tuple[int, int]] = {}
    calls: list[tuple[str, range, Split]] = []
    total = 0
    for family, count in counts.items():
        families[family] = (total, total + count)
        total += count
        starts = range(0, count, _SCENES_PER_CALL)
        calls += [(family, range(s, min(s + _SCENES_PER_CALL, count)), split) for s in starts]
    rgb: list[np.ndarray] = []
    found: list[np.ndarray] = []
    # Not forked: a forked copy of torch's thread pool hangs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context) as pool:
        for pictures, maps in pool.map(partial(_render, map_of), calls):
            rgb.append(pictures)
            found.append(maps)
            on_scenes(len(pictures))
    rgb_n3hw = torch.from_numpy(np.concatenate(rgb)).permute(0, 3, 1, 2).contiguous()
    return Rendered(rgb_n3hw, torch.from_numpy(np.concatenate(found)), families)


@torch.no_grad()
def network_maps(
    network: DepthAnythingForDepthEstimation,
    rgb_n3hw: Tensor,
    truth_nhw: Tensor,
    device: torch.device,
) -> Tensor:
    """Return a network's maps of several looks of each picture, aligned, float16 [N, K, H, W]."""
    network = network.to(device).eval()
    mean, std = (torch.tensor(v).view(3, 1, 1).to(device) for v in (IMAGENET_MEAN, IMAGENET_STD))
    found = []
    for first in range(0, len(rgb_n3hw), _IMAGES_PER_CALL):
        image = rgb_n3hw[first : first + _IMAGES_PER_CALL].to(device).float() / 255.0
        truth = truth_nhw[first : first + _IMAGES_PER_CALL].to(device)
        looks = []
        for exponent, tint in _LOOKS:
            colour = torch.tensor(tint, device=device).view(3, 1, 1)
            look = (image**exponent * colour).clamp(0.0, 1.0)
            raw = network((look - mean) / std).predicted_depth
            aligned, _ = align(raw, truth, torch.ones_like(truth, dtype=torch.bool))
            looks.append(aligned)
        found.append(torch.stack(looks, dim=1).half().cpu())
    return torch.cat(found)


def draw_examples(
    examples: SceneExamples, shares: Mapping[str, float], count: int, draws: Draws
) -> ExampleBatch:
    """Draw scenes: the family by its share, then any of its scenes and one of its looks.

    Mirrored for every other scene; tint, exposure and grain of the picture vary.
    """
    names = list(shares)
    weights = torch.tensor([shares[name] for name in names])
    drawn = torch.multinomial(weights, count, replacement=True, generator=draws.host)
    ranges = torch.tensor([examples.families[name] for name in names])[drawn]
    first, width = ranges[:, 0], ranges[:, 1] - ranges[:, 0]
    place, look = torch.rand(2, count, generator=draws.host)
    device = examples.rgb_n3hw.device
    chosen = (first + (place * width).long()).to(device)
    looks = (look * examples.coarse_nkhw.shape[1]).long().to(device)
    image = vary_picture(examples.rgb_n3hw[chosen].float() / 255.0, draws)
    truth = examples.truth_nhw[chosen]
    network = examples.coarse_nkhw[chosen, looks].float()
    mirrored = draws.uniform(count) < 0.5
    image = torch.where(mirrored[:, None, None, None], image.flip(-1), image)
    truth = torch.where(mirrored[:, None, None], truth.flip(-1), truth)
    network = torch.where(mirrored[:, None, None], network.flip(-1), network)
    return ExampleBatch(image, truth, network, torch.ones_like(truth, dtype=torch.bool))


def vary_picture(image_b3hw: Tensor, draws: Draws) -> Tensor:
    """Change tint, exposure and grain of pictures in [0, 1]."""
    count = len(image_b3hw)
    tint = 1.0 + 0.3 * (draws.uniform(count, 3, 1, 1) - 0.5)
    exponent = torch.exp2(draws.uniform(count, 1, 1, 1) - 0.5)
    grain = 0.04 * draws.uniform(count, 1, 1, 1) * draws.normal(*image_b3hw.shape)
    return (image_b3hw.clamp(min=1e-4) ** exponent * tint + grain).clamp(0.0, 1.0)


def _render(
    map_of: Callable[[Scene], FloatMap], call: tuple[str, range, Split]
) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures uint8 [N, H, W, 3] and maps float32 [N, H, W] of a family's seeds."""
    family, seeds, split = call
    scenes = [render_scene(family, seed, SIZE_PX, split) for seed in seeds]
    return np.stack([s.rgb_hw3 for s in scenes]), np.stack([map_of(s) for s in scenes])
