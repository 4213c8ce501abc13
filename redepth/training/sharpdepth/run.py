"""Train a SharpDepth from first to last: on scenes (the mini models) or on labelled photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TypeVar

from redepth.refiners.latents.codec import DepthCodec
from redepth.refiners.sharpdepth.pipeline import SharpDepthPipeline
from redepth.scenes.scene import Split
from redepth.training.draws import Draws
from redepth.training.engine.cards import CardText, TrainedModel, write_card
from redepth.training.engine.run import SHIPPED, Run
from redepth.training.examples.metric_scenes import (
    MetricBatch,
    MetricScenes,
    MetricSource,
    metric_source,
    render_metric_scenes,
)
from redepth.training.examples.samples import DataSource
from redepth.training.examples.scene_examples import ExampleBatch
from redepth.training.folders import MODEL, VARIANT
from redepth.training.mini_models import metric as metric_net
from redepth.training.refiner_parts import RefinerParts
from redepth.training.settings import FirstWeights, Optimiser
from redepth.training.sharpdepth import cards
from redepth.training.sharpdepth.loss import student_stage, teacher_stage
from redepth.training.sharpdepth.parts import (
    denoiser_of,
    new_teacher,
    read_teacher,
    save_one_step,
)
from redepth.training.sharpdepth.scenes import NUM_SCENES, SHARES, SHOWN
from redepth.training.sharpdepth.settings import (
    LabelledPhotographs,
    Scenes,
    SharpDepthTraining,
)
from redepth.training.sharpdepth.validation import sharpening_check

METRIC = "metric"
TEACHER = "teacher"
_FEWEST_SCENES = 4
_Optimiser = TypeVar("_Optimiser", bound=Optimiser)


def train_sharpdepth(run: Run[SharpDepthTraining]) -> list[TrainedModel]:
    """Train a refiner on what the settings say; return what was written, model/ last.

    Raises:
        ConfigError: labels, photographs or the teacher are not there, or not whole; before the
            first step. Or a checkpoint was begun with other settings.
    """
    run.prepare()
    data = run.settings.data
    if isinstance(data, Scenes):
        return _train_on_scenes(run, data)
    return [_train_on_photographs(run, data)]


def _train_on_scenes(run: Run[SharpDepthTraining], data: Scenes) -> list[TrainedModel]:
    """Train a metric net, a teacher on exact depth, and the student on the metric net's maps."""
    scale = min(data.scale, 1.0)
    counts = {name: max(_FEWEST_SCENES, round(n * scale)) for name, n in NUM_SCENES.items()}
    parts = _first_teacher(run.settings.init, run.settings.seed)
    scenes = _render(run, counts, Split.TRAIN, "scenes")
    metric, scenes, shown = _train_metric(run, data, scenes, counts)
    source = metric_source(scenes, SHARES)
    teacher = _train_teacher(run, data, parts, source, shown, counts)
    optimiser = _scaled(run.settings.optimiser, data.scale)
    settings = run.settings.model_copy(update={"optimiser": optimiser})
    student = _train_student(run, settings, parts, source, shown)
    return [metric, teacher, _write(run, MODEL, parts, cards.MINI, student, counts)]


def _train_on_photographs(run: Run[SharpDepthTraining], data: LabelledPhotographs) -> TrainedModel:
    settings = run.settings
    photographs, maps = run.outputs.photographs(data.labels)
    parts = _read_teacher(settings.init)
    count = len(photographs.images)
    size_hw = (data.height_px, data.width_px)
    held_out = min(data.held_out, count - 1)
    source = DataSource(photographs, maps, size_hw, run.device, settings.run.num_threads, held_out)
    shown = _metric_batch(source.held_out()) if held_out else None

    def draw(number: int, draws: Draws) -> MetricBatch:
        return _metric_batch(source(number, draws))

    losses = _train_student(run, settings, parts, draw, shown)
    return _write(run, MODEL, parts, cards.STUDENT, losses, {"labelled pictures": count})


def _first_teacher(init: FirstWeights | None, seed: int) -> RefinerParts:
    """Return what the mini teacher starts from: an earlier one, or betterdepth-mini."""
    if init is None:
        return new_teacher(SHIPPED / "betterdepth", VARIANT, seed)
    return _read_teacher(init)


def _read_teacher(init: FirstWeights | None) -> RefinerParts:
    assert init is not None, "settings on photographs name a teacher"
    return read_teacher(Path(init.folder), init.variant)


