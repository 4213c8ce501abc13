"""Train a SharpDepth from first to last: on scenes (the mini models) or on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from redepth.datasets.sample import Samples
from redepth.refiners.latents.codec import DepthCodec
from redepth.refiners.sharpdepth.gating import GatedNoise, GateNormaliser
from redepth.refiners.sharpdepth.pipeline import SharpDepthPipeline
from redepth.scenes.scene import Split
from redepth.training import mini_metric
from redepth.training.cards import TrainedModel, write_card
from redepth.training.data import CoarseMaps, DataSource
from redepth.training.draws import Draws
from redepth.training.metric_scenes import (
    MetricBatch,
    MetricScenes,
    MetricSource,
    metric_source,
    render_metric_scenes,
)
from redepth.training.mini_sharpdepth import MINI, NUM_SCENES, SHARES, SHOWN, TEACHER
from redepth.training.options import PictureOptions, SharpDepthOptions
from redepth.training.refiner_parts import RefinerParts
from redepth.training.runs import MODEL, VARIANT, Run
from redepth.training.scene_examples import ExampleBatch
from redepth.training.sharpdepth import (
    STUDENT_STAGE,
    SharpDepthTraining,
    student_stage,
    teacher_stage,
)
from redepth.training.sharpdepth_parts import (
    denoiser_of,
    new_teacher,
    read_teacher,
    save_one_step,
)
from redepth.training.sharpening_validation import sharpening_check

METRIC = "metric"
TEACHER_FOLDER = "teacher"
_MODELS = Path(__file__).resolve().parents[1] / "models" / "mini"
_FEWEST_SCENES = 4
OpenPictures = Callable[[str], tuple[Samples, CoarseMaps]]


def settings_of(options: SharpDepthOptions) -> SharpDepthTraining:
    """Return the training's settings: the paper's or the mini model's, changed as told."""
    how = MINI if options.data is None else SharpDepthTraining()
    told = {
        "num_steps": options.num_steps,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "ema_decay": options.ema_decay,
        "reconstruction_weight": options.reconstruction_weight,
    }
    how = replace(how, **{k: v for k, v in told.items() if v is not None})  # type: ignore[arg-type]
    gating = how.gating.model_copy(
        update={
            "normaliser": GateNormaliser(options.gate_normaliser),
            "noise": GatedNoise(options.gated_noise),
        }
    )
    return replace(
        how,
        gating=gating,
        accumulate=options.accumulate,
        bfloat16=options.bfloat16,
        pure_noise_share=options.pure_noise_share,
    )


def train_on_scenes(run: Run[SharpDepthOptions]) -> list[TrainedModel]:
    """Train a metric net, a teacher on exact depth, and the student on the metric net's maps.

    Returns:
        What was written: metric/, teacher/ and model/.
    """
    run.prepare()
    options = run.options
    counts = {
        name: max(_FEWEST_SCENES, round(count * min(options.scale, 1.0)))
        for name, count in NUM_SCENES.items()
    }
    scenes = _render(run, counts, Split.TRAIN, "scenes")
    metric, scenes, shown = _train_metric(run, scenes, counts)
    parts = _first_teacher(options)
    source = metric_source(scenes, SHARES)
    teacher = _train_teacher(run, parts, source, shown, counts)
    student = _train_student(run, parts, source, shown, settings_of(options), counts)
    return [metric, teacher, student]


def train_on_pictures(
    run: Run[SharpDepthOptions], data: PictureOptions, open_pictures: OpenPictures
) -> list[TrainedModel]:
    """Train a student on labelled pictures; everything is looked for before the first step.

    Raises:
        ConfigError: labels, pictures or the teacher are not there, or not whole.
    """
    run.prepare()
    pictures, maps = open_pictures(data.labels)
    parts = read_teacher(Path(data.init), data.init_variant)
    count = len(pictures.images)
    size_hw = (data.height_px, data.width_px)
    kept_out = min(data.kept_out, count - 1)
    source = DataSource(pictures, maps, size_hw, run.device, data.num_threads, kept_out)
    shown = _metric_batch(source.kept_out()) if kept_out else None

    def draw(number: int, draws: Draws) -> MetricBatch:
        return _metric_batch(source(number, draws))

    how = settings_of(run.options)
    return [_train_student(run, parts, draw, shown, how, {"labelled pictures": count})]


def _first_teacher(options: SharpDepthOptions) -> RefinerParts:
    """Return what the mini teacher starts from: an earlier one, or betterdepth-mini."""
    if options.teacher is not None:
        return read_teacher(Path(options.teacher), options.teacher_variant)
    return new_teacher(_MODELS / "betterdepth", VARIANT, options.seed)


