"""Cascade: a cheap refiner for every image, an expensive one for those with most to gain.

What the two are, and whether a cheap one has a triage, the registry is asked; the way of an image
is in refiner.py beside this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from redepth.coarse.part import CoarseModel
from redepth.flops import Flops, add_flops
from redepth.refiners.part import (
    LoadContext,
    RefinerPart,
    RefinerSettings,
    Routing,
    WorkContext,
)
from redepth.refiners.triage import RecordedTriage
from redepth.settings import ModelUse

if TYPE_CHECKING:
    from redepth.refiners.cascade.refiner import CascadeRefiner


def part_of(settings: RefinerSettings) -> RefinerPart:
    """Return the part that settings are of."""
    from redepth.refiners import refiners  # lists this part, too

    return refiners[settings.method]


def _inner(value: Any, validate: ValidatorFunctionWrapHandler) -> RefinerSettings:
    """Validate against the settings of the method that is named, as the recipe's own refiner is."""
    from redepth.refiners import refiners

    settings = value
    if isinstance(value, Mapping) and isinstance(value.get("method"), str):
        settings = refiners[value["method"]].settings.model_validate(value)
    if not isinstance(settings, RefinerSettings):
        raise ValueError(f"expected settings with a method; known: {', '.join(refiners.names())}")
    if part_of(settings).inner(settings):
        raise ValueError(f"a {settings.method} inside a cascade is not offered")
    return settings


def _share(value: Any) -> Any:
    """Read "3%" as 0.03; anything else is left to the field."""
    if not isinstance(value, str) or not value.strip().endswith("%"):
        return value
    try:
        return float(Decimal(value.strip()[:-1]) / 100)
    except InvalidOperation:
        raise ValueError('expected a share such as "3%" or 0.03') from None


InnerRefiner = Annotated[
    SerializeAsAny[RefinerSettings],
    WrapValidator(_inner),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"method": {"type": "string"}},
            "required": ["method"],
            "additionalProperties": True,
        }
    ),
]


class Cascade(RefinerSettings):
    """Refine every image cheaply, and those with most to gain expensively.

    An image goes to the expensive method where its predicted gain is above the threshold that the
    cheap one's `triage.json` has for `budget`, and where the cheap one has no map for it. So its
    way depends on the image, the recipe and the weights alone; of a collection unlike the one that
    was distilled from, another share than `budget` is sent on.
    """

    method: Literal["cascade"] = "cascade"
    cheap: InnerRefiner = Field(description="a refiner with a triage, for every image")
    expensive: InnerRefiner = Field(description="any other refiner, for those with most to gain")
    budget: Annotated[float, BeforeValidator(_share)] = Field(
        0.03,
        gt=0,
        lt=1,
        description='for the expensive one, "3%" or 0.03, of a collection like the one that was '
        "distilled from",
    )

    @model_validator(mode="after")
    def _two_ways(self) -> Cascade:
        if self.cheap.method == self.expensive.method:
            raise ValueError(
                f"refiner.cheap and refiner.expensive are both {self.cheap.method}: rows tell the "
                "two by the method's name, so take two methods"
            )
        if part_of(self.cheap).triage is None:
            raise ValueError(
                f"refiner.cheap is {self.cheap.method}, which predicts no gain: take a refiner "
                "with a triage (docs/cascade.md)"
            )
        return self


def _both(settings: Cascade) -> tuple[RefinerSettings, ...]:
    return settings.cheap, settings.expensive


def _models(settings: Cascade) -> list[ModelUse]:
    return [use for inner in _both(settings) for use in part_of(inner).models(inner)]


def _check(settings: Cascade, coarse: CoarseModel) -> None:
    for inner in _both(settings):
        part_of(inner).check(inner, coarse)


def _flops(settings: Cascade, context: WorkContext) -> Flops | None:
    """Count the cheap refiner, and the expensive one where the image went there.

    Of an image whose way is not known, the budget's share of the expensive one.
    """
    went_on = context.image.refined_by == settings.expensive.method
    known = context.image.refined_by is not None
    share = float(went_on) if known else settings.budget
    usual = replace(context, image=replace(context.image, num_steps=None))
    cheap = _flops_of(settings.cheap, usual if went_on else context)
    expensive = _flops_of(settings.expensive, context if went_on else usual)
    if cheap is None or expensive is None:
        return None
    return add_flops((cheap, {dtype: share * count for dtype, count in expensive.items()}))


def _flops_of(settings: RefinerSettings, context: WorkContext) -> Flops | None:
    count = part_of(settings).flops
    return None if count is None else count(settings, context)


def recorded_triage(settings: Cascade) -> RecordedTriage:
    """Read the cheap refiner's triage. Raises ConfigError: it is missing or unreadable."""
    read = part_of(settings.cheap).triage
    assert read is not None, "settings are validated"
    return read(settings.cheap)


def _routing(settings: Cascade) -> Routing:
    triage = recorded_triage(settings).triage
    threshold = triage.threshold(settings.budget)
    return Routing(settings.cheap, settings.expensive, settings.budget, threshold, triage)


def _load(settings: Cascade, context: LoadContext) -> CascadeRefiner:
    from redepth.refiners.cascade.refiner import load_cascade

    return load_cascade(settings, context)


PART = RefinerPart(
    "cascade",
    Cascade,
    _load,
    _models,
    _check,
    flops=_flops,
    inner=_both,
    routing=_routing,
)
