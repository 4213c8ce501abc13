"""Train a BetterDepth from first to last: on scenes (the mini model) or on data of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import DepthAnythingForDepthEstimation

from redepth.datasets import dataset_named
from redepth.scenes.scene import Split
from redepth.training.betterdepth import cards, map_vae
from redepth.training.betterdepth.parts import read_parts, refiner_stage, save_betterdepth
from redepth.training.betterdepth.scenes import MAPS, NUM_SCENES, SHARES, scene_source
from redepth.training.betterdepth.settings import (
    BetterDepthTraining,
    LabelledDataset,
    Scenes,
    TeacherLabels,
)
from redepth.training.betterdepth.validation import new_validation
from redepth.training.distilled.split import split_images
from redepth.training.draws import Draws, step_draws
from redepth.training.engine.cards import CardText, TrainedModel, write_card
from redepth.training.engine.run import SHIPPED, Run
from redepth.training.examples.samples import DataSource
from redepth.training.examples.scene_examples import (
    ExampleBatch,
    SceneExamples,
    render_examples,
)
from redepth.training.examples.teacher import TeacherBatch, TeacherSource
from redepth.training.folders import MODEL, VARIANT
from redepth.training.refiner_parts import RefinerParts
from redepth.training.settings import FirstWeights

_FEWEST_SCENES = 4
_VALIDATION_SEEDS = 1
_NUM_SHOWN = 4
_MINI_PRIOR = FirstWeights(folder=str(SHIPPED / "prior"), variant=VARIANT)


def train_betterdepth(run: Run[BetterDepthTraining]) -> TrainedModel:
    """Train a refiner on what the settings say and write it to `out`/model.

    Raises:
        ConfigError: the data, its coarse maps or the first weights are not there, or not whole;
            before the first step. Or a checkpoint was begun with other settings.
    """
    run.prepare()
    data = run.settings.data
    if isinstance(data, Scenes):
        return _train_on_scenes(run, data)
    if isinstance(data, TeacherLabels):
        return _train_on_labels(run, data)
    return _train_on_data(run, data)


def _train_on_scenes(run: Run[BetterDepthTraining], data: Scenes) -> TrainedModel:
    """Render scenes, teach the first weights' VAE depth maps, then train the refiner."""
    settings = run.settings
    counts = {
        name: max(_FEWEST_SCENES, round(count * data.scale)) for name, count in NUM_SCENES.items()
    }
    parts = _first_weights(run)
    examples = _render(run, counts, Split.TRAIN, "scenes")
    shown = dict.fromkeys(SHARES, _VALIDATION_SEEDS)
    held_out = _as_one_batch(_render(run, shown, Split.TUNING, "validation scenes"))
    parts.vae.to(run.device)
    losses = {map_vae.STAGE: _train_vae(run, parts.vae, examples, data.vae_steps)}
    stage = refiner_stage(parts, scene_source(examples), settings, run.device)
    check = new_validation(parts, held_out, settings.target, settings.seed, run.validation)
    losses[stage.name] = run.train(stage, check)
    return _write(run, parts, cards.MINI, losses, counts)


def _train_on_data(run: Run[BetterDepthTraining], data: LabelledDataset) -> TrainedModel:
    settings = run.settings
    examples = dataset_named(data.format).open(Path(data.folder))
    coarse_maps = run.outputs.coarse_maps(data.labels, examples.images)
    parts = _first_weights(run)
    source = DataSource(
        examples,
        coarse_maps,
        (data.height_px, data.width_px),
        run.device,
        settings.run.num_threads,
        min(data.held_out, len(examples.images) - 1),
    )
    stage = refiner_stage(parts, source, settings, run.device)
    check = None
    if data.held_out and len(examples.images) > 1:
        held_out = source.held_out()
        check = new_validation(parts, held_out, settings.target, settings.seed, run.validation)
    losses = {stage.name: run.train(stage, check)}
    counts = {f"pictures of {data.format}": len(examples.images)}
    return _write(run, parts, cards.REFINER, losses, counts)


def _train_on_labels(run: Run[BetterDepthTraining], data: TeacherLabels) -> TrainedModel:
    """Distil: learn from an expensive refiner's labels as from known depth."""
    settings = run.settings
    pictures = run.outputs.teacher(data.labels, data.allow)
    split = split_images(pictures.ids, data.held_out_share)
    size_hw = (data.height_px, data.width_px)

    def source(numbers: Sequence[int]) -> TeacherSource:
        return TeacherSource(
            pictures, numbers, size_hw, run.device, settings.run.num_threads, data.cache_gb
        )

    def draw(count: int, draws: Draws) -> ExampleBatch:
        return _as_examples(learned(count, draws))

    learned, held_out = source(split.learned), source(split.held_out)
    parts = _first_weights(run)
    stage = refiner_stage(parts, draw, settings, run.device)
    shown = _as_examples(held_out(_NUM_SHOWN, step_draws(settings.seed, "shown", 0, run.device)))
    check = new_validation(parts, shown, settings.target, settings.seed, run.validation)
    losses = {stage.name: run.train(stage, check)}
    return _write(run, parts, cards.REFINER, losses, {"labelled images": len(split.learned)})


def _as_examples(batch: TeacherBatch) -> ExampleBatch:
    """Return the teacher's maps as the truth, where they say something."""
    return ExampleBatch(batch.image_b3hw, batch.teacher_bhw, batch.coarse_bhw, batch.weight_bhw > 0)


def _first_weights(run: Run[BetterDepthTraining]) -> RefinerParts:
    init = run.settings.init or _MINI_PRIOR
    return read_parts(Path(init.folder), init.variant)


def _render(
    run: Run[BetterDepthTraining], counts: Mapping[str, int], split: Split, what: str
) -> SceneExamples:
    count = run.counter(what, sum(counts.values()))
    network = DepthAnythingForDepthEstimation.from_pretrained(
        SHIPPED / "depth", variant=VARIANT, dtype=torch.float32, local_files_only=True
    )
    examples = render_examples(counts, network, run.device, run.num_processes, count, split)
    return examples.to(run.device)


def _as_one_batch(examples: SceneExamples) -> ExampleBatch:
    """Return every scene as one batch, unchanged."""
    truth = examples.truth_nhw
    return ExampleBatch(
        examples.rgb_n3hw.float() / 255.0,
        truth,
        examples.coarse_nkhw[:, 0].float(),
        torch.ones_like(truth, dtype=torch.bool),
    )


def _train_vae(
    run: Run[BetterDepthTraining], vae: AutoencoderKL, examples: SceneExamples, num_steps: int
) -> list[float]:
    seed = run.settings.seed
    losses = run.train(map_vae.map_vae_stage(vae, examples, SHARES, MAPS, seed, num_steps))
    map_vae.set_map_scaling_factor(vae, examples, SHARES, MAPS, seed)
    return losses


def _write(
    run: Run[BetterDepthTraining],
    parts: RefinerParts,
    card: CardText,
    losses: Mapping[str, Sequence[float]],
    counts: Mapping[str, int],
) -> TrainedModel:
    folder = run.out / MODEL
    model = TrainedModel(card, folder, run.settings.seed, counts, losses)
    if run.workers.rank == 0:
        save_betterdepth(parts, run.settings, folder, VARIANT)
        write_card(model)
    return model
