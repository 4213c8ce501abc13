"""How a student is distilled."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from redepth.settings import Settings
from redepth.training.settings import FirstWeights, Optimiser, TrainingSettings


class TeacherLabels(Settings):
    """Outputs of `redepth label` with the teacher's recipe."""

    labels: tuple[str, ...] = Field((), description="outputs of redepth label; at least one")
    allow: tuple[str, ...] = Field(
        (),
        description="where else photographs may lie, beside this machine and the labels' bucket",
    )
    height_px: int = Field(384, ge=16, description="of the crops")
    width_px: int = Field(512, ge=16, description="of the crops")
    held_out_share: float = Field(
        0.2, gt=0, lt=1, description="share of images held out, by a hash of the id"
    )
    cache_gb: float = Field(4.0, ge=0, description="of memory to cache examples")


class Network(Settings):
    """A U-Net of diffusers' `UNet2DModel`, without attention."""

    patch_px: int = Field(
        2, ge=1, le=8, description="side of squares whose pixels are channels: 2 is 4 times faster"
    )
    channels: tuple[int, ...] = Field(
        (64, 128, 256, 384),
        min_length=1,
        description="of each level, multiples of 8; each level halves the size",
    )
    layers_per_level: int = Field(1, ge=1, description="residual blocks of a level")

    @field_validator("channels")
    @classmethod
    def _in_groups(cls, channels: tuple[int, ...]) -> tuple[int, ...]:
        if any(count < 8 or count % 8 for count in channels):
            raise ValueError(f"expected multiples of 8, got {channels}")
        return channels


class DistilledOptimiser(Optimiser):
    """AdamW, its learning rate, and what a step is."""

    num_steps: int = Field(20000, ge=1, description="in the whole schedule")
    batch_size: int = Field(16, ge=1, description="examples per draw")
    learning_rate: float = Field(5e-4, gt=0, description="peak learning rate")


class DistilledTraining(TrainingSettings):
    """Train a student of an expensive refiner."""

    method: Literal["distilled"] = "distilled"
    data: TeacherLabels = Field(TeacherLabels(), description="what is learned from")
    init: FirstWeights | None = Field(
        None, description="a student to go on from; null starts anew, from the seed"
    )
    network: Network = Network()
    optimiser: DistilledOptimiser = DistilledOptimiser()
    gradient_weight: float = Field(
        0.5, ge=0, description="of the error of the change's gradients beside its own"
    )
