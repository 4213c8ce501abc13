"""Flow `train`: any training method, from its settings to models and a picture of the losses.

settings -> the method's training (redepth/training) -> models, losses.png
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from pydantic import SerializeAsAny

from flows.training_progress import TrainingBars, training_progress
from redepth.report.losses import draw_losses
from redepth.settings import Compute
from redepth.training import METHODS
from redepth.training.settings import TrainingSettings

if TYPE_CHECKING:
    from redepth.datasets.sample import Samples
    from redepth.training.engine.cards import TrainedModel
    from redepth.training.engine.run import Progress
    from redepth.training.examples.samples import CoarseMaps
    from redepth.training.examples.teacher_pictures import TeacherPictures

LOSSES_NAME = "losses.png"


@flow(
    name="train",
    flow_run_name="train {settings.method} into {out}",
    description="Train a refiner, or the small models that come with redepth.",
)
def train(
    settings: SerializeAsAny[TrainingSettings], out: str, resume: bool = False
) -> list[TrainedModel]:
    """Train with a method's settings; see `redepth train --help`.

    Args:
        settings: of one of the methods; `settings.method` names it.
        out: a local folder; gets the models, checkpoints/, settings.yaml and losses.png.
        resume: go on from the checkpoints in `out`.

    Raises:
        ConfigError: data, labels or first weights are missing, before the first step; or a
            checkpoint was begun with other settings.
    """
    with training_progress() as bars:
        trained = train_models(settings, out, resume, TrainingBars(bars, settings.method))
    losses = {name: values for model in trained for name, values in model.losses.items()}
    (Path(out) / LOSSES_NAME).write_bytes(draw_losses(losses))
    return trained


@task(name="train models", task_run_name="train {settings.method}", persist_result=False)
def train_models(
    settings: SerializeAsAny[TrainingSettings], out: str, resume: bool, progress: Progress
) -> list[TrainedModel]:
    """Train the method's models and write them."""
    return run_training(settings, out, resume, progress)


def run_training(
    settings: TrainingSettings, out: str, resume: bool, progress: Progress
) -> list[TrainedModel]:
    """Train in this process, together with those that `accelerate launch` started beside it."""
    from redepth.labelling.labeller import choose_device
    from redepth.training.engine.run import Run
    from redepth.training.engine.workers import joined_workers

    chosen = choose_device(Compute(device=settings.device))
    with joined_workers(chosen) as (workers, device):
        num_processes = 1 if device.type == "cpu" else os.cpu_count() or 1
        run = Run(
            settings, Path(out), _LabelOutputs(), device, resume, workers, num_processes, progress
        )
        return list(METHODS[settings.method].train(run))


def rank() -> int:
    """Return this process's number among those that `accelerate launch` started; 0 if alone."""
    return int(os.environ.get("RANK", "0"))


class _LabelOutputs:
    """Outputs of `redepth label`, as a training reads them."""

    def coarse_maps(self, url: str, images: Sequence[str]) -> CoarseMaps:
        from redepth.store.reader import open_labels
        from redepth.torch_data.coarse_maps import LabelledCoarseMaps

        return LabelledCoarseMaps(open_labels(url), images)

    def photographs(self, url: str) -> tuple[Samples, CoarseMaps]:
        from redepth.store.reader import open_labels
        from redepth.torch_data.labelled_pictures import LabelledPictures

        labels = open_labels(url)
        pictures = LabelledPictures(labels, labels.photographs())
        return pictures, pictures.coarse_map

    def teacher(self, urls: Sequence[str], allow: Sequence[str]) -> TeacherPictures:
        from redepth.distillation.teacher_labels import TeacherLabels

        return TeacherLabels(urls, allow)
