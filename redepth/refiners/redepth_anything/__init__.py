"""Re-Depth Anything: settings, priors by name, and what it asks of a coarse model.

Source: Re-Depth Anything; the method itself is in refiner.py beside this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from redepth.coarse.part import CoarseModel
from redepth.flops import FlopCount, Flops, add_flops, counted
from redepth.refiners.part import LoadContext, RefinerPart, RefinerSettings, WorkContext
from redepth.refiners.redepth_anything.captioners import captioners
from redepth.settings import (
    UNVERIFIED,
    HubWeights,
    Licence,
    LicenceSource,
    ModelUse,
    PackagedWeights,
    PublishedWeights,
    Settings,
    UnitInterval,
    Weights,
    require_known,
)

if TYPE_CHECKING:
    from redepth.refiners.redepth_anything.refiner import ReDepthAnythingRefiner


@dataclass(frozen=True, slots=True)
class PriorPreset:
    """A latent diffusion model whose VAE encoder, UNet and text encoder judge a picture.

    Attributes:
        size_px: side of the square pictures it takes.
        encoder_flops, unet_flops: of one pass.
    """

    weights: PublishedWeights
    size_px: int
    encoder_flops: FlopCount
    unet_flops: FlopCount


PRIORS: dict[str, PriorPreset] = {
    "stable-diffusion-v1-5": PriorPreset(
        HubWeights(
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            Licence("CreativeML-OpenRAIL-M"),
            counted.STABLE_DIFFUSION_PARAMETERS,
        ),
        size_px=512,
        encoder_flops=counted.STABLE_DIFFUSION_ENCODER,
        unet_flops=counted.STABLE_DIFFUSION_UNET,
    ),
    "mini": PriorPreset(
        PackagedWeights("models/mini/prior"),
        size_px=64,
        encoder_flops=counted.MINI_PRIOR_ENCODER,
        unet_flops=counted.MINI_PRIOR_UNET,
    ),
}


@dataclass(frozen=True, slots=True)
class EncoderPreset:
    """A small network that gives the latents of a prior's VAE encoder, at a fraction of its cost.

    Attributes:
        prior: the preset whose latents it gives.
        flops: of one pass.
    """

    weights: PublishedWeights
    prior: str
    flops: FlopCount


ENCODERS: dict[str, EncoderPreset] = {
    "taesd": EncoderPreset(
        HubWeights(
            "madebyollin/taesd",
            UNVERIFIED,
            Licence("MIT", LicenceSource.REPOSITORY),
            counted.TAESD_PARAMETERS,
        ),
        prior="stable-diffusion-v1-5",
        flops=counted.TAESD_ENCODER,
    ),
    "mini-tiny": EncoderPreset(
        PackagedWeights("models/mini/encoder"), prior="mini", flops=counted.MINI_TINY_ENCODER
    ),
}
_FORWARD_AND_BACKWARD = 3  # where the weights move: the input's gradient and theirs


class Prior(Settings):
    """The frozen diffusion model that judges the re-lit picture."""

    preset: str = Field("stable-diffusion-v1-5", description="a prior by name")
    weights: Weights = Weights()
    encoder: str | None = Field(
        None, description="a tiny encoder by name in place of the VAE's; null is the prior's own"
    )
    encoder_weights: Weights = Weights()

    @model_validator(mode="after")
    def _known(self) -> Prior:
        require_known("prior.preset", self.preset, PRIORS)
        if self.encoder is not None:
            require_known("prior.encoder", self.encoder, ENCODERS)
            wanted = ENCODERS[self.encoder].prior
            if wanted != self.preset:
                raise ValueError(
                    f"prior.encoder {self.encoder!r} gives the latents of {wanted!r}, not of "
                    f"{self.preset!r}: leave it out, or take prior.preset {wanted!r}"
                )
        return self


class Caption(Settings):
    """The prior's prompt: the list's own caption, else the captioner's, else `prompt`."""

    captioner: str | None = Field(None, description="an image-to-text model by name, or null")
    weights: Weights = Weights()
    prompt: str = Field("a photograph", description="used where neither list nor captioner speaks")

    @model_validator(mode="after")
    def _known(self) -> Caption:
        if self.captioner is not None:
            captioners[self.captioner]
        return self


class EarlyStop(Settings):
    """A member ends where its map has slowed down.

    Every `every` steps, mean |raw - raw `every` steps ago| is compared with the largest such mean
    before, which makes one threshold fit maps of any range. Each member is looked at for itself.
    """

    every: int = Field(10, ge=1, description="steps between two looks")
    slowed_to: float = Field(gt=0, le=1, description="share of the most that the map has moved")


