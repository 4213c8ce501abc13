"""Train a one-step depth model to sharpen metric maps without any truth.

Source: SharpDepth (Pham et al. 2024): the student starts as the teacher, a Lotus-G, is pulled
towards what the teacher says (score distillation) and towards the metric map where both differ
(noise-aware reconstruction). What differs from the release: `lambda_` is the paper's 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from redepth.refiners.latents.codec import DepthCodec
from redepth.refiners.latents.normalisation import minmax
from redepth.refiners.sharpdepth.gating import GatedNoise, blend, latent_gate
from redepth.refiners.sharpdepth.one_step import OneStepDenoiser
from redepth.refiners.sharpdepth.pipeline import last_noised
from redepth.training.draws import Draws, step_draws
from redepth.training.engine.loop import Stage
from redepth.training.examples.metric_scenes import MetricBatch, MetricSource
from redepth.training.sharpdepth.settings import SharpDepthTraining, Teacher

TEACHER_STAGE = "teacher"
STUDENT_STAGE = "student"


def teacher_stage(
    denoiser: OneStepDenoiser,
    codec: DepthCodec,
    source: MetricSource,
    how: Teacher,
    seed: int,
    device: torch.device,
) -> Stage:
    """Return the training of a one-step model on exact depth: from picture and noise to the map.

    Loss: mean squared error of the latents + map_weight * (mean |error| of the decoded map + 2 mean
    |error of the differences between its neighbours|).
    """

    def loss(step: int) -> Tensor:
        draws = step_draws(seed, TEACHER_STAGE, step, device)
        batch = source(how.optimiser.batch_size, draws)
        wanted_bhw = minmax(batch.depth_bhw).normalise(batch.depth_bhw)
        picture = codec.encode(batch.image_b3hw * 2.0 - 1.0)
        wanted = codec.encode_maps(wanted_bhw)
        found = denoiser(picture, draws.normal(*picture.shape))
        total: Tensor = (found - wanted).square().mean()
        if how.map_weight:
            error = codec.decode_maps(found) - wanted_bhw
            slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
            total = total + how.map_weight * (error.abs().mean() + 2.0 * slopes)
        return total

    return Stage(TEACHER_STAGE, denoiser, loss, how.optimiser)


def student_stage(
    student: OneStepDenoiser,
    teacher: OneStepDenoiser,
    codec: DepthCodec,
    scheduler: DDIMScheduler,
    source: MetricSource,
    settings: SharpDepthTraining,
    device: torch.device,
) -> Stage:
    """Return the training of a student on pictures with metric maps; no truth is looked at."""
    variance = 1.0 - float(scheduler.alphas_cumprod[-1])

    def loss(step: int) -> Tensor:
        draws = step_draws(settings.seed, STUDENT_STAGE, step, device)
        batch = source(settings.optimiser.batch_size, draws)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
            shown = _shown(teacher, codec, scheduler, batch, settings, draws)
            found = student(shown.picture, shown.latents)
            with torch.no_grad():
                noise = draws.normal(*found.shape)
                said = teacher(shown.picture, last_noised(scheduler, found, noise))
        distilled = distillation_loss(found, said, variance)
        kept = reconstruction_loss(codec.decode_maps(found), shown.metric_bhw, shown.gate_bhw)
        return distilled + settings.reconstruction_weight * kept

    return Stage(STUDENT_STAGE, student, loss, settings.optimiser)


def distillation_loss(found_bchw: Tensor, teacher_bchw: Tensor, variance: float) -> Tensor:
    """Return 0.5 mean (x - target)^2, target = x - sigma^2 (x - teacher) without gradient.

    Args:
        found_bchw: x, the student's latents.
        teacher_bchw: what the teacher says of the noised x.
        variance: sigma^2 = 1 - abar of the last timestep.

    Source: SharpDepth, score distillation at t = T - 1.
    """
    target_bchw = (found_bchw - variance * (found_bchw - teacher_bchw)).detach()
    return 0.5 * (found_bchw - target_bchw).square().mean()


def reconstruction_loss(found_bhw: Tensor, metric_bhw: Tensor, gate_bhw: Tensor) -> Tensor:
    """Return 0.5 sum(gate |found - metric|) / sum(gate): 0 where the two agree everywhere.

    Source: SharpDepth, noise-aware reconstruction; the half is the release's.
    """
    tiny = torch.finfo(torch.float32).tiny
    total = (gate_bhw * (found_bhw - metric_bhw).abs()).sum()
    return 0.5 * total / gate_bhw.sum().clamp(min=tiny)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """What the student is shown, and what it is held to."""

    picture: Tensor
    latents: Tensor
    metric_bhw: Tensor
    gate_bhw: Tensor


@torch.no_grad()
def _shown(
    teacher: OneStepDenoiser,
    codec: DepthCodec,
    scheduler: DDIMScheduler,
    batch: MetricBatch,
    settings: SharpDepthTraining,
    draws: Draws,
) -> _Shown:
    framed_bhw = minmax(batch.metric_bhw).normalise(batch.metric_bhw)
    picture = codec.encode(batch.image_b3hw * 2.0 - 1.0)
    sharp = teacher(picture, draws.normal(*picture.shape))
    gate_bhw = settings.gating.gate(codec.decode_maps(sharp), framed_bhw)
    noise = draws.normal(*picture.shape)
    noised = (
        noise if settings.gating.noise is GatedNoise.PURE else last_noised(scheduler, sharp, noise)
    )
    gated = blend(latent_gate(gate_bhw, codec.factor), noised, codec.encode_maps(framed_bhw))
    pure = draws.uniform(len(picture), 1, 1, 1) < settings.pure_noise_share
    return _Shown(picture, torch.where(pure, noise, gated), framed_bhw, gate_bhw)
