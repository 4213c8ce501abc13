"""How a BetterDepth is trained; the defaults are the paper's, and Marigold's where it is silent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from redepth.refiners.betterdepth.target import Target
from redepth.settings import Settings, UnitInterval
from redepth.training.settings import FirstWeights, Optimiser, Schedule, TrainingSettings


class BetterDepthOptimiser(Optimiser):
    """AdamW, its learning rate, and what a step is."""

    num_steps: int = Field(5000, ge=1, description="in the whole schedule")
    batch_size: int = Field(32, ge=1, description="examples per draw")
    learning_rate: float = Field(3e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    schedule: Schedule = Field(
        Schedule.EXPONENTIAL, description="how the learning rate falls to a hundredth"
    )


class Scenes(Settings):
    """Rendered scenes, with the maps of the small depth network that comes with redepth."""

    kind: Literal["scenes"] = "scenes"
    scale: float = Field(1.0, gt=0, description="times the scenes of each family")
    vae_steps: int = Field(1252, ge=1, description="that first teach the VAE depth maps")


class LabelledDataset(Settings):
    """A data set with depth, and an output of `redepth label` on it: the coarse maps."""

    kind: Literal["dataset"] = "dataset"
    folder: str = Field(description="of the data set, unpacked as published")
    format: str = Field(description="how its files lie (docs/datasets.md)")
    labels: str = Field(description="output of redepth label on that folder")
    height_px: int = Field(480, ge=16, description="of the crops")
    width_px: int = Field(640, ge=16, description="of the crops")
    held_out: int = Field(4, ge=0, description="pictures used only to validate")


class TeacherLabels(Settings):
    """Labels of an expensive refiner, learned from in the place of known depth."""

    kind: Literal["labels"] = "labels"
    labels: tuple[str, ...] = Field(min_length=1, description="outputs of redepth label")
    allow: tuple[str, ...] = Field(
        (),
        description="where else photographs may lie, beside this machine and the labels' bucket",
    )
    height_px: int = Field(480, ge=16, description="of the crops")
    width_px: int = Field(640, ge=16, description="of the crops")
    held_out_share: float = Field(
        0.2, gt=0, lt=1, description="share of images held out, by a hash of the id"
    )
    cache_gb: float = Field(4.0, ge=0, description="of memory to cache examples")


class Pairing(Settings):
    """How a label and a coarse map are brought together."""

    pre_align: bool = Field(
        True, description="align the coarse map to the label by least squares, as published"
    )
    coarse_frame: bool = Field(
        False,
        description="normalise by the coarse map, all that is known at inference; false: by the "
        "label, as published",
    )
    patch_mask: bool = Field(
        True, description="leave out patches where label and coarse map disagree, as published"
    )
    patch_px: int = Field(8, ge=1, description="side of a patch")
    patch_threshold: float = Field(
        0.1, gt=0, description="largest root mean square of label - coarse in a patch, normalised"
    )


class CoarseErrors(Settings):
    """Coarse maps made from the truth: what a refiner must undo, whichever network erred."""

    degraded_share: UnitInterval = Field(
        0.5, description="of the batch, whose coarse map is the truth made worse"
    )
    blend_share: UnitInterval = Field(
        0.5, description="of the others, in whose map the error is a part of the network's"
    )
    least_blend: UnitInterval = Field(0.3, description="smallest such part")


class BetterDepthTraining(TrainingSettings):
    """Train a BetterDepth refiner."""

    method: Literal["betterdepth"] = "betterdepth"
    data: Annotated[Scenes | LabelledDataset | TeacherLabels, Field(discriminator="kind")] = Field(
        description="what is trained on"
    )
    init: FirstWeights | None = Field(
        None, description="Stable Diffusion, Marigold or a refiner; null: redepth's small prior"
    )
    optimiser: BetterDepthOptimiser = BetterDepthOptimiser()
    pairing: Pairing = Pairing()
    target: Target = Target()
    errors: CoarseErrors | None = Field(
        None, description="make coarse maps worse; null takes the network's as they are"
    )
    noise_strength: float = Field(
        0.9, ge=0, description="of the annealed multi-resolution noise; 0 is plain noise"
    )
    conditioned: bool = Field(
        True, description="false hides the coarse map: the paper's first ablation"
    )
    bfloat16: bool = Field(False, description="mixed precision, for a GPU")
    default_denoising_steps: int = Field(
        50, ge=1, description="steps of the saved pipeline, if none are given"
    )

    @model_validator(mode="after")
    def _with_first_weights(self) -> BetterDepthTraining:
        if not isinstance(self.data, Scenes) and self.init is None:
            raise ValueError(
                "init.folder is not set: a training on a data set or on labels starts from a "
                "folder of Stable Diffusion, Marigold or a refiner"
            )
        return self