class ReDepthAnything(RefinerSettings):
    """Test-time optimisation by re-lighting and score distillation; the paper's constants.

    Mixed precision: the prior's encoder and UNet run in `compute.dtype`; tokens, decoder,
    re-lighting, losses and AdamW in float32. On a GPU, float32 convolutions use TF32 and matrix
    products do not: torch's own defaults.

    Source: Re-Depth Anything, section "method"; formulas in redepth/refiners/redepth_anything/.
    """

    method: Literal["redepth_anything"] = "redepth_anything"
    prior: Prior = Prior()
    caption: Caption = Caption()
    num_members: int = Field(10, ge=1, description="an ensemble of 1 has no confidence")
    num_steps: int = Field(1000, ge=0, description="0 leaves the prediction untouched")
    token_learning_rate: float = Field(1e-3, ge=0, description="of the four patch-token maps")
    decoder_learning_rate: float = Field(2e-6, ge=0, description="of the decoder's weights")
    scale_learning_rate: float = Field(1e-3, ge=0, description="of the scale offset o")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, on all of them")
    betas: tuple[UnitInterval, UnitInterval] = Field((0.9, 0.999), description="AdamW's")
    render_scale: float | None = Field(None, description="s; null takes the coarse preset's")
    render_margin: float | None = Field(None, description="m; null takes the coarse preset's")
    light_extent: float = Field(1.0, gt=0, description="lx, ly ~ U(-extent, extent), lz = 1")
    shininess_exponents: tuple[int, int] = Field((2, 7), description="k in 2^k, inclusive range")
    gamma: float = Field(2.2, gt=0, description="linear light is rgb ** gamma")
    shading_floor: float = Field(1e-3, gt=0, description="darkest value of the re-lit picture")
    guidance_scale: float = Field(50.0, description="g in e_text + g (e_text - e_uncond)")
    min_timestep: UnitInterval = Field(0.02, description="share of the prior's timesteps")
    max_timestep: UnitInterval = Field(0.60, description="share of the prior's timesteps")
    weighting: Literal["uniform", "sds", "fantasia3d"] = Field(
        "uniform", description="w(t) of the gradient: 1, 1 - abar or sqrt(abar) (1 - abar)"
    )
    score_weight: float = Field(
        1.0, ge=0, description="of the prior's say; 0 leaves the smoothness alone (a control)"
    )
    smoothness_weight: float = Field(1.0, ge=0, description="of the mean absolute Laplacian")
    noise_draws: int = Field(
        1,
        ge=1,
        description="noises and timesteps for one encoding of the re-lit picture, each timestep in "
        "its own part of the range; the gradient is their mean",
    )
    early_stop: EarlyStop | None = Field(
        None, description="ends members that have slowed down; null takes all steps"
    )
    members_per_batch: int = Field(
        1, ge=1, description="members that share a step: 1 on a CPU, all of them on a GPU"
    )
    batch_decoders: bool | None = Field(
        None,
        description="whether the decoders of members that share a step are one batched call; null: "
        "on a GPU alone",
    )
    compile: bool = Field(
        False,
        description="whether torch compiles the prior when it is loaded, which takes minutes and "
        "pays over many images; its kernels round differently",
    )

    @model_validator(mode="after")
    def _ordered(self) -> ReDepthAnything:
        if self.min_timestep > self.max_timestep:
            raise ValueError("refiner.min_timestep is larger than refiner.max_timestep")
        if self.shininess_exponents[0] > self.shininess_exponents[1]:
            raise ValueError("refiner.shininess_exponents must be (smallest, largest)")
        return self


def _models(settings: ReDepthAnything) -> list[ModelUse]:
    prior, caption = settings.prior, settings.caption
    uses = [ModelUse("prior", prior.preset, prior.weights, PRIORS[prior.preset].weights)]
    if prior.encoder is not None:
        published = ENCODERS[prior.encoder].weights
        uses.append(ModelUse("encoder", prior.encoder, prior.encoder_weights, published))
    if caption.captioner is not None:
        captioner = captioners[caption.captioner]
        uses.append(ModelUse("captioner", caption.captioner, caption.weights, captioner.weights))
    return uses


def _check(settings: ReDepthAnything, coarse: CoarseModel) -> None:
    if coarse.rendering is None:
        raise ValueError(
            "refiner.method redepth_anything moves the tokens of a Depth Anything for relative "
            f"depth, and coarse.preset {coarse.name!r} is none: take betterdepth or identity"
        )


def _load(settings: ReDepthAnything, context: LoadContext) -> ReDepthAnythingRefiner:
    from redepth.refiners.redepth_anything.refiner import load_redepth_anything

    return load_redepth_anything(settings, context)


def _flops(settings: ReDepthAnything, context: WorkContext) -> Flops | None:
    """Count the member-steps: decoder forward and backward, encoder likewise, the UNet's pairs.

    Backward costs what forward does through the frozen encoder, and twice that through the decoder,
    whose weights move too. The captioner is left out: it takes less than a member-step.
    """
    if context.coarse.decoder_flops is None:
        return None
    prior, image = PRIORS[settings.prior.preset], context.image
    num_steps = settings.num_steps if image.num_steps is None else image.num_steps
    member_steps = num_steps * settings.num_members
    decoder = _FORWARD_AND_BACKWARD * context.coarse.decoder_flops.at(image.num_px)
    prior_px = prior.size_px**2
    tiny = settings.prior.encoder
    encoder_flops = prior.encoder_flops if tiny is None else ENCODERS[tiny].flops
    num_forwards = 2 * settings.noise_draws
    judged = 2 * encoder_flops.at(prior_px) + num_forwards * prior.unet_flops.at(prior_px)
    return add_flops(
        ({"float32": member_steps * decoder}, {context.compute.dtype: member_steps * judged})
    )


# Peak GB by the members that share a step: Depth Anything V2 Small at 518 x 392 px, Stable
# Diffusion 1.5 at 512 px, float16, one noise draw, on an H200 (`python -m benchmarks.full_size`).
_MEASURED_GB = {1: 4.3, 3: 8.1, 5: 12.0, 10: 21.7}


def _gpu_memory(settings: ReDepthAnything) -> str | None:
    members = min(settings.members_per_batch, settings.num_members)
    measured = next((number for number in _MEASURED_GB if number >= members), None)
    if settings.prior.preset != "stable-diffusion-v1-5" or measured is None:
        return None
    return (
        f"about {_MEASURED_GB[measured]:g} GB with {measured} members a step, measured with Depth "
        "Anything V2 Small at 518 px, float16, one noise draw"
    )


PART = RefinerPart(
    "redepth_anything",
    ReDepthAnything,
    _load,
    _models,
    _check,
    flops=_flops,
    alone="optimises every image for itself; members_per_batch is what fills a GPU",
    gpu_memory=_gpu_memory,
)
