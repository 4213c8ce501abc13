"""Flow `train-sharpdepth`: a sharpener of metric depth, from scenes or from labelled pictures.

scenes -> metric net -> teacher -> student -> losses.png, or labelled pictures + teacher -> student
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task

from flows.training_bars import TrainingBars, training_progress
from redepth.report.losses import draw_losses
from redepth.training.options import SharpDepthOptions

if TYPE_CHECKING:
    from redepth.datasets.sample import Samples
    from redepth.training.cards import TrainedModel
    from redepth.training.data import CoarseMaps
    from redepth.training.runs import Advance

LOSSES_NAME = "losses.png"


@flow(
    name="train-sharpdepth",
    flow_run_name="train a sharpener into {options.out}",
    description="Train a SharpDepth refiner on scenes, or on pictures with metric labels.",
)
def train_sharpdepth(options: SharpDepthOptions) -> list[TrainedModel]:
    """Train a sharpener; see `redepth train sharpdepth --help`.

    Raises:
        ConfigError: labels, pictures or the teacher are missing; before the first step.
    """
    with training_progress() as progress:
        trained = train_one(options, TrainingBars(progress, "sharpdepth"))
    losses = {name: values for model in trained for name, values in model.losses.items()}
    (Path(options.out) / LOSSES_NAME).write_bytes(draw_losses(losses))
    return trained


@task(name="train sharpener", task_run_name="train sharpener", persist_result=False)
def train_one(options: SharpDepthOptions, advance: Advance) -> list[TrainedModel]:
    """Train the sharpener and write it."""
    return run_training(options, advance)


def run_training(options: SharpDepthOptions, advance: Advance) -> list[TrainedModel]:
    """Train in this process, together with those that `accelerate launch` started beside it."""
    from redepth.pipeline import choose_device
    from redepth.settings import Compute
    from redepth.training.run_sharpdepth import train_on_pictures, train_on_scenes
    from redepth.training.runs import Run
    from redepth.training.workers import join_workers

    workers, device = join_workers(choose_device(Compute(device=options.device)))
    num_processes = 1 if device.type == "cpu" else os.cpu_count() or 1
    run = Run(options, device, workers, num_processes, advance)
    if options.data is None:
        return train_on_scenes(run)
    return train_on_pictures(run, options.data, _open_pictures)


def _open_pictures(url: str) -> tuple[Samples, CoarseMaps]:
    from redepth.loading.labelled_pictures import LabelledPictures
    from redepth.store.reader import open_labels

    labels = open_labels(url)
    pictures = LabelledPictures(labels, labels.photographs())
    return pictures, pictures.coarse_map
