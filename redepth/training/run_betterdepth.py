"""Train a BetterDepth from first to last: on scenes (the mini model) or on data of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import DepthAnythingForDepthEstimation

from redepth.datasets import dataset_named
from redepth.datasets.sample import Samples
from redepth.scenes.scene import Split
from redepth.training import map_vae
from redepth.training.betterdepth import BetterDepthTraining
from redepth.training.cards import TrainedModel, write_card
from redepth.training.data import CoarseMaps, DataSource
from redepth.training.mini_betterdepth import (
    DEFAULT_DENOISING_STEPS,
    MAPS,
    NUM_SCENES,
    SHARES,
    VARIANTS,
    scene_source,
)
from redepth.training.options import DataOptions, RefinerTraining
from redepth.training.refiner_parts import (
    RefinerParts,
    read_parts,
    refiner_stage,
    save_parts,
)
from redepth.training.runs import MODEL, VARIANT, Run
from redepth.training.scene_examples import ExampleBatch, SceneExamples, render_examples
from redepth.training.validation import new_validation

MODELS = Path(__file__).resolve().parents[1] / "models" / "mini"
_FEWEST_SCENES = 4
_VALIDATION_SEEDS = 1
_DEFAULT_STEPS = 50
OpenCoarseMaps = Callable[[str, Samples], CoarseMaps]


def settings_of(options: RefinerTraining) -> BetterDepthTraining:
    """Return the training's settings: the paper's or the mini model's, changed as told."""
    how = VARIANTS[options.ablation] if options.data is None else BetterDepthTraining()
    told = {
        "num_steps": options.num_steps,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "ema_decay": options.ema_decay,
    }
    how = replace(how, **{k: v for k, v in told.items() if v is not None})  # type: ignore[arg-type]
    if options.patch_threshold is not None:
        how = replace(how, pairing=replace(how.pairing, patch_threshold=options.patch_threshold))
    return replace(how, accumulate=options.accumulate, bfloat16=options.bfloat16)


def train_on_scenes(run: Run[RefinerTraining]) -> TrainedModel:
    """Render scenes, teach the mini prior's VAE maps, then train the refiner; write it."""
    run.prepare()
    seed, options = run.options.seed, run.options
    counts = {
        name: max(_FEWEST_SCENES, round(count * options.scenes_scale))
        for name, count in NUM_SCENES.items()
    }
    examples = _render(run, counts, Split.TRAIN)
    shown = dict.fromkeys(SHARES, _VALIDATION_SEEDS)
    kept_out = _whole(_render(run, shown, Split.TUNING, "validation scenes"))
    parts = read_parts(MODELS / "prior", VARIANT)
    parts.vae.to(run.device)
    losses = {map_vae.STAGE: _train_vae(run, parts.vae, examples)}
    how = settings_of(options)
    stage = refiner_stage(parts, scene_source(examples), how, seed, run.device)
    check = new_validation(parts, kept_out, how.target, seed, run.validation)
    losses[stage.name] = run.train(stage, check)
    return _write(run, parts, how, losses, counts, DEFAULT_DENOISING_STEPS)


def train_on_data(
    run: Run[RefinerTraining], data: DataOptions, open_coarse_maps: OpenCoarseMaps
) -> TrainedModel:
    """Train on a data set with its coarse maps; everything is looked for before the first step.

    Raises:
        ConfigError: the data, its coarse maps or the first weights are not there, or not whole.
    """
    run.prepare()
    examples = dataset_named(data.dataset_format).open(Path(data.folder))
    coarse_maps = open_coarse_maps(data.labels, examples)
    parts = read_parts(Path(data.init), data.init_variant)
    source = DataSource(
        examples,
        coarse_maps,
        (data.height_px, data.width_px),
        run.device,
        data.num_threads,
        min(data.kept_out, len(examples.images) - 1),
    )
    how, seed = settings_of(run.options), run.options.seed
    stage = refiner_stage(parts, source, how, seed, run.device)
    kept_out = source.kept_out() if data.kept_out and len(examples.images) > 1 else None
    check = None
    if kept_out is not None:
        check = new_validation(parts, kept_out, how.target, seed, run.validation)
    losses = {stage.name: run.train(stage, check)}
    counts = {f"pictures of {data.dataset_format}": len(examples.images)}
    return _write(run, parts, how, losses, counts, _DEFAULT_STEPS)


def _render(
    run: Run[RefinerTraining], counts: dict[str, int], split: Split, what: str = "scenes"
) -> SceneExamples:
    count = run.counted(what, sum(counts.values()))
    network = DepthAnythingForDepthEstimation.from_pretrained(
        MODELS / "depth", variant=VARIANT, dtype=torch.float32, local_files_only=True
    )
    examples = render_examples(counts, network, run.device, run.num_processes, count, split)
    return examples.to(run.device)


def _whole(examples: SceneExamples) -> ExampleBatch:
    """Return every scene as one batch, as it is."""
    truth = examples.truth_nhw
    return ExampleBatch(
        examples.rgb_n3hw.float() / 255.0,
        truth,
        examples.coarse_nkhw[:, 0].float(),
        torch.ones_like(truth, dtype=torch.bool),
    )


def _train_vae(
    run: Run[RefinerTraining], vae: AutoencoderKL, examples: SceneExamples
) -> list[float]:
    seed = run.options.seed
    stage = map_vae.map_vae_stage(vae, examples, SHARES, MAPS, seed, run.options.vae_steps)
    losses = run.train(stage)
    map_vae.set_map_scaling_factor(vae, examples, SHARES, MAPS, seed)
    return losses


def _write(
    run: Run[RefinerTraining],
    parts: RefinerParts,
    how: BetterDepthTraining,
    losses: dict[str, list[float]],
    counts: dict[str, int],
    default_steps: int,
) -> TrainedModel:
    folder = run.out / MODEL
    name = "betterdepth-mini" if run.options.data is None else "betterdepth"
    model = TrainedModel(name, folder, run.options.seed, counts, losses)
    if run.workers.rank == 0:
        save_parts(parts, how.target, folder, VARIANT, default_steps)
        write_card(model)
    return model
