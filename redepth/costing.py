"""What labelling would cost, from measured seconds where there are any."""

from __future__ import annotations

from dataclasses import dataclass

from redepth.config import Cost


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


def estimate_cost(
    num_images: int, cost: Cost, measured_seconds: float | None, num_measured: int
) -> CostEstimate | None:
    """Reckon with the mean seconds of labels that exist, else with the recipe's; None without both.

    Args:
        measured_seconds: mean seconds an image of labels in this output, None if there are none.
        num_measured: how many labels that mean is of.
    """
    if measured_seconds is not None:
        seconds = measured_seconds
        basis = f"{seconds:.3g} s an image, the mean of {num_measured} labels already there"
    elif cost.seconds_per_image is not None:
        seconds = cost.seconds_per_image
        basis = f"{seconds:.3g} s an image, the recipe's estimate (run.cost.seconds_per_image)"
    else:
        return None
    hours = num_images * seconds / 3600.0
    return CostEstimate(hours, cost_of(hours, cost), basis)


def cost_of(actor_hours: float, cost: Cost) -> float | None:
    """Return the price of actor hours in the recipe's currency; None if it states none."""
    hourly = cost.price_per_actor_hour
    return None if hourly is None else actor_hours * hourly
