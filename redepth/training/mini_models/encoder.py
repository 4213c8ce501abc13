"""Distil the mini prior's VAE encoder into a smaller network: its latents, and its gradients.

Score distillation never looks at a decoded picture. It asks the encoder for latents, and then for
what a change of the latents is in the picture: a vector-Jacobian product. Both are matched.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional

from redepth.training.draws import normal, step_generator, uniform
from redepth.training.engine.loop import Stage
from redepth.training.examples.scene_pool import ScenePool, draw_batch
from redepth.training.mini_models.composites import show
from redepth.training.mini_models.prior import SHARES
from redepth.training.settings import Optimiser

STAGE = "encoder"
Encode = Callable[[Tensor], Tensor]
NUM_SCENES = (
    dict.fromkeys(("lumps", "gaussians", "saddles", "swells", "pebbles"), 100)
    | dict.fromkeys(("faces", "coins", "dunes", "cloth", "leaves"), 500)
    | dict.fromkeys(("solids", "fences", "wires", "plants"), 50)
)
_SMOOTH_CELLS = 4
_LENGTH_WEIGHT = 0.1


def encoder_stage(
    network: AutoencoderTiny,
    teacher: Encode,
    pool: ScenePool,
    seed: int,
    optimiser: Optimiser,
) -> Stage:
    """Return the training of the encoder on plain and re-lit pictures: `distillation_loss`.

    Network, teacher and pool are on one device.

    Args:
        teacher: pictures [B, 3, H, W] in [-1, 1] -> scaled latents, differentiable.
    """

    def loss(step: int) -> Tensor:
        generator = step_generator(seed, STAGE, step, network.device)
        shown = show(draw_batch(pool, SHARES, optimiser.batch_size, generator), generator)
        return distillation_loss(encode_with(network), teacher, shown.image_b3hw, generator)

    return Stage(STAGE, network, loss, optimiser)


def encode_with(network: AutoencoderTiny) -> Encode:
    """Return what encodes pictures with an AutoencoderTiny."""
    return lambda picture_b3hw: network.encode(picture_b3hw).latents


def distillation_loss(
    student: Encode, teacher: Encode, picture_b3hw: Tensor, generator: torch.Generator
) -> Tensor:
    """Return mean (x - x_t)^2 + mean (1 - cos(v, v_t)) + 0.1 mean ln(|v| / |v_t|)^2, a scalar.

    x are the latents, v = d<x, g> / dpicture for the gradients g of `draw_latent_gradients`; the
    teacher's are x_t and v_t. The length counts, since the smoothness has a gradient of its own.
    """
    picture_b3hw = picture_b3hw.detach().requires_grad_(True)
    latents, wanted_latents = student(picture_b3hw), teacher(picture_b3hw)
    gradient = draw_latent_gradients(latents.shape, generator)
    (change,) = torch.autograd.grad(latents, picture_b3hw, gradient, create_graph=True)
    (wanted,) = torch.autograd.grad(wanted_latents, picture_b3hw, gradient)
    error = (latents - wanted_latents.detach()).square().mean()
    angle = 1.0 - functional.cosine_similarity(change.flatten(1), wanted.flatten(1))
    length = (change.flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)).log().square()
    loss: Tensor = error + (angle + _LENGTH_WEIGHT * length).mean()
    return loss


def draw_latent_gradients(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw gradients of the latents: standard normal, for half of the pictures smooth over 4 x 4.

    Those of score distillation are structured: no direction of the latents may be missing, and the
    slow ones must not drown among the many fast ones.
    """
    white = normal(generator, *shape)
    cells = normal(generator, *shape[:2], _SMOOTH_CELLS, _SMOOTH_CELLS)
    smooth = functional.interpolate(cells, size=shape[2:], mode="bicubic", align_corners=False)
    is_smooth = uniform(generator, shape[0], 1, 1, 1) < 0.5
    return torch.where(is_smooth, smooth, white)
