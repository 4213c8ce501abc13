"""The way of an image through a cascade: cheaply first, then expensively where that pays.

The cheap refiner sees every image, in batches where it takes them, and predicts what the expensive
one would change. Above the threshold, and where the cheap one has no map that is to be kept, the
expensive one refines the image alone. Its failure leaves the cheap map, with a note among the
members that stopped.

Maps that only one of the two methods brings besides (normals, bounds) are left out: all labels of
an output have the same quantities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redepth.errors import ConfigError, RefinementFailed
from redepth.refiners.batches import RefineOutcome, refine_all
from redepth.refiners.cascade import Cascade, part_of, recorded_triage
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.refiners.triage import RoutingFacts
from redepth.types import ByteImage, Members, ModelCard


class CascadeRefiner:
    """Two refiners that are loaded once, and the threshold between them."""

    def __init__(
        self,
        settings: Cascade,
        cheap: Refiner,
        expensive: Refiner,
        threshold: float,
        triage_card: ModelCard,
    ) -> None:
        self._names = (settings.cheap.method, settings.expensive.method)
        self._cheap = cheap
        self._expensive = expensive
        self._threshold = threshold
        self._triage_card = triage_card

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The models of both, and the triage with its threshold."""
        return (*self._cheap.cards, *self._expensive.cards, self._triage_card)

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return the cheap refiner's prompt; the expensive one is asked for its own if needed."""
        return self._cheap.caption(rgb_hw3, own_caption)

    def refine(self, scene: RefinementInput) -> Members:
        """Refine one image, one way or the other.

        Returns:
            Members of the method that `refined_by` names, with the cheap one's `predicted_gain`.

        Raises:
            RefinementFailed: neither has a map for it.
            ConfigError: the cheap refiner predicts no gain.
        """
        (cheap,) = refine_all(self._cheap, [scene], 1)
        outcome = self._routed(scene, cheap)
        if isinstance(outcome, RefinementFailed):
            raise outcome
        return outcome

    def refine_batch(self, scenes: Sequence[RefinementInput]) -> list[RefineOutcome]:
        """Return what `refine` would of each image; see `BatchRefiner`.

        The cheap refiner takes them together, the expensive one one after the other, and of the
        copies that fill up a batch only once.
        """
        cheap = refine_all(self._cheap, scenes, len(scenes))
        found: dict[int, RefineOutcome] = {}
        for scene, outcome in zip(scenes, cheap, strict=True):
            if id(scene) not in found:
                found[id(scene)] = self._routed(scene, outcome)
        return [found[id(scene)] for scene in scenes]

    def _routed(self, scene: RefinementInput, cheap: RefineOutcome) -> RefineOutcome:
        if isinstance(cheap, Members) and not self._pays(cheap):
            return self._of_cheap(cheap)
        try:
            expensive = self._refine_expensively(scene)
        except RefinementFailed as error:
            return self._without_expensive(cheap, str(error))
        if expensive.refused is not None and isinstance(cheap, Members) and cheap.refused is None:
            return self._without_expensive(cheap, expensive.refused)
        return self._of_expensive(cheap, expensive)

    def _pays(self, cheap: Members) -> bool:
        """Whether the image is to go on; also where the cheap map is refused, or no one can tell.

        A predicted gain that is not a number is not below any threshold.
        """
        if cheap.refused is not None:
            return True
        if cheap.predicted_gain is None:
            raise ConfigError(
                f"refiner {self._names[0]} predicts no gain and cannot be a cascade's cheap one: "
                "its members need predicted_gain"
            )
        return not cheap.predicted_gain <= self._threshold

    def _refine_expensively(self, scene: RefinementInput) -> Members:
        caption = self._expensive.caption(scene.rgb_hw3, scene.own_caption)
        members = self._expensive.refine(replace(scene, caption=caption or ""))
        return replace(members, caption=caption)

    def _of_cheap(self, cheap: Members) -> Members:
        return replace(cheap, refined_by=self._names[0], extra={})

    def _without_expensive(self, cheap: RefineOutcome, why: str) -> RefineOutcome:
        """Keep the cheap map, with a note; without one the image has failed both ways."""
        name, expensive_name = self._names
        if isinstance(cheap, RefinementFailed):
            return RefinementFailed(f"{name}: {cheap}; {expensive_name}: {why}")
        note = f"{expensive_name}: {why}"
        return self._of_cheap(replace(cheap, stopped=(*cheap.stopped, note)))

    def _of_expensive(self, cheap: RefineOutcome, expensive: Members) -> Members:
        name, expensive_name = self._names
        failed = cheap.refused if isinstance(cheap, Members) else str(cheap)
        note = () if failed is None else (f"{name}: {failed}",)
        return replace(
            expensive,
            stopped=(*note, *expensive.stopped),
            predicted_gain=cheap.predicted_gain if isinstance(cheap, Members) else None,
            refined_by=expensive_name,
            extra={},
        )


def load_cascade(settings: Cascade, context: LoadContext) -> CascadeRefiner:
    """Load both refiners, and read the triage first: it takes no time.

    Raises:
        ConfigError: there is no triage, or weights that cannot be had.
    """
    recorded = recorded_triage(settings)
    threshold = recorded.triage.threshold(settings.budget)
    facts = RoutingFacts(
        expensive=settings.expensive.method,
        budget=settings.budget,
        threshold=threshold,
        triage=recorded.triage,
    )
    cheap, expensive = (
        part_of(inner).load(inner, context) for inner in (settings.cheap, settings.expensive)
    )
    card = replace(recorded.card, facts=facts.model_dump(mode="json"))
    return CascadeRefiner(settings, cheap, expensive, threshold, card)
