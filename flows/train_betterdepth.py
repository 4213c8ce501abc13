"""Flow `train-betterdepth`: a refiner from scenes, or from data of one's own with coarse maps.

scenes -> VAE for maps -> refiner -> losses.png, or data + coarse maps of a label output -> refiner
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task

from flows.training_bars import TrainingBars, training_progress
from redepth.report.losses import draw_losses
from redepth.training.options import RefinerTraining

if TYPE_CHECKING:
    from redepth.datasets.sample import Samples
    from redepth.training.cards import TrainedModel
    from redepth.training.data import CoarseMaps
    from redepth.training.runs import Advance

LOSSES_NAME = "losses.png"


@flow(
    name="train-betterdepth",
    flow_run_name="train a refiner into {options.out}",
    description="Train a BetterDepth refiner on scenes, or on data with depth.",
)
def train_betterdepth(options: RefinerTraining) -> TrainedModel:
    """Train a refiner; see `redepth train betterdepth --help`.

    Raises:
        ConfigError: data, coarse maps or first weights are missing; before the first step.
    """
    with training_progress() as progress:
        trained = train_one(options, TrainingBars(progress, "betterdepth"))
    (Path(options.out) / LOSSES_NAME).write_bytes(draw_losses(trained.losses))
    return trained


@task(name="train refiner", task_run_name="train refiner", persist_result=False)
def train_one(options: RefinerTraining, advance: Advance) -> TrainedModel:
    """Train the refiner and write it."""
    return run_training(options, advance)


def run_training(options: RefinerTraining, advance: Advance) -> TrainedModel:
    """Train in this process, together with those that `accelerate launch` started beside it."""
    from redepth.pipeline import choose_device
    from redepth.settings import Compute
    from redepth.training.run_betterdepth import train_on_data, train_on_scenes
    from redepth.training.runs import Run
    from redepth.training.workers import join_workers

    workers, device = join_workers(choose_device(Compute(device=options.device)))
    num_processes = 1 if device.type == "cpu" else os.cpu_count() or 1
    run = Run(options, device, workers, num_processes, advance)
    if options.data is None:
        return train_on_scenes(run)
    return train_on_data(run, options.data, _open_coarse_maps)


def _open_coarse_maps(url: str, data: Samples) -> CoarseMaps:
    from redepth.loading.coarse_maps import LabelledCoarseMaps
    from redepth.store.reader import open_labels

    return LabelledCoarseMaps(open_labels(url), data.images)
