"""What a student learns: its teacher's change of the coarse map, pixel by pixel."""

from __future__ import annotations

import torch
from diffusers import UNet2DModel
from torch import Tensor

from redepth.refiners.distilled.pipeline import DistilledPipeline, show
from redepth.refiners.latents.normalisation import quantile_range
from redepth.training.distilled.settings import DistilledTraining
from redepth.training.draws import Draws, step_draws
from redepth.training.engine.loop import Stage
from redepth.training.examples.alignment import align
from redepth.training.examples.teacher import Source, TeacherBatch

STAGE = "student"
# How a picture's light may differ: its brightness, and each of its colours.
_BRIGHTNESS = 0.1
_COLOUR = 0.1


def student_stage(unet: UNet2DModel, source: Source, settings: DistilledTraining) -> Stage:
    """Return the training of a student on what `source` draws; all on the network's device."""
    pipeline = DistilledPipeline(unet)

    def loss(step: int) -> Tensor:
        draws = step_draws(settings.seed, STAGE, step, unet.device)
        batch = source(settings.optimiser.batch_size, draws)
        shown_b4hw, change_bhw = framed(batch)
        relit = torch.cat((relight(shown_b4hw[:, :3], draws), shown_b4hw[:, 3:]), dim=1)
        found_bhw, _ = pipeline.changes(relit)
        return change_loss(found_bhw, change_bhw, batch.weight_bhw, settings.gradient_weight)

    return Stage(STAGE, unet, loss, settings.optimiser)


def framed(batch: TeacherBatch) -> tuple[Tensor, Tensor]:
    """Return what the network sees [B, 4, H, W], and the change that it should find [B, H, W].

    The teacher's map is brought to the coarse one by least-squares scale and shift where these mean
    nothing, and both to the frame in which the coarse map is in [-1, 1].
    """
    frame = quantile_range(batch.coarse_bhw)
    teacher_bhw = batch.teacher_bhw
    if batch.is_free:
        teacher_bhw, _ = align(teacher_bhw, batch.coarse_bhw, batch.weight_bhw > 0)
    coarse_bhw = frame.normalise(batch.coarse_bhw)
    shown = show(batch.image_b3hw * 2.0 - 1.0, coarse_bhw)
    return shown, frame.normalise(teacher_bhw) - coarse_bhw


def change_loss(
    found_bhw: Tensor, change_bhw: Tensor, weight_bhw: Tensor, gradient_weight: float
) -> Tensor:
    """Return the weighted mean of |error|, and of its gradients' |error|, a scalar.

    The gradients hold the shape of what changes: the mean alone would blur it. A pixel pair counts
    as much as its less certain pixel.
    """
    error_bhw = found_bhw - change_bhw
    loss = _weighted(error_bhw.abs(), weight_bhw)
    for dim in (1, 2):
        size = error_bhw.shape[dim] - 1
        first, second = error_bhw.narrow(dim, 0, size), error_bhw.narrow(dim, 1, size)
        weight = torch.minimum(weight_bhw.narrow(dim, 0, size), weight_bhw.narrow(dim, 1, size))
        loss = loss + gradient_weight * _weighted((second - first).abs(), weight)
    return loss


def relight(image_b3hw: Tensor, draws: Draws) -> Tensor:
    """Change brightness and colours of pictures in [-1, 1] a little."""
    count = len(image_b3hw)
    gain = 1.0 + _COLOUR * (2.0 * draws.uniform(count, 3, 1, 1) - 1.0)
    offset = _BRIGHTNESS * (2.0 * draws.uniform(count, 1, 1, 1) - 1.0)
    return image_b3hw * gain + offset


def _weighted(values_bhw: Tensor, weight_bhw: Tensor) -> Tensor:
    total: Tensor = (values_bhw * weight_bhw).sum() / weight_bhw.sum().clamp(min=1e-6)
    return total
