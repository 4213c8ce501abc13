"""What a refiner is before it is loaded: its settings, its models, its checks, its loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from redepth.coarse.part import CoarseModel
from redepth.flops import Flops, ImageWork
from redepth.refiners.triage import RecordedTriage, Triage
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


def nobody_measured(settings: Any) -> str | None:
    """Say that nobody has measured the GPU memory that a refiner takes."""
    return None


def has_no_inner(settings: Any) -> Sequence[RefinerSettings]:
    """Say that a refiner is not made of others."""
    return ()


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """How a refiner that is made of a cheap and an expensive one sends images one way or the other.

    Attributes:
        cheap: refines every image, and predicts what the expensive one would change.
        expensive: refines the images whose predicted gain is above `threshold`.
        budget: share of the images that are meant to go to it, of a collection like the one that
            the triage was fitted to.
        threshold: as the triage has it for that share.
        triage: the cheap one's.
    """

    cheap: RefinerSettings
    expensive: RefinerSettings
    budget: float
    threshold: float
    triage: Triage


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
        triage: reads what its predicted gains are worth (`redepth.refiners.triage`), without
            loading a model; None where its members have no `predicted_gain`. Raises ConfigError.
        inner: settings of the refiners that it is made of.
        routing: which way it sends images; None where it has no inner ones. Raises ConfigError.
        refines: whether it may change a map.
        gpu_memory: how much it takes and where that was measured; None where nobody has measured.
    """

    name: str
    settings: type[RefinerSettings]
    load: Callable[[Any, LoadContext], Refiner]
    models: Callable[[Any], Sequence[ModelUse]] = uses_nothing
    check: Callable[[Any, CoarseModel], None] = fits_any
    alone: str | None = None
    flops: Callable[[Any, WorkContext], Flops | None] | None = None
    triage: Callable[[Any], RecordedTriage] | None = None
    inner: Callable[[Any], Sequence[RefinerSettings]] = has_no_inner
    routing: Callable[[Any], Routing] | None = None
    refines: bool = True
    gpu_memory: Callable[[Any], str | None] = nobody_measured
