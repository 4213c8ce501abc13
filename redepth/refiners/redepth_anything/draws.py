"""The random draws of an optimisation: light, noise and timesteps of each member and step.

Drawn on the CPU, some steps ahead, and copied to the device in one piece: a step itself waits for
no copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
        noise_bkchw: standard normal, the e of the forward process, of each of K noise draws.
        timesteps_bk: int64 [B, K].
    """

    light: Light
    posterior_noise_bchw: Tensor
    noise_bkchw: Tensor
    timesteps_bk: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class DrawBlock:
    """The draws of consecutive steps: tensors [S, B, ...] on the device."""

    light_xy_sb2: Tensor
    shininess_sb: Tensor
    weights_sb2: Tensor
    timesteps_sbk: Tensor
    posterior_noise_sbchw: Tensor
    noise_sbkchw: Tensor

    def step(self, index: int) -> StepDraws:
        """Return the draws of one of the steps."""
        diffuse_b, specular_b = self.weights_sb2[index].unbind(dim=1)
        light = Light(
            light_direction(self.light_xy_sb2[index]),
            self.shininess_sb[index],
            diffuse_b,
            specular_b,
        )
        return StepDraws(
            light,
            self.posterior_noise_sbchw[index],
            self.noise_sbkchw[index],
            self.timesteps_sbk[index],
        )


def draw_block(
    generators: Sequence[Sequence[torch.Generator]],
    settings: ReDepthAnything,
    shape: DrawShape,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> DrawBlock:
    """Draw consecutive steps, one generator a step and member, and bring them to `device`.

    Light: lx, ly ~ U(-extent, extent). Shininess 2^k, k uniform over the recipe's integers. Diffuse
    and specular weight: two U(0, 1) draws over their sum. Timestep uniform in [min T, max T]; of
    several noise draws, each in its own equal part of that range.

    Args:
        generators: [S][B], on the CPU.
        dtype: of all but the timesteps; drawn in float32 whatever it is.
    """
    steps = [_stack([_draw_member(g, settings, shape) for g in members]) for members in generators]
    light_xy, shininess, weights, timesteps, posterior_noise, noise = (
        _bring(part, device) for part in _stack(steps)
    )
    return DrawBlock(
        light_xy.to(dtype),
        shininess.to(dtype),
        weights.to(dtype),
        timesteps,
        posterior_noise.to(dtype),
        noise.to(dtype),
    )


def draw_step(
    generators: Sequence[torch.Generator],
    settings: ReDepthAnything,
    shape: DrawShape,
    device: torch.device,
) -> StepDraws:
    """Draw one step for each generator: `draw_block` of one step."""
    return draw_block([generators], settings, shape, device).step(0)


def _draw_member(
    generator: torch.Generator, settings: ReDepthAnything, shape: DrawShape
) -> tuple[Tensor, ...]:
    light_xy = (torch.rand(2, generator=generator) * 2.0 - 1.0) * settings.light_extent
    first, last = settings.shininess_exponents
    exponent = torch.randint(first, last + 1, (), generator=generator)
    weights = torch.rand(2, generator=generator)
    timesteps = [
        torch.randint(low, high, (), generator=generator) for low, high in _strata(settings, shape)
    ]
    posterior_noise = torch.randn(shape.latent_chw, generator=generator)
    noise = torch.randn((settings.noise_draws, *shape.latent_chw), generator=generator)
    shininess = torch.pow(torch.tensor(2.0), exponent)
    drawn_timesteps = torch.stack(timesteps)
    return light_xy, shininess, weights / weights.sum(), drawn_timesteps, posterior_noise, noise


def _strata(settings: ReDepthAnything, shape: DrawShape) -> list[tuple[int, int]]:
    """Cut the range of timesteps into a part [low, high) for each noise draw; none is empty."""
    low = round(settings.min_timestep * shape.num_timesteps)
    last = min(round(settings.max_timestep * shape.num_timesteps), shape.num_timesteps - 1)
    count, width = settings.noise_draws, last + 1 - low
    edges = [low + width * part // count for part in range(count + 1)]
    return [(first, max(after, first + 1)) for first, after in pairwise(edges)]


def _stack(rows: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))


def _bring(values: Tensor, device: torch.device) -> Tensor:
    """Copy to the device; to a GPU from pinned memory, so that nothing waits for the copy."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
