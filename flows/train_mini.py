"""Flow `train-mini`: the weights of the preset `mini`, from rendered scenes.

depth net -> prior (VAE, then UNet and text encoder) -> losses.png
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task

from flows.training_bars import TrainingBars, training_progress
from redepth.report.losses import draw_losses
from redepth.settings import Compute, Device

if TYPE_CHECKING:
    from redepth.training.cards import TrainedModel
    from redepth.training.run import MiniTraining

LOSSES_NAME = "losses.png"


@flow(
    name="train-mini",
    flow_run_name="train mini into {out}",
    description="Train the small models on rendered scenes.",
)
def train_mini(
    out: str,
    steps_scale: float = 1.0,
    seed: int = 0,
    resume: bool = False,
    device: Device = "auto",
) -> list[TrainedModel]:
    """Train both models; see `redepth train mini --help`.

    Args:
        out: a local folder; gets depth/, prior/, checkpoints/ and losses.png.
        steps_scale: times the steps of every stage; below 1, of the scenes as well.
        seed: of the first weights and of every draw.
        resume: go on from the checkpoints in `out`.
        device: auto is a GPU where there is one; a GPU has a longer schedule of its own.

    Raises:
        ConfigError: CUDA is asked for and there is none.
    """
    from redepth.pipeline import choose_device
    from redepth.training.run import MiniTraining

    folder, chosen = Path(out), choose_device(Compute(device=device))
    num_processes = 1 if chosen.type == "cpu" else os.cpu_count() or 1
    with training_progress() as progress:
        trained = [
            train_one(
                name,
                MiniTraining(
                    folder,
                    chosen,
                    seed,
                    steps_scale,
                    resume,
                    num_processes,
                    TrainingBars(progress, name),
                ),
            )
            for name in ("depth", "prior")
        ]
    losses = {name: values for model in trained for name, values in model.losses.items()}
    (folder / LOSSES_NAME).write_bytes(draw_losses(losses))
    return trained


@task(name="train model", task_run_name="train {model}", persist_result=False)
def train_one(model: str, how: MiniTraining) -> TrainedModel:
    """Train one of the two models and write it."""
    from redepth.training.run import train_mini_depth, train_mini_prior

    return train_mini_depth(how) if model == "depth" else train_mini_prior(how)