def _render(
    run: Run[SharpDepthTraining], counts: Mapping[str, int], split: Split, what: str
) -> MetricScenes:
    count = run.counter(what, sum(counts.values()))
    scenes = render_metric_scenes(counts, run.num_processes, count, split)
    return scenes.to(run.device)


def _train_metric(
    run: Run[SharpDepthTraining], data: Scenes, scenes: MetricScenes, counts: Mapping[str, int]
) -> tuple[TrainedModel, MetricScenes, MetricBatch]:
    """Train and write the metric net; return the scenes with its maps, and some to look at."""
    seed = run.settings.seed
    model = metric_net.new_metric_net(seed).to(run.device)
    source = metric_source(scenes, SHARES)
    stage = metric_net.metric_stage(model, source, seed, _scaled(data.metric, data.scale))
    losses = run.train(stage)
    shown = metric_net.estimate_scenes(
        model, _render(run, SHOWN, Split.TUNING, "validation scenes")
    )
    scenes = metric_net.estimate_scenes(model, scenes)
    trained = TrainedModel(cards.METRIC, run.out / METRIC, seed, counts, {stage.name: losses})
    if run.workers.rank == 0:
        deepcopy(model).cpu().half().save_pretrained(trained.folder, variant=VARIANT)
        write_card(trained)
    return trained, scenes, _as_one_batch(shown)


def _train_teacher(
    run: Run[SharpDepthTraining],
    data: Scenes,
    parts: RefinerParts,
    source: MetricSource,
    shown: MetricBatch,
    counts: Mapping[str, int],
) -> TrainedModel:
    codec = _codec(run, parts)
    denoiser = denoiser_of(parts, run.device)
    optimiser = _scaled(data.teacher.optimiser, data.scale)
    teacher = data.teacher.model_copy(update={"optimiser": optimiser})
    stage = teacher_stage(denoiser, codec, source, teacher, run.settings.seed, run.device)
    check = sharpening_check(run, _pipeline(parts), run.settings.gating, shown)
    losses = {stage.name: run.train(stage, check)}
    return _write(run, TEACHER, parts, cards.TEACHER, losses, counts)


def _train_student(
    run: Run[SharpDepthTraining],
    settings: SharpDepthTraining,
    parts: RefinerParts,
    source: MetricSource,
    shown: MetricBatch | None,
) -> dict[str, list[float]]:
    """Train the parts' UNet with a frozen copy of itself as teacher."""
    codec = _codec(run, parts)
    student = denoiser_of(parts, run.device)
    teacher = deepcopy(student).eval().requires_grad_(False)
    student.requires_grad_(True)
    stage = student_stage(student, teacher, codec, parts.scheduler, source, settings, run.device)
    check = None
    if shown is not None:
        check = sharpening_check(run, _pipeline(parts), settings.gating, shown)
    return {stage.name: run.train(stage, check)}


def _write(
    run: Run[SharpDepthTraining],
    name: str,
    parts: RefinerParts,
    card: CardText,
    losses: Mapping[str, Sequence[float]],
    counts: Mapping[str, int],
) -> TrainedModel:
    trained = TrainedModel(card, run.out / name, run.settings.seed, counts, losses)
    if run.workers.rank == 0:
        save_one_step(parts, trained.folder, VARIANT)
        write_card(trained)
    return trained


def _pipeline(parts: RefinerParts) -> SharpDepthPipeline:
    return SharpDepthPipeline(
        parts.vae, parts.unet, parts.text_encoder, parts.tokenizer, parts.scheduler
    )


def _codec(run: Run[SharpDepthTraining], parts: RefinerParts) -> DepthCodec:
    return DepthCodec(parts.vae.to(run.device).eval().requires_grad_(False))


def _scaled(optimiser: _Optimiser, scale: float) -> _Optimiser:
    num_steps = max(1, round(optimiser.num_steps * scale))
    return optimiser.model_copy(update={"num_steps": num_steps})


def _as_one_batch(scenes: MetricScenes) -> MetricBatch:
    """Return every scene as one batch, unchanged."""
    assert scenes.metric_nhw is not None, "the metric net was asked"
    return MetricBatch(scenes.rgb_n3hw.float() / 255.0, scenes.depth_nhw, scenes.metric_nhw)


def _metric_batch(batch: ExampleBatch) -> MetricBatch:
    """Return labelled photographs, whose maps grow towards the camera there, as depth again."""
    return MetricBatch(batch.image_b3hw, -batch.truth_bhw, -batch.network_bhw)
