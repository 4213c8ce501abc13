"""What a cascade would cost and bring with some budgets, before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass

from redepth.config import Cost, LabelSettings, Recipe
from redepth.costing.estimate import Basis, CostEstimate, cost_of, known_speed, measured_speed
from redepth.refiners import refiners
from redepth.refiners.part import RefinerSettings, Routing
from redepth.refiners.triage import SHARES


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget.

    Attributes:
        share: of the images that go to the expensive method too, of a collection like the one that
            was distilled from.
        expected_gain: what that brings of what refining all of them expensively would bring.
        seconds: an image on average, of one actor; None where they are not known.
        actor_hours, price: for all images; None likewise, or without a price.
        is_own: whether it is the recipe's.
    """

    share: float
    expected_gain: float
    seconds: float | None
    actor_hours: float | None
    price: float | None
    is_own: bool


@dataclass(frozen=True, slots=True)
class BudgetTable:
    """Cost against expected gain.

    Attributes:
        lines: by rising share, the recipe's own among them.
        cheap, expensive: names of the two methods.
        cheap_basis, expensive_basis: seconds an image of each, and where they come from; None where
            nothing is known.
        num_held_out: images that the gains were measured on.
    """

    lines: tuple[BudgetLine, ...]
    cheap: str
    expensive: str
    cheap_basis: Basis | None
    expensive_basis: Basis | None
    num_held_out: int

    @property
    def estimate(self) -> CostEstimate | None:
        """The cost of the recipe's own budget; None where the seconds are not known."""
        (own,) = (line for line in self.lines if line.is_own)
        if own.seconds is None or own.actor_hours is None:
            return None
        basis = f"{own.seconds:.3g} s an image, by the table of budgets"
        return CostEstimate(own.actor_hours, own.price, basis)


def budget_table(num_images: int, recipe: Recipe) -> BudgetTable | None:
    """Estimate what images take with some budgets; None where the refiner sends them one way.

    The seconds of a budget are those of the cheap method alone, and for the share those of the
    expensive one alone: each with the coarse model, which is counted twice for the share.

    Raises:
        ConfigError: the cheap refiner's triage cannot be read.
    """
    read = refiners[recipe.labels.refiner.method].routing
    if read is None:
        return None
    routing, cost = read(recipe.labels.refiner), recipe.run.cost
    cheap = known_speed(_alone(recipe.labels, routing.cheap), cost.device)
    expensive = _expensive_speed(recipe.labels, routing, cost.device)
    shares = sorted({*SHARES, routing.budget})
    return BudgetTable(
        tuple(_line(share, routing, cheap, expensive, num_images, cost) for share in shares),
        routing.cheap.method,
        routing.expensive.method,
        cheap,
        expensive,
        routing.triage.num_images,
    )


def _alone(labels: LabelSettings, refiner: RefinerSettings) -> LabelSettings:
    return labels.model_copy(update={"refiner": refiner})


def _expensive_speed(labels: LabelSettings, routing: Routing, device: str | None) -> Basis | None:
    """Return what was measured with these settings, else with the teacher's recipe, else FLOPs."""
    alone = _alone(labels, routing.expensive)
    return (
        measured_speed(alone.digest(), device)
        or measured_speed(routing.triage.teacher.digest, device)
        or known_speed(alone, device)
    )


def _line(
    share: float,
    routing: Routing,
    cheap: Basis | None,
    expensive: Basis | None,
    num_images: int,
    cost: Cost,
) -> BudgetLine:
    gain, is_own = routing.triage.expected_gain(share), share == routing.budget
    if cheap is None or expensive is None:
        return BudgetLine(share, gain, None, None, None, is_own)
    seconds = cheap.seconds + share * expensive.seconds
    hours = num_images * seconds / 3600.0
    return BudgetLine(share, gain, seconds, hours, cost_of(hours, cost), is_own)
