"""How the small models that come with redepth are trained; the defaults are what made them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from redepth.training.settings import FirstWeights, Optimiser, TrainingSettings

MiniModel = Literal["depth", "prior", "dpt", "encoder", "photo"]


class DepthOptimiser(Optimiser):
    """AdamW for the depth network."""

    num_steps: int = Field(1800, ge=1, description="in the whole schedule")
    batch_size: int = Field(32, ge=1, description="scenes per draw")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")


class VaeOptimiser(Optimiser):
    """AdamW for the prior's VAE."""

    num_steps: int = Field(1500, ge=1, description="in the whole schedule")
    batch_size: int = Field(8, ge=1, description="pictures per draw")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate")


class PriorOptimiser(Optimiser):
    """AdamW for the prior's UNet and text encoder."""

    num_steps: int = Field(5600, ge=1, description="in the whole schedule")
    batch_size: int = Field(32, ge=1, description="pictures per draw")
    learning_rate: float = Field(6e-4, gt=0, description="peak learning rate")


class DptOptimiser(Optimiser):
    """AdamW for the small DPT."""

    num_steps: int = Field(1139, ge=1, description="in the whole schedule")
    batch_size: int = Field(64, ge=1, description="scenes per draw")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")


class EncoderOptimiser(Optimiser):
    """AdamW for the small encoder that stands in for the prior's."""

    num_steps: int = Field(1000, ge=1, description="in the whole schedule")
    batch_size: int = Field(8, ge=1, description="pictures per draw")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate")


class PhotoOptimiser(Optimiser):
    """AdamW for the coarse model that reads photographs, on small pictures."""

    num_steps: int = Field(7000, ge=1, description="of this stage")
    batch_size: int = Field(16, ge=1, description="scenes per draw")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate")
    warm_up_steps: int = Field(200, ge=1, description="steps while the learning rate rises")
    ema_decay: float | None = Field(
        0.996, gt=0, lt=1, description="decay of the mean of the weights; that mean is saved"
    )
    num_chunks: int = Field(240, ge=1, description="of 64 scenes each that are rendered")
    first_chunks: int = Field(60, ge=1, description="of them that the first step draws from")
    steps_a_chunk: int = Field(25, ge=1, description="steps after which one more chunk joins")


class LargePhotoOptimiser(Optimiser):
    """AdamW for the same model after that, on pictures of the size it is used at."""

    num_steps: int = Field(2000, ge=1, description="of this stage")
    batch_size: int = Field(8, ge=1, description="scenes per draw")
    learning_rate: float = Field(1.2e-3, gt=0, description="peak learning rate")
    warm_up_steps: int = Field(30, ge=1, description="steps while the learning rate rises")
    ema_decay: float | None = Field(
        0.99, gt=0, lt=1, description="decay of the mean of the weights; that mean is saved"
    )


class MiniTraining(TrainingSettings):
    """Train the small models that come with redepth, on rendered scenes."""

    method: Literal["mini"] = "mini"
    models: tuple[MiniModel, ...] = Field(
        ("depth", "prior"), min_length=1, description="which models, in this order"
    )
    scenes_scale: float = Field(1.0, gt=0, description="times the scenes of each family")
    steps_scale: float = Field(
        1.0, gt=0, description="times the steps of every stage; below 1, of the scenes as well"
    )
    depth: DepthOptimiser = DepthOptimiser()
    vae: VaeOptimiser = VaeOptimiser()
    prior: PriorOptimiser = PriorOptimiser()
    dpt: DptOptimiser = DptOptimiser()
    encoder: EncoderOptimiser = EncoderOptimiser()
    photo: PhotoOptimiser = PhotoOptimiser()
    photo_large: LargePhotoOptimiser = LargePhotoOptimiser()
    teacher: FirstWeights | None = Field(
        None, description="the prior that the encoder is distilled from; null: redepth's mini prior"
    )
