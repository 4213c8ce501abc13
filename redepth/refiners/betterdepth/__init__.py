"""BetterDepth: settings and trained models by name.

Source: BetterDepth; the method itself is in refiner.py beside this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from redepth.flops import Flops, LatentFlops, add_flops, counted
from redepth.refiners.part import LoadContext, RefinerPart, RefinerSettings, WorkContext
from redepth.settings import (
    ModelUse,
    PackagedWeights,
    PublishedWeights,
    Settings,
    Weights,
    refuse_seed,
    require_known,
)

if TYPE_CHECKING:
    from redepth.refiners.betterdepth.refiner import BetterDepthRefiner

# None where nobody has published any.
PRESETS: dict[str, PublishedWeights | None] = {
    "betterdepth": None,
    "betterdepth-mini": PackagedWeights("models/mini/betterdepth"),
}
_FLOPS = {
    "betterdepth": LatentFlops(
        counted.STABLE_DIFFUSION_ENCODER,
        counted.LATENT_DEPTH_UNET,
        counted.STABLE_DIFFUSION_DECODER,
    ),
    "betterdepth-mini": LatentFlops(
        counted.MINI_BETTERDEPTH_ENCODER,
        counted.MINI_BETTERDEPTH_UNET,
        counted.MINI_BETTERDEPTH_DECODER,
    ),
}


class BetterDepthModel(Settings):
    """A trained refiner's weights."""

    preset: str = Field("betterdepth", description="a trained refiner by name")
    weights: Weights = Weights()

    @model_validator(mode="after")
    def _known(self) -> BetterDepthModel:
        require_known("refiner.model.preset", self.preset, PRESETS)
        refuse_seed(self.weights)
        return self


class BetterDepth(RefinerSettings):
    """A trained, plug-and-play diffusion refiner; the paper's settings.

    Source: BetterDepth; what they do to faithfulness and detail: docs/betterdepth.md.
    """

    method: Literal["betterdepth"] = "betterdepth"
    model: BetterDepthModel = BetterDepthModel()
    num_steps: int = Field(50, ge=1, le=1000, description="of DDIM; 2 keeps nearly all of the gain")
    num_members: int = Field(10, ge=1, description="an ensemble of 1 has no confidence")
    members_per_batch: int = Field(
        1, ge=1, description="members that share a batch: 1 on a CPU, all of them on a GPU"
    )


def _models(settings: BetterDepth) -> list[ModelUse]:
    model = settings.model
    return [ModelUse("refiner", model.preset, model.weights, PRESETS[model.preset])]


def _load(settings: BetterDepth, context: LoadContext) -> BetterDepthRefiner:
    from redepth.refiners.betterdepth.refiner import load_betterdepth_refiner

    return load_betterdepth_refiner(settings, context)


def _flops(settings: BetterDepth, context: WorkContext) -> Flops:
    """Count two encodings, and of each member the steps and a decoding; the VAE is in float32."""
    passes, num_px = _FLOPS[settings.model.preset], context.image.num_px
    members, steps = settings.num_members, settings.num_members * settings.num_steps
    vae = 2 * passes.encode.at(num_px) + members * passes.decode.at(num_px)
    return add_flops(({"float32": vae}, {context.compute.dtype: steps * passes.unet.at(num_px)}))


PART = RefinerPart("betterdepth", BetterDepth, _load, _models, flops=_flops)
