"""Train a student on labels that an expensive refiner made (docs/distillation.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.training.distilled.settings import DistilledTraining
from redepth.training.method import TrainingMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redepth.training.engine.cards import TrainedModel
    from redepth.training.engine.run import Run


def _train(run: Run[DistilledTraining]) -> Sequence[TrainedModel]:
    from redepth.training.distilled.run import train_distilled

    return [train_distilled(run)]


METHOD = TrainingMethod(
    name="distilled",
    summary="Train a student of an expensive refiner, on labels that it made.",
    settings=DistilledTraining,
    default_config="distilled",
    train=_train,
    examples=(
        "--out student/ --set 'data.labels=[teacher/]'",
        "--config distilled-mini --out student/ --set 'data.labels=[teacher/]'",
        "--out student-2/ --set 'data.labels=[teacher/, nightly/]' --set init.folder=student/model",
    ),
)
