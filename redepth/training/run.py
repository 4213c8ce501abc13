"""Make the mini models: scenes, stages, weights in half precision, a card and the losses beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from redepth.refiners.redepth_anything.mini_prior import save_prior
from redepth.scenes.reliefs import LightRange
from redepth.training import mini_depth, mini_prior
from redepth.training.cards import TrainedModel, write_card
from redepth.training.checkpoints import SUFFIX
from redepth.training.loop import Stage, train
from redepth.training.pool import CPU, ScenePool, render_pool
from redepth.training.schedules import MiniSchedule, schedule_of
from redepth.weights import quieten_libraries

CHECKPOINTS = "checkpoints"
VARIANT = "fp16"
_FEWEST_SCENES = 8
Advance = Callable[[str, int, int, float], None]


@dataclass(frozen=True, slots=True)
class MiniTraining:
    """How to train.

    Attributes:
        out: gets depth/, prior/ and checkpoints/.
        device: where the networks and the scenes lie; decides the schedule.
        seed: of the first weights and of every draw.
        steps_scale: times the steps of every stage; below 1, of the scenes as well.
        resume: go on from the checkpoints in `out`.
        num_processes: that render scenes.
        advance: called with (what, done, of how many, loss) after some scenes and each step.
    """

    out: Path
    device: torch.device = CPU
    seed: int = 0
    steps_scale: float = 1.0
    resume: bool = False
    num_processes: int = 1
    advance: Advance = lambda what, done, total, loss: None

    @property
    def schedule(self) -> MiniSchedule:
        """The device's schedule, scaled."""
        return schedule_of(self.device).times(self.steps_scale)

    def scenes(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return how many scenes of each family are rendered."""
        scale = self.schedule.scenes_scale
        return {name: max(_FEWEST_SCENES, round(count * scale)) for name, count in counts.items()}


def train_mini_depth(how: MiniTraining) -> TrainedModel:
    """Train the depth net and write it to `out`/depth."""
    _use_one_thread()
    counts = how.scenes(mini_depth.NUM_SCENES)
    pool = _render(how, counts, mini_depth.LIGHT)
    model = mini_depth.new_depth_net(how.seed).to(how.device)
    stage = mini_depth.depth_stage(model, pool, how.seed, how.schedule.depth)
    losses = _train(stage, how)
    folder = how.out / "depth"
    model.half().save_pretrained(folder, variant=VARIANT)
    return write_card(TrainedModel("depth", folder, how.seed, counts, {stage.name: losses}))


def train_mini_prior(how: MiniTraining) -> TrainedModel:
    """Train the prior, VAE first, and write it to `out`/prior."""
    _use_one_thread()
    counts = how.scenes(mini_prior.NUM_SCENES)
    pool = _render(how, counts)
    parts = mini_prior.new_prior(how.seed, pool.captions)
    networks = (parts.vae, parts.unet, parts.text_encoder)
    for network in networks:
        network.to(how.device)
    vae = mini_prior.vae_stage(parts.vae, pool, how.seed, how.schedule.vae)
    losses = {vae.name: _train(vae, how)}
    mini_prior.set_scaling_factor(parts.vae, pool, how.seed)
    denoiser = mini_prior.prior_stage(parts, pool, how.seed, how.schedule.prior)
    losses[denoiser.name] = _train(denoiser, how)
    folder = how.out / "prior"
    for network in networks:
        network.to(torch.float16)
    save_prior(parts, folder, VARIANT)
    return write_card(TrainedModel("prior", folder, how.seed, counts, losses))


def _render(
    how: MiniTraining, counts: Mapping[str, int], light: LightRange | None = None
) -> ScenePool:
    pool = render_pool(
        counts, light, num_processes=how.num_processes, on_scenes=_count_scenes(how, counts)
    )
    return pool.to(how.device)


def _train(stage: Stage, how: MiniTraining) -> list[float]:
    return train(
        stage,
        how.out / CHECKPOINTS / f"{stage.name}{SUFFIX}",
        resume=how.resume,
        on_step=lambda step, loss: how.advance(stage.name, step + 1, stage.num_steps, loss),
    )


def _count_scenes(how: MiniTraining, counts: Mapping[str, int]) -> Callable[[int], None]:
    total, done = sum(counts.values()), 0

    def count(rendered: int) -> None:
        nonlocal done
        done += rendered
        how.advance("scenes", done, total, 0.0)

    return count


def _use_one_thread() -> None:
    """Sums over several threads differ in their last bits."""
    quieten_libraries()
    torch.set_num_threads(1)
