"""The random draws of one optimisation step: light, noise and timestep of each member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from redepth.geometry.relighting import Light, light_direction
from redepth.refiners.redepth_anything import ReDepthAnything


@dataclass(frozen=True, slots=True)
class DrawShape:
    """What a step needs to know to draw: the prior's latents and its timesteps."""

    latent_chw: tuple[int, int, int]
    num_timesteps: int


@dataclass(frozen=True, slots=True, eq=False)
class StepDraws:
    """The draws of one step, one batch entry a member.

    Attributes:
        light: where the light stands and how it shines.
        posterior_noise_bchw: standard normal, for sampling the VAE's posterior.
        noise_bchw: standard normal, the e of the forward process.
        timesteps_b: int64 [B].
    """

    light: Light
    posterior_noise_bchw: Tensor
    noise_bchw: Tensor
    timesteps_b: Tensor


def draw_step(
    generators: Sequence[torch.Generator],
    settings: ReDepthAnything,
    shape: DrawShape,
    device: torch.device,
) -> StepDraws:
    """Draw one step for each generator and stack the results on `device`.

    Light: lx, ly ~ U(-extent, extent). Shininess 2^k, k uniform over the recipe's integers. Diffuse
    and specular weight: two U(0, 1) draws over their sum. Timestep uniform in [min T, max T].
    """
    drawn = [_draw_member(g, settings, shape) for g in generators]
    light_xy, shininess, weights, timestep, posterior_noise, noise = (
        torch.stack(column).to(device) for column in zip(*drawn, strict=True)
    )
    light = Light(light_direction(light_xy), shininess, weights[:, 0], weights[:, 1])
    return StepDraws(light, posterior_noise, noise, timestep)


def _draw_member(
    generator: torch.Generator, settings: ReDepthAnything, shape: DrawShape
) -> tuple[Tensor, ...]:
    light_xy = (torch.rand(2, generator=generator) * 2.0 - 1.0) * settings.light_extent
    first, last = settings.shininess_exponents
    exponent = torch.randint(first, last + 1, (), generator=generator)
    weights = torch.rand(2, generator=generator)
    low = round(settings.min_timestep * shape.num_timesteps)
    high = min(round(settings.max_timestep * shape.num_timesteps), shape.num_timesteps - 1)
    timestep = torch.randint(low, high + 1, (), generator=generator)
    posterior_noise = torch.randn(shape.latent_chw, generator=generator)
    noise = torch.randn(shape.latent_chw, generator=generator)
    shininess = torch.pow(torch.tensor(2.0), exponent)
    return light_xy, shininess, weights / weights.sum(), timestep, posterior_noise, noise
