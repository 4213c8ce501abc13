"""Distilled refiner: settings and trained students by name.

A student has learned from labels that an expensive refiner made of images like these
(docs/distillation.md); the method itself is in refiner.py beside this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from redepth.flops import FlopCount, Flops, counted
from redepth.refiners.part import LoadContext, RefinerPart, RefinerSettings, WorkContext
from redepth.refiners.triage import RecordedTriage, read_triage
from redepth.settings import (
    ModelUse,
    PublishedWeights,
    Settings,
    Weights,
    refuse_seed,
    require_known,
)

if TYPE_CHECKING:
    from redepth.refiners.distilled.refiner import DistilledRefiner

# None: a student knows one collection and one teacher, and is trained by `redepth distill`.
PRESETS: dict[str, PublishedWeights | None] = {
    "distilled": None,
}
# Of `distilled`: the network that redepth distills by default.
_FLOPS: dict[str, FlopCount] = {
    "distilled": counted.DISTILLED_UNET,
}


class DistilledModel(Settings):
    """A student's weights."""

    preset: str = Field("distilled", description="a student by name")
    weights: Weights = Weights()

    @model_validator(mode="after")
    def _known(self) -> DistilledModel:
        require_known("refiner.model.preset", self.preset, PRESETS)
        refuse_seed(self.weights)
        return self


class Distilled(RefinerSettings):
    """A student of an expensive refiner: one pass of a network over picture and coarse map."""

    method: Literal["distilled"] = "distilled"
    model: DistilledModel = DistilledModel()
    num_members: int = Field(
        2, ge=1, le=2, description="2: the mirrored picture is asked as well; 1 has no confidence"
    )


def _models(settings: Distilled) -> list[ModelUse]:
    model = settings.model
    return [ModelUse("refiner", model.preset, model.weights, PRESETS[model.preset])]


def _load(settings: Distilled, context: LoadContext) -> DistilledRefiner:
    from redepth.refiners.distilled.refiner import load_distilled_refiner

    return load_distilled_refiner(settings, context)


def _flops(settings: Distilled, context: WorkContext) -> Flops:
    one_pass = _FLOPS[settings.model.preset]
    return {context.compute.dtype: settings.num_members * one_pass.at(context.image.num_px)}


def _triage(settings: Distilled) -> RecordedTriage:
    return read_triage(settings.model.weights, PRESETS[settings.model.preset])


PART = RefinerPart("distilled", Distilled, _load, _models, flops=_flops, triage=_triage)
