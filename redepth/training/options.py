"""What `redepth train betterdepth` and `redepth train sharpdepth` are told: validated, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from redepth.errors import ConfigError
from redepth.settings import Device, Settings, UnitInterval

Ablation = Literal[
    "full",
    "no-conditioning",
    "strict-mask",
    "residual",
    "residual-no-patch-mask",
    "residual-no-pre-alignment",
]


class DataOptions(Settings):
    """Data of one's own, with what a refiner starts from."""

    folder: str = Field(description="the data set's")
    dataset_format: str = Field(description="a data set by name: redepth evaluate --help")
    labels: str = Field(description="output of redepth label on that folder: the coarse maps")
    init: str = Field(description="folder of Stable Diffusion, Marigold or a refiner")
    init_variant: str | None = Field(None, description='of its files, e.g. "fp16"')
    height_px: int = Field(480, ge=16, description="of the crops")
    width_px: int = Field(640, ge=16, description="of the crops")
    kept_out: int = Field(4, ge=0, description="pictures for the validation alone")
    num_threads: int = Field(4, ge=1, description="that read files")


class TrainingOptions(Settings):
    """What every training of a refiner is told."""

    out: str
    seed: int = Field(0, ge=0)
    resume: bool = False
    save_every: int = Field(200, ge=1)
    validate_every: int = Field(500, ge=1)
    device: Device = "auto"


class RefinerTraining(TrainingOptions):
    """How to train a BetterDepth; None: the paper's value, or the mini model's without data."""

    data: DataOptions | None = None
    ablation: Ablation = "full"
    num_steps: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    ema_decay: float | None = Field(None, gt=0, lt=1)
    patch_threshold: float | None = Field(None, gt=0)
    bfloat16: bool = False
    scenes_scale: float = Field(1.0, gt=0, description="times the mini model's scenes")
    vae_steps: int = Field(1252, ge=1, description="of the mini model's VAE for maps")

    @model_validator(mode="after")
    def _whole(self) -> RefinerTraining:
        if self.data is not None and self.ablation != "full":
            raise ValueError("--ablation names variants of the mini model; it takes no --data")
        return self


class PictureOptions(Settings):
    """Labelled pictures, with the teacher that a student starts from."""

    labels: str = Field(description="output of redepth label with a metric coarse model")
    init: str = Field(description="folder of a Lotus-G, or of a SharpDepth")
    init_variant: str | None = Field(None, description='of its files, e.g. "fp16"')
    height_px: int = Field(480, ge=16, description="of the crops")
    width_px: int = Field(640, ge=16, description="of the crops")
    kept_out: int = Field(4, ge=0, description="pictures for the validation alone")
    num_threads: int = Field(4, ge=1, description="that read files")


class SharpDepthOptions(TrainingOptions):
    """How to train a SharpDepth; None: the paper's value, or the mini model's without data."""

    data: PictureOptions | None = None
    teacher: str | None = Field(None, description="folder the mini teacher goes on from")
    teacher_variant: str | None = Field(None, description='of its files, e.g. "fp16"')
    num_steps: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    ema_decay: float | None = Field(None, gt=0, lt=1)
    reconstruction_weight: float | None = Field(None, ge=0)
    pure_noise_share: UnitInterval = 0.2
    gate_normaliser: Literal["quantile", "max"] = "quantile"
    gated_noise: Literal["pure", "latent"] = "pure"
    bfloat16: bool = False
    scale: float = Field(1.0, gt=0, description="times the mini models' scenes and steps")


_Options = TypeVar("_Options", bound=TrainingOptions)


def read_options(kind: type[_Options], values: Mapping[str, Any]) -> _Options:
    """Return options that were validated.

    Raises:
        ConfigError: names the first that is not allowed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "options"
        raise ConfigError(f"{name}: {first['msg']} (got {first['input']!r:.80})") from None
