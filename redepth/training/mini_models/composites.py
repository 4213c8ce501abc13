"""What the mini prior is shown: plain pictures, re-lit ones, and re-lit ones of a wrong shape.

A re-lit picture is composed exactly as the refiner composes it. Those of a wrong shape are told so
by a word in front of their caption: then the caption without the word is of true shapes alone, and
guidance away from the empty prompt, which stands for all of them, leads towards the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from redepth.geometry.relighting import Light, light_direction, relight, to_linear, to_srgb
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.training.draws import normal, uniform
from redepth.training.examples.scene_pool import SceneBatch, render_depth

WRONG_WORD = "bad"
ANY_PICTURE = "a photograph"
_ANY_PICTURE_SHARE = 0.04
_SETTINGS = ReDepthAnything()


@dataclass(frozen=True, slots=True)
class Mixture:
    """How often what is shown.

    Attributes:
        plain: share of plain pictures.
        true: share of pictures lit by the true shape; the rest is lit by a wrong one.
        empty: share of empty prompts where the shape is true or the picture plain.
        empty_wrong: share of empty prompts over wrong shapes: what guidance leads away from.
        ways: how often a shape is wrong in which way, in the order of `corrupt`.
    """

    plain: float = 0.22
    true: float = 0.45
    empty: float = 0.06
    empty_wrong: float = 0.40
    ways: tuple[float, ...] = (0.25, 0.15, 0.12, 0.14, 0.14, 0.20)


MIXTURE = Mixture()


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Pictures [B, 3, H, W] in [-1, 1] and B prompts."""

    image_b3hw: Tensor
    prompts: tuple[str, ...]


def show(batch: SceneBatch, generator: torch.Generator, mixture: Mixture = MIXTURE) -> Shown:
    """Make a training batch of a batch of scenes, on the generator's device."""
    count = len(batch.captions)
    kind_b = uniform(generator, count)
    plain_b, wrong_b = kind_b < mixture.plain, kind_b >= mixture.plain + mixture.true
    depth_bhw = render_depth(batch.disparity_bhw)
    sibling_bhw = render_depth(batch.sibling_disparity_bhw)
    wrong_bhw = corrupt(depth_bhw, sibling_bhw, generator, mixture.ways)
    depth_bhw = torch.where(wrong_b[:, None, None], wrong_bhw, depth_bhw)
    light = draw_light(count, generator)
    lit_b3hw = to_srgb(relight(depth_bhw, to_linear(batch.image_b3hw), light))
    image_b3hw = torch.where(plain_b[:, None, None, None], batch.image_b3hw, lit_b3hw)
    return Shown(image_b3hw * 2.0 - 1.0, _prompts(batch.captions, wrong_b, generator, mixture))


def draw_light(count: int, generator: torch.Generator) -> Light:
    """Draw lights as the refiner does with the paper's settings."""
    xy_b2 = (uniform(generator, count, 2) * 2.0 - 1.0) * _SETTINGS.light_extent
    first, last = _SETTINGS.shininess_exponents
    exponent = torch.randint(
        first, last + 1, (count,), generator=generator, device=generator.device
    )
    weights = uniform(generator, count, 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return Light(light_direction(xy_b2), 2.0**exponent, weights[:, 0], weights[:, 1])


def corrupt(
    depth_bhw: Tensor,
    sibling_bhw: Tensor,
    generator: torch.Generator,
    how_often: tuple[float, ...] = MIXTURE.ways,
) -> Tensor:
    """Return wrong shapes, each wrong in one of six ways.

    Another scene's of the family, whole or mixed with the true one: what is right for the class
    and wrong for the picture; flatter, inverted or steeper; warped by smooth noise; blurred; or
    blurred and warped, which is how a network errs.
    """
    count, height, width = depth_bhw.shape
    mean = depth_bhw.mean(dim=(1, 2), keepdim=True)
    relief = depth_bhw - mean
    steepness = uniform(generator, count, 1, 1) * 3.0 - 1.0
    steepness = torch.where((steepness - 1.0).abs() < 0.35, 1.0 - steepness, steepness)
    blurred = functional.interpolate(
        functional.adaptive_avg_pool2d(relief[:, None], 6),
        size=(height, width), mode="bicubic", align_corners=False,
    )[:, 0]  # fmt: skip
    noise = _smooth_noise(depth_bhw.shape, generator) * relief.std(dim=(1, 2), keepdim=True)
    strength = 0.4 + 1.2 * uniform(generator, count, 1, 1)
    share = uniform(generator, count, 1, 1)
    ways = torch.stack(
        (
            sibling_bhw - mean,
            relief + (sibling_bhw - mean - relief) * (0.4 + 0.4 * share),
            steepness * relief,
            relief + strength * noise,
            blurred,
            strength * (blurred + 0.7 * noise),
        )
    )
    weights = torch.tensor(how_often, device=generator.device)
    chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
    return (mean + ways[chosen, torch.arange(count, device=generator.device)]).clamp(min=0.2)


def _smooth_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return noise of unit variance, about 3 to 8 waves across the picture."""
    count, height, width = shape
    cells = 3 + int(6 * uniform(generator, 1))
    coarse = normal(generator, count, 1, cells, cells)
    size = (height, width)
    smooth = functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)[:, 0]
    return smooth / (smooth.std(dim=(1, 2), keepdim=True) + 1e-6)


def _prompts(
    captions: tuple[str, ...], wrong_b: Tensor, generator: torch.Generator, mixture: Mixture
) -> tuple[str, ...]:
    dropped, general = uniform(generator, 2, len(captions)).tolist()
    prompts = []
    for caption, wrong, drop, plain in zip(
        captions, wrong_b.tolist(), dropped, general, strict=True
    ):
        if drop < (mixture.empty_wrong if wrong else mixture.empty):
            prompts.append("")
            continue
        said = ANY_PICTURE if plain < _ANY_PICTURE_SHARE else caption
        prompts.append(f"{WRONG_WORD} {said}" if wrong else said)
    return tuple(prompts)