def _render(
    run: Run[SharpDepthOptions], counts: dict[str, int], split: Split, what: str
) -> MetricScenes:
    count = run.counted(what, sum(counts.values()))
    scenes = render_metric_scenes(counts, run.num_processes, count, split)
    return scenes.to(run.device)


def _train_metric(
    run: Run[SharpDepthOptions], scenes: MetricScenes, counts: dict[str, int]
) -> tuple[TrainedModel, MetricScenes, MetricBatch]:
    """Train and write the metric net; return the scenes with its maps, and some to look at."""
    model = mini_metric.new_metric_net(run.options.seed).to(run.device)
    steps = _scaled(run, mini_metric.NUM_STEPS)
    source = metric_source(scenes, SHARES)
    losses = run.train(mini_metric.metric_stage(model, source, run.options.seed, steps))
    shown = mini_metric.estimate_scenes(
        model, _render(run, SHOWN, Split.TUNING, "validation scenes")
    )
    scenes = mini_metric.estimate_scenes(model, scenes)
    folder = run.out / METRIC
    trained = TrainedModel(
        "mini-metric", folder, run.options.seed, counts, {mini_metric.STAGE: losses}
    )
    if run.workers.rank == 0:
        deepcopy(model).cpu().half().save_pretrained(folder, variant=VARIANT)
        write_card(trained)
    return trained, scenes, _whole(shown)


def _train_teacher(
    run: Run[SharpDepthOptions],
    parts: RefinerParts,
    source: MetricSource,
    shown: MetricBatch,
    counts: dict[str, int],
) -> TrainedModel:
    codec = _codec(run, parts)
    denoiser = denoiser_of(parts, run.device)
    how = replace(TEACHER, num_steps=_scaled(run, TEACHER.num_steps))
    seed = run.options.seed
    stage = teacher_stage(denoiser, codec, source, how, seed, run.device)
    check = sharpening_check(run, _pipeline(parts), MINI.gating, shown)
    losses = run.train(stage, check)
    folder = run.out / TEACHER_FOLDER
    trained = TrainedModel("sharpdepth-teacher", folder, seed, counts, {stage.name: losses})
    if run.workers.rank == 0:
        save_one_step(parts, folder, VARIANT)
        write_card(trained)
    return trained


def _train_student(
    run: Run[SharpDepthOptions],
    parts: RefinerParts,
    source: MetricSource,
    shown: MetricBatch | None,
    how: SharpDepthTraining,
    counts: dict[str, int],
) -> TrainedModel:
    """Train the parts' UNet with a frozen copy of itself as teacher; write it."""
    if run.options.data is None:
        how = replace(how, num_steps=_scaled(run, how.num_steps))
    codec = _codec(run, parts)
    student = denoiser_of(parts, run.device)
    teacher = deepcopy(student).eval().requires_grad_(False)
    seed = run.options.seed
    stage = student_stage(
        student.requires_grad_(True), teacher, codec, parts.scheduler, source, how, seed, run.device
    )
    check = None
    if shown is not None:
        check = sharpening_check(run, _pipeline(parts), how.gating, shown)
    losses = run.train(stage, check)
    folder = run.out / MODEL
    name = "sharpdepth-mini" if run.options.data is None else "sharpdepth"
    trained = TrainedModel(name, folder, seed, counts, {STUDENT_STAGE: losses})
    if run.workers.rank == 0:
        save_one_step(parts, folder, VARIANT)
        write_card(trained)
    return trained


def _pipeline(parts: RefinerParts) -> SharpDepthPipeline:
    return SharpDepthPipeline(
        parts.vae, parts.unet, parts.text_encoder, parts.tokenizer, parts.scheduler
    )


def _codec(run: Run[SharpDepthOptions], parts: RefinerParts) -> DepthCodec:
    return DepthCodec(parts.vae.to(run.device).eval().requires_grad_(False))


def _scaled(run: Run[SharpDepthOptions], num_steps: int) -> int:
    return max(1, round(num_steps * run.options.scale))


def _whole(scenes: MetricScenes) -> MetricBatch:
    """Return every scene as one batch, as it is."""
    assert scenes.metric_nhw is not None, "the metric net was asked"
    return MetricBatch(scenes.rgb_n3hw.float() / 255.0, scenes.depth_nhw, scenes.metric_nhw)


def _metric_batch(batch: ExampleBatch) -> MetricBatch:
    """Return labelled pictures, whose maps grow towards the camera there, as depth again."""
    return MetricBatch(batch.image_b3hw, -batch.truth_bhw, -batch.network_bhw)
