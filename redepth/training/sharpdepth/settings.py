"""How a SharpDepth is trained; the defaults are the paper's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from redepth.refiners.sharpdepth.gating import Gating
from redepth.settings import Settings, UnitInterval
from redepth.training.settings import FirstWeights, Optimiser, TrainingSettings


class SharpDepthOptimiser(Optimiser):
    """AdamW, its learning rate, and what a step of the student is."""

    num_steps: int = Field(13000, ge=1, description="in the whole schedule")
    batch_size: int = Field(16, ge=1, description="examples per draw")
    learning_rate: float = Field(1e-6, gt=0, description="peak learning rate")
    ema_decay: float | None = Field(
        0.9999, gt=0, lt=1, description="decay of the mean of the weights; that mean is saved"
    )
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")


class MetricOptimiser(Optimiser):
    """AdamW for the small metric network."""

    num_steps: int = Field(3000, ge=1, description="in the whole schedule")
    batch_size: int = Field(32, ge=1, description="scenes per draw")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")


class TeacherOptimiser(Optimiser):
    """AdamW for the small teacher."""

    num_steps: int = Field(18000, ge=1, description="in the whole schedule")
    batch_size: int = Field(16, ge=1, description="scenes per draw")
    learning_rate: float = Field(5e-4, gt=0, description="peak learning rate")
    ema_decay: float | None = Field(
        0.998, gt=0, lt=1, description="decay of the mean of the weights; that mean is saved"
    )


class Teacher(Settings):
    """How the small teacher is trained on exact depth."""

    map_weight: float = Field(
        1.0, ge=0, description="of the decoded map's error beside the latents'"
    )
    optimiser: TeacherOptimiser = TeacherOptimiser()


class Scenes(Settings):
    """Rendered scenes: first a metric network and a teacher are trained on their exact depth."""

    kind: Literal["scenes"] = "scenes"
    scale: float = Field(1.0, gt=0, description="times the scenes and all steps; small to try it")
    metric: MetricOptimiser = MetricOptimiser()
    teacher: Teacher = Teacher()


class LabelledPhotographs(Settings):
    """Photographs with metric labels; there is no truth among them."""

    kind: Literal["photographs"] = "photographs"
    labels: str = Field(description="output of redepth label with a metric coarse model")
    height_px: int = Field(480, ge=16, description="of the crops")
    width_px: int = Field(640, ge=16, description="of the crops")
    held_out: int = Field(4, ge=0, description="photographs used only to validate")


class SharpDepthTraining(TrainingSettings):
    """Train a SharpDepth refiner."""

    method: Literal["sharpdepth"] = "sharpdepth"
    data: Annotated[Scenes | LabelledPhotographs, Field(discriminator="kind")] = Field(
        description="what is trained on"
    )
    init: FirstWeights | None = Field(
        None,
        description="the teacher: a Lotus-G or a SharpDepth; null: redepth's small BetterDepth, as "
        "the small teacher's start",
    )
    optimiser: SharpDepthOptimiser = SharpDepthOptimiser()
    gating: Gating = Gating()
    reconstruction_weight: float = Field(0.3, ge=0, description="lambda; 0.4 as released")
    pure_noise_share: UnitInterval = Field(
        0.2, description="of the draws that show noise alone, so that the first pass is kept"
    )
    bfloat16: bool = Field(False, description="mixed precision, for a GPU")

    @model_validator(mode="after")
    def _with_teacher(self) -> SharpDepthTraining:
        if isinstance(self.data, LabelledPhotographs) and self.init is None:
            raise ValueError(
                "init.folder is not set: a training on photographs needs a teacher, the folder of "
                "a Lotus-G or a SharpDepth"
            )
        return self
