"""The settings that every training has. A method adds its own and gives defaults: the paper's."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from redepth.settings import Device, Settings


class Schedule(StrEnum):
    """How the learning rate falls to a hundredth after the warm-up.

    COSINE: along half a cosine. EXPONENTIAL: by the same factor each step.
    """

    COSINE = "cosine"
    EXPONENTIAL = "exponential"


class Optimiser(Settings):
    """AdamW, its learning rate, and what a step is."""

    num_steps: int = Field(ge=1, description="in the whole schedule")
    batch_size: int = Field(ge=1, description="examples per draw")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    accumulate: int = Field(1, ge=1, description="draws that are averaged for one step")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="decay of the mean of the weights; that mean is saved"
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    max_gradient_norm: float = Field(1.0, gt=0, description="larger gradients are clipped")
    schedule: Schedule = Field(
        Schedule.COSINE, description="how the learning rate falls to a hundredth"
    )
    schedule_steps: int | None = Field(
        None, ge=1, description="steps while the learning rate falls; null: num_steps"
    )
    warm_up_steps: int = Field(50, ge=1, description="steps while the learning rate rises")


class FirstWeights(Settings):
    """The weights that a training starts from."""

    folder: str = Field(description="a pipeline's folder, as save_pretrained writes it")
    variant: str | None = Field(None, description='of its files, e.g. "fp16"')


class TrainingRun(Settings):
    """How the work is carried out: does not affect the weights, and may change on a resume."""

    save_every: int = Field(200, ge=1, description="steps between checkpoints")
    validate_every: int = Field(500, ge=1, description="steps between validations")
    num_threads: int = Field(4, ge=1, description="threads that read files")


class TrainingSettings(Settings):
    """What every training takes."""

    method: str = Field(description="what is trained")
    seed: int = Field(0, ge=0, description="of all random numbers")
    device: Device = Field("auto", description="auto is a GPU where there is one")
    run: TrainingRun = TrainingRun()

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide the weights, as a checkpoint records them."""
        return self.model_dump(mode="json", exclude={"run", "device"})
