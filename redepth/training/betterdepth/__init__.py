"""Train BetterDepth, the diffusion refiner of any depth network's maps (docs/betterdepth.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.training.betterdepth.settings import BetterDepthTraining
from redepth.training.method import TrainingMethod

if TYPE_CHECKING:
    from redepth.training.engine.cards import TrainedModel
    from redepth.training.engine.run import Run


def _train(run: Run[BetterDepthTraining]) -> list[TrainedModel]:
    from redepth.training.betterdepth.run import train_betterdepth

    return [train_betterdepth(run)]


METHOD = TrainingMethod(
    name="betterdepth",
    summary="Train a BetterDepth refiner: on rendered scenes, or on a data set with depth.",
    settings=BetterDepthTraining,
    default_config="betterdepth-mini",
    train=_train,
    examples=(
        "--out refiner/",
        "--config betterdepth --out refiner/ --set data.folder=hypersim/ --set data.format=hypersim"
        " --set data.labels=coarse/ --set init.folder=stable-diffusion/",
        "--config refiner.yaml --set optimiser.learning_rate=1e-4 --out refiner/ --resume",
    ),
    used_by={"model": "labels.refiner.model.weights.folder"},
)
