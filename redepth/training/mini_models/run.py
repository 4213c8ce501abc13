"""Train the small models: scenes, stages, weights in half precision, a card beside each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from redepth.coarse.pyramid.model import new_pyramid, write_pyramid
from redepth.refiners.redepth_anything import Prior
from redepth.refiners.redepth_anything.diffusion import load_prior
from redepth.refiners.redepth_anything.mini_encoder import build_mini_encoder, save_encoder
from redepth.refiners.redepth_anything.mini_prior import save_prior
from redepth.scenes.reliefs import LightRange
from redepth.settings import Compute, Weights
from redepth.training.engine.cards import TrainedModel, write_card
from redepth.training.engine.run import Run
from redepth.training.examples.photographic_scenes import SHARES, rendering_ahead
from redepth.training.examples.scene_examples import SceneExamples, render_families
from redepth.training.examples.scene_pool import ScenePool, render_pool, target_disparity
from redepth.training.folders import VARIANT
from redepth.training.mini_models import depth, dpt, encoder, photo, prior
from redepth.training.mini_models.cards import DEPTH, DPT, ENCODER, PHOTO, PRIOR
from redepth.training.mini_models.settings import MiniModel, MiniTraining
from redepth.training.settings import Optimiser

_FEWEST_SCENES = 8
_Optimiser = TypeVar("_Optimiser", bound=Optimiser)


def train_mini_models(run: Run[MiniTraining]) -> Sequence[TrainedModel]:
    """Train the models that the settings name; each is written to a folder of its name."""
    run.prepare()
    torch.set_num_threads(1)  # sums over several threads differ in their last bits
    return [_TRAINED[name](run) for name in run.settings.models]


def _train_depth(run: Run[MiniTraining]) -> TrainedModel:
    seed, counts = run.settings.seed, _scenes(run, depth.NUM_SCENES)
    pool = _render_pool(run, counts, depth.LIGHT)
    model = depth.new_depth_net(seed).to(run.device)
    stage = depth.depth_stage(model, pool, seed, _scaled(run, run.settings.depth))
    losses = run.train(stage)
    folder = run.out / "depth"
    model.half().save_pretrained(folder, variant=VARIANT)
    return write_card(TrainedModel(DEPTH, folder, seed, counts, {stage.name: losses}))


def _train_prior(run: Run[MiniTraining]) -> TrainedModel:
    """Train the prior, VAE first."""
    seed, counts = run.settings.seed, _scenes(run, prior.NUM_SCENES)
    pool = _render_pool(run, counts)
    parts = prior.new_prior(seed, pool.captions)
    networks = (parts.vae, parts.unet, parts.text_encoder)
    for network in networks:
        network.to(run.device)
    vae = prior.vae_stage(parts.vae, pool, seed, _scaled(run, run.settings.vae))
    losses = {vae.name: run.train(vae)}
    prior.set_scaling_factor(parts.vae, pool, seed)
    denoiser = prior.prior_stage(parts, pool, seed, _scaled(run, run.settings.prior))
    losses[denoiser.name] = run.train(denoiser)
    folder = run.out / "prior"
    for network in networks:
        network.to(torch.float16)
    save_prior(parts, folder, VARIANT)
    return write_card(TrainedModel(PRIOR, folder, seed, counts, losses))


def _train_dpt(run: Run[MiniTraining]) -> TrainedModel:
    seed, counts = run.settings.seed, _scenes(run, dpt.NUM_SCENES)
    count = run.counter("scenes", sum(counts.values()))
    rendered = render_families(counts, target_disparity, run.num_processes, count)
    examples = SceneExamples(
        rendered.rgb_n3hw, rendered.maps_nhw, rendered.maps_nhw[:, None].half(), rendered.families
    ).to(run.device)
    model = dpt.new_mini_dpt(seed).to(run.device)
    stage = dpt.dpt_stage(model, examples, seed, _scaled(run, run.settings.dpt))
    losses = run.train(stage)
    folder = run.out / "dpt"
    model.half().save_pretrained(folder, variant=VARIANT)
    dpt.save_preprocessor(folder)
    return write_card(TrainedModel(DPT, folder, seed, counts, {stage.name: losses}))


def _train_encoder(run: Run[MiniTraining]) -> TrainedModel:
    """Train the encoder that stands in for a prior's."""
    seed, counts = run.settings.seed, _scenes(run, encoder.NUM_SCENES)
    pool = _render_pool(run, counts)
    network = build_mini_encoder(seed).to(run.device)
    stage = encoder.encoder_stage(
        network, _teacher(run), pool, seed, _scaled(run, run.settings.encoder)
    )
    losses = run.train(stage)
    folder = run.out / "encoder"
    save_encoder(network.half(), folder, VARIANT)
    return write_card(TrainedModel(ENCODER, folder, seed, counts, {stage.name: losses}))


def _train_photo(run: Run[MiniTraining]) -> TrainedModel:
    """Train the coarse model that reads photographs; scenes are rendered beside it."""
    seed, optimiser = run.settings.seed, _scaled(run, run.settings.photo)
    num_chunks = max(1, round(optimiser.num_chunks * min(1.0, run.settings.steps_scale)))
    optimiser = optimiser.model_copy(update={"num_chunks": num_chunks})
    network = new_pyramid(seed).to(run.device)
    with rendering_ahead(run.out / "scenes", num_chunks, run.num_processes) as chunks:
        small = photo.photo_stage(network, chunks, seed, optimiser)
        losses = {small.name: run.train(small)}
        how = _scaled(run, run.settings.photo_large)
        large = photo.large_photo_stage(network, chunks.first(num_chunks), seed, how)
        losses[large.name] = run.train(large)
    folder = run.out / "photo"
    write_pyramid(network.half(), folder, f"model.{VARIANT}.safetensors")
    scenes = {family: count * num_chunks for family, count in SHARES.items()}
    return write_card(TrainedModel(PHOTO, folder, seed, scenes, losses))


def _teacher(run: Run[MiniTraining]) -> encoder.Encode:
    """Return what encodes as the prior does that the settings name: the posterior's scaled mean."""
    first = run.settings.teacher
    weights = Weights() if first is None else Weights(folder=first.folder, variant=first.variant)
    teacher = load_prior(Prior(preset="mini", weights=weights), Compute(), run.device)

    def encode(picture_b3hw: Tensor) -> Tensor:
        no_noise = picture_b3hw.new_zeros((len(picture_b3hw), *teacher.latent_shape))
        return teacher.encode(picture_b3hw, no_noise)

    return encode


_TRAINED: dict[MiniModel, Callable[[Run[MiniTraining]], TrainedModel]] = {
    "depth": _train_depth,
    "prior": _train_prior,
    "dpt": _train_dpt,
    "encoder": _train_encoder,
    "photo": _train_photo,
}


def _scenes(run: Run[MiniTraining], counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many scenes of each family are rendered."""
    scale = run.settings.scenes_scale * min(1.0, run.settings.steps_scale)
    return {name: max(_FEWEST_SCENES, round(count * scale)) for name, count in counts.items()}


def _scaled(run: Run[MiniTraining], optimiser: _Optimiser) -> _Optimiser:
    num_steps = max(1, round(optimiser.num_steps * run.settings.steps_scale))
    return optimiser.model_copy(update={"num_steps": num_steps})


def _render_pool(
    run: Run[MiniTraining], counts: Mapping[str, int], light: LightRange | None = None
) -> ScenePool:
    count = run.counter("scenes", sum(counts.values()))
    pool = render_pool(counts, light, num_processes=run.num_processes, on_scenes=count)
    return pool.to(run.device)
