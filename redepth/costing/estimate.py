"""What labelling would cost: by what was measured, else by what is known of recipe and device."""

from __future__ import annotations

from dataclasses import dataclass

from redepth.config import Cost, LabelSettings, Recipe
from redepth.costing.devices import limits_of, local_card
from redepth.costing.last_runs import last_run
from redepth.costing.stages import StageSeconds, decoders_of_actor
from redepth.costing.work import recipe_flops, seconds_at_limit, usual_image

# A member-step of Re-Depth Anything on an H200: 3.9 TFLOP in 31.5 ms (docs/results/benchmarks.md)
# are 12 % of the 989 TFLOP/s that its data sheet promises for float16. No other share was measured.
USUAL_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Basis:
    """The seconds that an image costs an actor, and where they come from, in words."""

    seconds: float
    words: str


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a number of images takes.

    Attributes:
        actor_hours: summed over all actors.
        price: in the recipe's currency; None if the recipe states no price.
        basis: where the seconds an image come from, in words.
    """

    actor_hours: float
    price: float | None
    basis: str


def estimate_cost(num_images: int, recipe: Recipe, here: StageSeconds) -> CostEstimate | None:
    """Estimate what images will take; None where nothing is known to go by.

    The first that is known counts: the labels already in this output, the last run of the recipe,
    the recipe's own estimate, its FLOPs on the device's data sheet.

    Args:
        here: of the labels in this output.
    """
    actors = recipe.run.actors
    basis = (
        _by_labels(here, decoders_of_actor(actors, actors.num_actors or 1))
        or _by_last_run(recipe.labels, recipe.run.cost.device)
        or _by_recipe(recipe.run.cost)
        or _by_flops(recipe.labels, recipe.run.cost.device)
    )
    if basis is None:
        return None
    hours = num_images * basis.seconds / 3600.0
    return CostEstimate(hours, cost_of(hours, recipe.run.cost), basis.words)


def known_speed(labels: LabelSettings, device: str | None) -> Basis | None:
    """Return what an image costs with other settings than a run's own: measured, else by FLOPs.

    Args:
        device: the card that it will run on; None for this machine's.
    """
    return _by_last_run(labels, device) or _by_flops(labels, device)


def measured_speed(recipe_digest: str, device: str | None) -> Basis | None:
    """Return what an image cost in the last run of a recipe, given by its digest."""
    run = last_run(recipe_digest, device)
    if run is None:
        return None
    seconds = run.seconds_per_image
    where = f"the last run of this recipe, {run.ended:.10}, {run.num_images} images on {run.device}"
    return Basis(seconds, f"{seconds:.3g} s an image, measured in {where}")


def cost_of(actor_hours: float, cost: Cost) -> float | None:
    """Return the price of actor hours in the recipe's currency; None if it states none."""
    hourly = cost.price_per_actor_hour
    return None if hourly is None else actor_hours * hourly


def _by_labels(here: StageSeconds, decoders: float) -> Basis | None:
    seconds = here.of_actor(decoders)
    if seconds is None:
        return None
    number = f"{here.num_timed} label{'' if here.num_timed == 1 else 's'}"
    return Basis(seconds, f"{seconds:.3g} s an image, the mean of {number} already there")


def _by_last_run(labels: LabelSettings, device: str | None) -> Basis | None:
    return measured_speed(labels.digest(), device)


def _by_recipe(cost: Cost) -> Basis | None:
    seconds = cost.seconds_per_image
    if seconds is None:
        return None
    return Basis(
        seconds, f"{seconds:.3g} s an image, the recipe's estimate (run.cost.seconds_per_image)"
    )


def _by_flops(labels: LabelSettings, device: str | None) -> Basis | None:
    """Estimate from FLOPs; decoding is not among them, nor what the card waits for it."""
    flops = recipe_flops(labels, usual_image(labels))
    if flops is None or labels.compute.device == "cpu":
        return None
    device = device or local_card()
    limits = None if device is None else limits_of(device)
    fastest = None if limits is None else seconds_at_limit(flops, limits)
    if fastest is None:
        return None
    seconds = fastest / USUAL_SHARE
    return Basis(
        seconds,
        f"{seconds:.3g} s an image, no measurement: {sum(flops.values()) / 1e12:.3g} TFLOP at "
        f"{USUAL_SHARE:.0%} of what the data sheet of {device} promises",
    )
