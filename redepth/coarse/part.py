"""What a coarse model is: its name, what its numbers mean, its weights, and what loads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from redepth.flops import FlopCount, Flops, ImageWork
from redepth.settings import Licence, ModelUse, PublishedWeights, Settings, Weights
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.estimator import DepthEstimator

# What a model without an end of its own says from here on is taken for "far", as of the sky.
OPEN_END_M = 1000.0


class Coarse(Settings):
    """The monocular network whose map is refined, and the size it works at."""

    preset: str = Field("depth-anything-v2-small", description="a coarse model by name")
    weights: Weights = Weights()
    size_px: int = Field(518, ge=28, description="upper bound of both sides, aspect kept")
    far_limit_m: float | None = Field(
        None,
        gt=0,
        description="metric models: what lies there or beyond has no value; null takes the "
        "model's own (docs/metric-depth.md)",
    )


@dataclass(frozen=True, slots=True)
class Rendering:
    """Constants of the render depth z = (scale + tanh o) / (raw + margin); fit a model's range."""

    scale: float
    margin: float


def flops_of_picture(count: FlopCount) -> Callable[[Coarse, ImageWork], Flops]:
    """Return what counts a network that sees the picture at its processing size, in float32."""
    return lambda _, work: {"float32": count.at(work.num_px)}


@dataclass(frozen=True, slots=True)
class CoarseModel:
    """A monocular depth network under the name that a recipe gives as `coarse.preset`.

    Attributes:
        name: of the preset.
        kind: what its output means.
        load: loads it with the recipe's settings and this entry; brings in torch when called.
        weights: where they are; None for a plug-in that loads its own.
        licence: of weights that a plug-in loads itself; else that of `weights`.
        settings: what a recipe may say of it.
        rendering: for models whose tokens Re-Depth Anything can move (their estimator is a
            `TokenDepthEstimator`); None for all others.
        far_limit_m: depth beyond which a metric model has no value (docs/metric-depth.md); None
            for other kinds, and where the checkpoint itself says how far it was trained.
        flops: of one image, forward, by dtype (`redepth.flops`); None where nobody has counted.
        decoder_flops: of what `new_decoder` gives, forward; for models with `rendering`.
    """

    name: str
    kind: DepthKind
    load: Callable[[Coarse, CoarseModel, torch.device], DepthEstimator]
    weights: PublishedWeights | None = None
    licence: Licence | None = None
    settings: type[Coarse] = Coarse
    rendering: Rendering | None = None
    far_limit_m: float | None = None
    flops: Callable[[Coarse, ImageWork], Flops] | None = None
    decoder_flops: FlopCount | None = None

    def use(self, settings: Coarse) -> ModelUse:
        """Return what a recipe with these settings loads."""
        return ModelUse("coarse", self.name, settings.weights, self.weights, self.licence)
