"""Probes: further looks at a photograph while it is labelled, kept as maps for the cues.

`labels.probes` asks for them; `redepth.labelling.probing` carries them out. What they cost is
theirs: a forward of a coarse model, or nothing. Their maps are stored, so that a confidence can be
fitted to them afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, SerializeAsAny, WrapValidator

from redepth.coarse import coarse_models
from redepth.coarse.part import Coarse
from redepth.quantities import Quantity
from redepth.settings import Settings


def coarse_settings(value: Any, validate: ModelWrapValidatorHandler[Coarse]) -> Coarse:
    """Validate against the settings of the coarse model that is named."""
    preset = value.get("preset") if isinstance(value, Mapping) else None
    if isinstance(preset, str):
        return coarse_models[preset].settings.model_validate(value)
    return validate(value)


AnyCoarse = Annotated[Coarse, WrapValidator(coarse_settings), SerializeAsAny()]


class Probes(Settings):
    """Further looks at a photograph, stored for a fitted confidence (docs/confidence.md)."""

    texture: bool = Field(False, description="store how strongly the photograph changes")
    mirror: bool = Field(
        False, description="ask the coarse model of the mirrored picture as well: one more forward"
    )
    size_px: int | None = Field(
        None, ge=28, description="ask it at this size as well; null does not"
    )
    model: AnyCoarse | None = Field(
        None, description="ask a second coarse model of the same kind as well; null asks none"
    )

    def asked(self) -> tuple[Probe, ...]:
        """Return the probes that are asked for, in the order of the table."""
        return tuple(probe for probe in PROBES if getattr(self, probe.setting))

    def further(self, coarse: Coarse) -> tuple[Coarse, ...]:
        """Return the coarse models that are loaded beside the recipe's own."""
        other_size = (
            () if self.size_px is None else (coarse.model_copy(update={"size_px": self.size_px}),)
        )
        return (*other_size, *(() if self.model is None else (self.model,)))

    def forwards(self, coarse: Coarse) -> tuple[Coarse, ...]:
        """Return the coarse model of each further forward of an image."""
        return (*((coarse,) if self.mirror else ()), *self.further(coarse))


@dataclass(frozen=True, slots=True)
class Probe:
    """One further look.

    Attributes:
        name: of the cue that it gives.
        setting: of `Probes` that asks for it.
        quantity: the map that is stored, float [H, W] >= 0.
        cost: in words, of one image.
    """

    name: str
    setting: str
    quantity: Quantity
    cost: str


def _change(name: str, other: str) -> Quantity:
    return Quantity(
        name,
        f"|aligned other - coarse| over the coarse range; other: {other}",
        unit="share of the coarse range",
        dtype="float16",
        range=(0.0, None),
        drawn=False,
    )


TEXTURE = Quantity(
    "texture",
    "0.003 plus the gradient a pixel of the photograph's grey, at the label's size",
    unit="share of white a pixel",
    dtype="float16",
    range=(0.0, None),
    drawn=False,
)
MIRROR_CHANGE = _change("mirror_change", "the coarse map of the mirrored picture, mirrored back")
SIZE_CHANGE = _change("size_change", "the coarse map at another processing size")
MODEL_CHANGE = _change("model_change", "the map of a second coarse model")

PROBES = (
    Probe("texture", "texture", TEXTURE, "nothing"),
    Probe("mirror", "mirror", MIRROR_CHANGE, "one more forward of the coarse model"),
    Probe("size", "size_px", SIZE_CHANGE, "one forward of the coarse model at the other size"),
    Probe("model", "model", MODEL_CHANGE, "one forward of the second coarse model"),
)
