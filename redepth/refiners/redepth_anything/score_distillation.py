"""Score Distillation: what a frozen diffusion prior would change about a picture."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Weighting = Literal["uniform", "sds", "fantasia3d"]


def add_noise(latents_bchw: Tensor, noise_bchw: Tensor, alpha_bar_b: Tensor) -> Tensor:
    """Return sqrt(abar) x + sqrt(1 - abar) e, the forward process at each entry's timestep."""
    alpha_bar = alpha_bar_b[:, None, None, None]
    return alpha_bar.sqrt() * latents_bchw + (1.0 - alpha_bar).sqrt() * noise_bchw


def guide(noise_text: Tensor, noise_uncond: Tensor, guidance_scale: float) -> Tensor:
    """Return e_text + g (e_text - e_uncond).

    Source: Re-Depth Anything. Not diffusers' e_uncond + g (e_text - e_uncond): the same direction,
    one guidance unit stronger.
    """
    return noise_text + guidance_scale * (noise_text - noise_uncond)


def timestep_weight(alpha_bar_b: Tensor, weighting: Weighting) -> Tensor:
    """Return w(t): 1, 1 - abar ("sds"), or sqrt(abar) (1 - abar) ("fantasia3d"). Shape [B]."""
    match weighting:
        case "uniform":
            return torch.ones_like(alpha_bar_b)
        case "sds":
            return 1.0 - alpha_bar_b
        case "fantasia3d":
            return alpha_bar_b.sqrt() * (1.0 - alpha_bar_b)


def score_distillation_gradient(
    guided_noise_bchw: Tensor, noise_bchw: Tensor, alpha_bar_b: Tensor, weighting: Weighting
) -> Tensor:
    """Return w(t) (e_hat - e), [B, C, H, W], detached: what the latents should move against."""
    weight = timestep_weight(alpha_bar_b, weighting)[:, None, None, None]
    return (weight * (guided_noise_bchw - noise_bchw)).detach()


def score_distillation_loss(latents_bchw: Tensor, gradient_bchw: Tensor) -> Tensor:
    """Return 0.5 mean((x - stopgrad(x - gradient))^2) of each entry, shape [B].

    Its derivative in x is gradient / numel of one entry. Members of a batch are summed, not
    averaged: averaging would change Adam's epsilon regime (token gradients are about 1e-6).

    Source: Re-Depth Anything; DreamFusion's SDS written as a loss.
    """
    target_bchw = (latents_bchw - gradient_bchw).detach()
    return 0.5 * ((latents_bchw - target_bchw) ** 2).flatten(1).mean(dim=1)
