"""The settings of a fitted confidence and of its intervals: of recipes and of mapping files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from redepth.confidence.cues import CUES
from redepth.registry import did_you_mean
from redepth.settings import Settings

PRODUCT = "*"
Guarantee = Literal["pixels", "images", "deciles"]


class Terms(Settings):
    """intercept + sum_term weight_term prod_(cue in term) ln(cue): further keys are the terms.

    A term is the name of a cue, or of several with `*` between them: `slope`, `slope*far`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    intercept: float = Field(description="the sum where every cue is 1")

    @model_validator(mode="after")
    def _known_terms(self) -> Terms:
        for term in self.weights():
            for name in factors_of(term):
                if name not in CUES:
                    near = did_you_mean(name, CUES)
                    raise ValueError(f"no cue {name!r}{near}; known: {', '.join(CUES)}")
        return self

    def weights(self) -> dict[str, float]:
        """Return the weight of each term, in the order that they were given in."""
        return dict(self.__pydantic_extra__)

    def cues(self) -> tuple[str, ...]:
        """Return the names of the cues of all terms that count, each once."""
        names = (n for term, weight in self.weights().items() if weight for n in factors_of(term))
        return tuple(dict.fromkeys(names))


class ConfidenceMapping(Terms):
    """A fitted confidence: the probability that a pixel's depth is within a factor of the truth.

    P = 1 / (1 + exp(-(intercept + sum_t weight_t x_t))), a term's x is the product of the
    logarithms of its cues (docs/confidence.md). `redepth calibrate` fits it.
    """

    within: float = Field(gt=1, description="the factor w of max(d/t, t/d) < w after alignment")


class Intervals(Settings):
    """Conformal bounds of the depth: `redepth calibrate` fits them (docs/confidence.md).

    Half the interval is factor(confidence) * exp(error): a share of the refined map's range, and
    of metric depth the logarithm of a ratio.
    """

    coverage: float = Field(0.9, gt=0, lt=1, description="share of pixels that lie inside")
    guarantee: Guarantee = Field(
        description="what the coverage holds for: a pixel of a new image (pixels), the same at "
        "every tenth of the confidence, for many images (deciles), or in nine of ten (images)"
    )
    is_metric: bool = Field(description="of metric depth: bounds are ratios")
    error: Terms = Field(description="ln of the expected error")
    edges: tuple[float, ...] = Field(
        (), max_length=100, description="confidences between the groups, rising; none: one group"
    )
    factors: tuple[float, ...] = Field(
        min_length=1, max_length=101, description="of the groups, from the least sure"
    )
    num_images: int = Field(ge=1, description="that the factors were fitted to")
    calibration_cues: dict[str, tuple[float, ...]] = Field(
        {}, description="quantiles over those images of the mean ln(cue), 0 % to 100 %"
    )

    @field_validator("factors")
    @classmethod
    def _positive(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0.0 <= factor < float("inf") for factor in factors):
            raise ValueError("factors must be finite and not negative")
        return factors

    @model_validator(mode="after")
    def _a_factor_for_each_group(self) -> Intervals:
        if len(self.factors) != len(self.edges) + 1 or list(self.edges) != sorted(self.edges):
            raise ValueError(
                f"{len(self.edges)} rising edges make {len(self.edges) + 1} groups, got "
                f"{len(self.factors)} factors for edges {self.edges}"
            )
        return self


def factors_of(term: str) -> tuple[str, ...]:
    """Return the names of a term's cues."""
    return tuple(term.split(PRODUCT))


def terms_of(cues: tuple[str, ...], *, products: bool) -> tuple[str, ...]:
    """Return the terms of some cues: each alone, with products of every two, squares included."""
    if not products:
        return cues
    pairs = [f"{a}{PRODUCT}{b}" for i, a in enumerate(cues) for b in cues[i:]]
    return (*cues, *pairs)


def dump(terms: Terms) -> dict[str, Any]:
    """Return terms as plain values, small weights too."""
    return terms.model_dump(mode="json")
