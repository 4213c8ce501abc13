"""Train the small coarse model that reads photographs, on photographic scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from redepth.training.draws import Draws, step_draws
from redepth.training.engine.loop import Stage
from redepth.training.examples.photographic_scenes import SCENES_A_CHUNK, Chunks, Photographs
from redepth.training.mini_models.settings import PhotoOptimiser
from redepth.training.settings import Optimiser

STAGE, LARGE_STAGE = "photo", "photo-large"
# Sides of what the network is shown, and how many of 20 draws have them: small ones at first, for
# which a picture costs a third, then those that it is used at.
_SMALL_HW = {(80, 112): 11, (64, 96): 3, (112, 80): 2, (96, 96): 2, (48, 112): 2}
_LARGE_HW = {(144, 192): 11, (128, 192): 3, (192, 144): 2, (160, 160): 2, (80, 192): 2}
_SCALES = 4
_SLOPE_WEIGHT = 0.5
_ORDER_WEIGHT = 0.3
_PAIRS = 1024
_CLEARLY = 0.03  # depths that differ by less have no order
_SHARP = 0.1
_MIDDLE, _SPREAD = 1.5, 0.5  # of the raw map: what comes of a softplus is positive


def photo_stage(network: nn.Module, chunks: Chunks, seed: int, optimiser: PhotoOptimiser) -> Stage:
    """Return the training of a network that gives disparity of pictures, on small ones.

    A step draws among the chunks that are rendered by then: the first `first_chunks`, and one more
    every `steps_a_chunk` steps.
    """

    def pool(step: int) -> list[Photographs]:
        known = optimiser.first_chunks + step // optimiser.steps_a_chunk
        return chunks.first(min(known, optimiser.num_chunks))

    loss = _loss(network, pool, _Draw(STAGE, seed, optimiser.batch_size, _SMALL_HW))
    return Stage(STAGE, network, loss, optimiser)


def large_photo_stage(
    network: nn.Module, pool: list[Photographs], seed: int, optimiser: Optimiser
) -> Stage:
    """Return the same training on pictures of the size that the network is used at."""
    draw = _Draw(LARGE_STAGE, seed, optimiser.batch_size, _LARGE_HW)
    return Stage(LARGE_STAGE, network, _loss(network, lambda _: pool, draw), optimiser)


@dataclass(frozen=True, slots=True)
class _Draw:
    stage: str
    seed: int
    batch_size: int
    sizes_hw: Mapping[tuple[int, int], int]


def _loss(
    network: nn.Module, pool: Callable[[int], list[Photographs]], draw: _Draw
) -> Callable[[int], Tensor]:
    device = next(network.parameters()).device

    def loss(step: int) -> Tensor:
        draws = step_draws(draw.seed, draw.stage, step, device)
        size_hw = _drawn_size(draw.sizes_hw, draws)
        scenes = _drawn(pool(step), draw.batch_size, draws, device)
        image, target = cropped(scenes, size_hw, draws)
        return photo_loss(network(taken(image, draws)), target, draws)

    return loss


def _drawn_size(sizes_hw: Mapping[tuple[int, int], int], draws: Draws) -> tuple[int, int]:
    sizes = [size_hw for size_hw, times in sizes_hw.items() for _ in range(times)]
    return sizes[draws.integer(0, len(sizes) - 1)]


def _drawn(
    pool: list[Photographs], batch_size: int, draws: Draws, device: torch.device
) -> Photographs:
    places = [
        (draws.integer(0, len(pool) - 1), draws.integer(0, SCENES_A_CHUNK - 1))
        for _ in range(batch_size)
    ]
    rgb = torch.stack([pool[chunk].rgb_n3hw[scene] for chunk, scene in places])
    disparity = torch.stack([pool[chunk].disparity_nhw[scene] for chunk, scene in places])
    return Photographs(rgb.to(device), disparity.to(device))


def cropped(scenes: Photographs, size_hw: tuple[int, int], draws: Draws) -> tuple[Tensor, Tensor]:
    """Cut out a part of each picture, mirror half of them, bring them to a size.

    Returns:
        Pictures float32 [B, 3, H, W] in [0, 1] and their disparity float32 [B, H, W], of the pixel
        that is nearest.
    """
    count, _, height, width = scenes.rgb_n3hw.shape
    aspect = size_hw[1] / size_hw[0] * height / width
    largest = torch.tensor((min(1.0, aspect), min(1.0, 1.0 / aspect)))  # of width and height
    share = 1.0 - 0.4 * draws.uniform(count, 1) ** 2
    half_b2 = share * largest.to(share.device)
    middle_b2 = (2.0 * draws.uniform(count, 2) - 1.0) * (1.0 - half_b2) * 0.7
    mirrored_b = torch.where(draws.uniform(count) < 0.5, -1.0, 1.0)
    zero_b = torch.zeros_like(mirrored_b)
    rows = (
        torch.stack((half_b2[:, 0] * mirrored_b, zero_b, middle_b2[:, 0]), dim=1),
        torch.stack((zero_b, half_b2[:, 1], middle_b2[:, 1]), dim=1),
    )
    grid = functional.affine_grid(torch.stack(rows, dim=1), [count, 1, *size_hw], False)
    image = functional.grid_sample(
        scenes.rgb_n3hw.float() / 255.0, grid, padding_mode="border", align_corners=False
    )
    disparity = functional.grid_sample(
        scenes.disparity_nhw[:, None].float(), grid, "nearest", "border", align_corners=False
    )
    return image, disparity[:, 0]


def taken(image_b3hw: Tensor, draws: Draws) -> Tensor:
    """Change pictures as cameras do: white balance, exposure, contrast, vignette, blur, grain."""
    count = len(image_b3hw)

    def one(low: float, high: float) -> Tensor:
        return low + (high - low) * draws.uniform(count, 1, 1, 1)

    grey = image_b3hw.mean(dim=1, keepdim=True)
    saturation = one(0.0, 1.5) * (draws.uniform(count, 1, 1, 1) > 0.1)
    image = grey + saturation * (image_b3hw - grey)
    tint = 2.0 ** (0.35 * (2.0 * draws.uniform(count, 3, 1, 1) - 1.0))
    image = (image * tint).clamp(1e-3, 1.5) ** (2.0 ** one(-0.5, 0.8))
    middle = image.mean(dim=(1, 2, 3), keepdim=True)
    image = middle * one(0.6, 1.3) + one(0.7, 1.6) * (image - middle)
    height, width = image.shape[-2:]
    y = torch.linspace(-1.0, 1.0, height, device=image.device)[:, None]
    x = torch.linspace(-1.0, 1.0, width, device=image.device)
    slope = one(-0.3, 0.3) * x + one(-0.3, 0.3) * y
    image = image * (1.0 + slope - one(0.0, 0.3) * (x * x + y * y))
    blurred = functional.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    image = image + one(-0.2, 0.8) * (blurred - image)
    image = image + one(0.0, 1.0) ** 2 * 0.06 * draws.normal(*image.shape)
    return image.clamp(0.0, 1.0)


def photo_loss(raw_bhw: Tensor, disparity_bhw: Tensor, draws: Draws) -> Tensor:
    """Return a loss of raw maps against disparity, whatever its scale and shift.

    The target is disparity at mean 0 and mean absolute deviation 1 over each picture; the raw map
    is asked for 1.5 + target / 2. The loss is their mean absolute difference, 0.5 times that of
    their slopes at 4 scales (as MiDaS has it, https://arxiv.org/abs/1907.01341), and 0.3 times a
    loss of order over 1024 pairs of places: ln(1 + exp(-d / 0.1)) / 10 for the difference d of the
    map, nearer minus farther, where the depths differ by 3 % or more. MiDaS normalises the raw map
    as well; a network that is unsure must then guess aloud, and learns slower for it.
    """
    target = _normalised(disparity_bhw)
    found = (raw_bhw - _MIDDLE) / _SPREAD
    error = found - target
    loss = error.abs().mean()
    for scale in range(_SCALES):
        step = error[:, :: 2**scale, :: 2**scale]
        slopes = step.diff(dim=-1).abs().mean() + step.diff(dim=-2).abs().mean()
        loss = loss + _SLOPE_WEIGHT / _SCALES * slopes
    return loss + _ORDER_WEIGHT * _order(found, disparity_bhw, draws)


def _normalised(map_bhw: Tensor) -> Tensor:
    centred = map_bhw - map_bhw.mean(dim=(1, 2), keepdim=True)
    return centred / (centred.abs().mean(dim=(1, 2), keepdim=True) + 1e-6)


def _order(found_bhw: Tensor, disparity_bhw: Tensor, draws: Draws) -> Tensor:
    found, disparity = found_bhw.flatten(1), disparity_bhw.flatten(1)
    count, num_px = found.shape
    place = (draws.uniform(2, count, _PAIRS) * num_px).long().clamp(max=num_px - 1)
    one, other = disparity.gather(1, place[0]), disparity.gather(1, place[1])
    difference = (found.gather(1, place[0]) - found.gather(1, place[1])) * (one - other).sign()
    matters = (one - other).abs() > _CLEARLY * torch.maximum(one, other)
    order = functional.softplus(-difference / _SHARP) * _SHARP
    return (order * matters).sum() / matters.sum().clamp(min=1)
