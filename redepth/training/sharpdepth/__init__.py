"""Train SharpDepth, the one-step refiner of metric depth (docs/sharpdepth.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.training.method import TrainingMethod
from redepth.training.sharpdepth.settings import SharpDepthTraining

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redepth.training.engine.cards import TrainedModel
    from redepth.training.engine.run import Run


def _train(run: Run[SharpDepthTraining]) -> Sequence[TrainedModel]:
    from redepth.training.sharpdepth.run import train_sharpdepth

    return train_sharpdepth(run)


METHOD = TrainingMethod(
    name="sharpdepth",
    summary="Train a SharpDepth refiner: on rendered scenes, or on photographs with metric labels.",
    settings=SharpDepthTraining,
    default_config="sharpdepth-mini",
    train=_train,
    examples=(
        "--out sharpener/",
        "--config sharpdepth --out sharpener/ --set data.labels=metric/ "
        "--set init.folder=lotus-depth-g/",
        "--out sharpener/ --set data.scale=0.1",
    ),
    used_by={"model": "labels.refiner.model.weights.folder"},
)
