"""Distil a student from first to last: read labels, train, compare with the teacher, write."""

from __future__ import annotations

import json

from diffusers import UNet2DModel

from redepth.refiners.distilled.pipeline import DistilledPipeline
from redepth.training.distilled.cards import student_card
from redepth.training.distilled.loss import student_stage
from redepth.training.distilled.measure import Judgement, judge, look
from redepth.training.distilled.network import first_network, save_student
from redepth.training.distilled.settings import DistilledTraining
from redepth.training.distilled.split import HELD_OUT_NAME, Split, split_images
from redepth.training.engine.cards import TrainedModel, write_card
from redepth.training.engine.run import Run
from redepth.training.examples.teacher import TeacherSource
from redepth.training.examples.teacher_pictures import TeacherPictures
from redepth.training.folders import MODEL, VARIANT
from redepth.training.refiner_parts import half

# Enough to know what is familiar; all of a million would be slow to compare with.
_MOST_FAMILIAR = 10_000


def train_distilled(run: Run[DistilledTraining]) -> TrainedModel:
    """Train a student and write it to `out`/model.

    Raises:
        ConfigError: labels are not there, or too few; before the first step. Or a checkpoint was
            begun with other settings.
    """
    run.prepare()
    settings, data = run.settings, run.settings.data
    pictures = run.outputs.teacher(data.labels, data.allow)
    split = split_images(pictures.ids, data.held_out_share)
    network = first_network(settings).to(run.device)
    source = TeacherSource(
        pictures,
        split.learned,
        (data.height_px, data.width_px),
        run.device,
        settings.run.num_threads,
        data.cache_gb,
    )
    before = None if settings.init is None else _judge(run, network, pictures, split).kept_share
    stage = student_stage(network, source, settings)
    losses = {stage.name: run.train(stage)}
    judgement = _judge(run, network, pictures, split)
    folder = run.out / MODEL
    card = student_card(settings, pictures, judgement, network.num_parameters())
    counts = {"labelled images": len(split.learned)}
    model = TrainedModel(card, folder, settings.seed, counts, losses)
    if run.workers.rank == 0:
        triage = judgement.triage(*pictures.recipes[0])
        save_student(network, judgement.images, judgement.gain, triage, folder, VARIANT)
        write_card(model)
        _write_held_out(run, judgement, before)
    return model


def _judge(
    run: Run[DistilledTraining], network: UNet2DModel, pictures: TeacherPictures, split: Split
) -> Judgement:
    """Compare with the teacher, in half precision as the student is saved."""
    step = -(-len(split.learned) // _MOST_FAMILIAR)
    familiar = split.learned[::step]
    count = run.counter("compared", len(familiar) + len(split.held_out))
    pipeline = DistilledPipeline(half(network).float().to(run.device).eval())
    learned = look(pipeline, pictures, familiar, count)
    return judge(learned, look(pipeline, pictures, split.held_out, count))


def _write_held_out(
    run: Run[DistilledTraining], judgement: Judgement, before: float | None
) -> None:
    """Write what became of each held-out image, and what it was before, for the report."""
    run.validation.mkdir(parents=True, exist_ok=True)
    found = zip(judgement.held_out, judgement.cues, judgement.predicted, strict=True)
    images = [
        {
            "id": seen.id,
            "teacher_change": seen.teacher_change,
            "left": seen.left,
            "predicted": predicted,
            "distance": cues.distance,
        }
        for seen, cues, predicted in found
    ]
    values = {
        "kept_share": judgement.kept_share,
        "kept_share_before": before,
        "images": images,
    }
    path = run.validation / HELD_OUT_NAME
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
