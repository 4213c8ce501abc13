"""Train the small models that come with redepth, on rendered scenes (docs/mini-models.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.training.method import TrainingMethod
from redepth.training.mini_models.settings import MiniTraining

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redepth.training.engine.cards import TrainedModel
    from redepth.training.engine.run import Run


def _train(run: Run[MiniTraining]) -> Sequence[TrainedModel]:
    from redepth.training.mini_models.run import train_mini_models

    return train_mini_models(run)


METHOD = TrainingMethod(
    name="mini",
    summary="Train the small models that come with redepth, on rendered scenes.",
    settings=MiniTraining,
    default_config="mini",
    train=_train,
    examples=(
        "--out models/mini",
        "--out models/mini --resume",
        "--config mini-dpt --out models/mini-dpt",
        "--config mini-encoder --out models/mini-encoder",
        "--config mini-gpu --out models/mini --set device=cuda",
    ),
    used_by={
        "depth": "labels.coarse.weights.folder",
        "prior": "labels.refiner.prior.weights.folder",
    },
)
