"""SharpDepth: settings and trained models by name, and what it asks of a coarse model.

Source: SharpDepth; the method itself is in refiner.py beside this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from redepth.coarse.part import CoarseModel
from redepth.flops import Flops, LatentFlops, add_flops, counted
from redepth.refiners.part import LoadContext, RefinerPart, RefinerSettings, WorkContext
from redepth.settings import (
    UNVERIFIED,
    HubWeights,
    Licence,
    ModelUse,
    PackagedWeights,
    PublishedWeights,
    Settings,
    UnitInterval,
    Weights,
    refuse_seed,
    require_known,
)

if TYPE_CHECKING:
    from redepth.refiners.sharpdepth.refiner import SharpDepthRefiner

# None where nobody has published any.
PRESETS: dict[str, PublishedWeights | None] = {
    "lotus-g": HubWeights(
        "jingheya/lotus-depth-g-v1-0",
        UNVERIFIED,
        Licence("Apache-2.0"),
        counted.LOTUS_PARAMETERS,
    ),
    "sharpdepth": None,
    "sharpdepth-mini": PackagedWeights("models/mini/sharpdepth"),
}
_STABLE_DIFFUSION = LatentFlops(
    counted.STABLE_DIFFUSION_ENCODER, counted.LATENT_DEPTH_UNET, counted.STABLE_DIFFUSION_DECODER
)
_FLOPS = {
    "lotus-g": _STABLE_DIFFUSION,
    "sharpdepth": _STABLE_DIFFUSION,
    "sharpdepth-mini": LatentFlops(
        counted.MINI_SHARPDEPTH_ENCODER,
        counted.MINI_SHARPDEPTH_UNET,
        counted.MINI_SHARPDEPTH_DECODER,
    ),
}
_NUM_PASSES = 2  # of a member, each with a decoding


class SharpDepthModel(Settings):
    """A trained refiner's weights."""

    preset: str = Field("lotus-g", description="a trained refiner by name")
    weights: Weights = Weights()

    @model_validator(mode="after")
    def _known(self) -> SharpDepthModel:
        require_known("refiner.model.preset", self.preset, PRESETS)
        refuse_seed(self.weights)
        return self


class SharpDepth(RefinerSettings):
    """Sharpen a metric map with a one-step diffusion model and bring it back to metres.

    Source: SharpDepth; what was released differs from the paper where a setting says so.
    """

    method: Literal["sharpdepth"] = "sharpdepth"
    model: SharpDepthModel = SharpDepthModel()
    num_members: int = Field(4, ge=1, description="an ensemble of 1 has no confidence")
    members_per_batch: int = Field(
        1, ge=1, description="members that share a batch: 1 on a CPU, all of them on a GPU"
    )
    gate_normaliser: Literal["quantile", "max"] = Field(
        "quantile", description="difference that shuts the gate; max is the released rule"
    )
    gate_quantile: float = Field(0.98, gt=0, le=1, description="of the differences, for quantile")
    gated_noise: Literal["pure", "latent"] = Field(
        "pure", description="pure as published, or the noised sharp latent as released"
    )
    agreement: float = Field(
        0.5, gt=0, le=1, description="of the gate, below which a pixel carries scale and shift"
    )
    min_agreeing_share: UnitInterval = Field(
        0.1, description="of pixels that agree, below which the metric map is kept"
    )


def _models(settings: SharpDepth) -> list[ModelUse]:
    model = settings.model
    return [ModelUse("refiner", model.preset, model.weights, PRESETS[model.preset])]


def _check(settings: SharpDepth, coarse: CoarseModel) -> None:
    if not coarse.kind.is_metric:
        raise ValueError(
            f"refiner.method sharpdepth sharpens depth in metres, and coarse.preset "
            f"{coarse.name!r} gives none: take a metric one (docs/metric-depth.md)"
        )


def _load(settings: SharpDepth, context: LoadContext) -> SharpDepthRefiner:
    from redepth.refiners.sharpdepth.refiner import load_sharpdepth_refiner

    return load_sharpdepth_refiner(settings, context)


def _flops(settings: SharpDepth, context: WorkContext) -> Flops:
    """Count two encodings, and of each member both passes; the VAE is in float32."""
    passes, num_px = _FLOPS[settings.model.preset], context.image.num_px
    num_passes = _NUM_PASSES * settings.num_members
    vae = 2 * passes.encode.at(num_px) + num_passes * passes.decode.at(num_px)
    return add_flops(
        ({"float32": vae}, {context.compute.dtype: num_passes * passes.unet.at(num_px)})
    )


PART = RefinerPart("sharpdepth", SharpDepth, _load, _models, _check, flops=_flops)
