"""What a refiner is before it is loaded: its settings, its models, its checks, its loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from redepth.coarse.part import CoarseModel
from redepth.flops import Flops, ImageWork
from redepth.settings import Compute, ModelUse, Settings

if TYPE_CHECKING:
    import torch

    from redepth.coarse.estimator import DepthEstimator
    from redepth.refiners.refiner import Refiner


class RefinerSettings(Settings):
    """The settings of a refiner; each method adds its own to these."""

    method: str = Field(description="a refiner by name")


@dataclass(frozen=True, slots=True, eq=False)
class LoadContext:
    """What a refiner may need of the run that loads it.

    Attributes:
        estimator: the coarse model, loaded.
        compute: device and precision as the recipe states them.
        device: the device itself.
        seed: the recipe's, of every random draw.
    """

    estimator: DepthEstimator
    compute: Compute
    device: torch.device
    seed: int


def uses_nothing(settings: Any) -> Sequence[ModelUse]:
    """Say that a refiner loads no model of its own."""
    return ()


def fits_any(settings: Any, coarse: CoarseModel) -> None:
    """Say that a refiner takes the maps of any coarse model."""


@dataclass(frozen=True, slots=True)
class WorkContext:
    """What the FLOPs of a refiner depend on beside its settings.

    Attributes:
        coarse: the model whose maps are refined.
        compute: precision as the recipe states it.
        image: how large it is processed, and how many steps it took.
    """

    coarse: CoarseModel
    compute: Compute
    image: ImageWork


@dataclass(frozen=True, slots=True)
class RefinerPart:
    """A refiner under the name that a recipe gives as `refiner.method`.

    Attributes:
        name: of the method.
        settings: what a recipe may say of it; its field `method` has `name` as the only value.
        load: loads its models; brings in torch when called.
        models: what it loads, by its settings.
        check: raises ValueError, with the fix, where it cannot refine a coarse model's maps.
        alone: why its images are refined one by one, so that a recipe with a larger
            `compute.batch_size` is refused; None where they may share a forward.
        flops: of one image, all members, by dtype (`redepth.flops`); None where nobody has counted,
            or returned where its models' are not known.
    """

    name: str
    settings: type[RefinerSettings]
    load: Callable[[Any, LoadContext], Refiner]
    models: Callable[[Any], Sequence[ModelUse]] = uses_nothing
    check: Callable[[Any, CoarseModel], None] = fits_any
    alone: str | None = None
    flops: Callable[[Any, WorkContext], Flops | None] | None = None
