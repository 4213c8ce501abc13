"""How fast a run was: how busy the models were, what waited for what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from redepth.costing.stages import Count, Seconds, StageSeconds

BUSY_SHARE = 0.9  # from here on the models are the limit, and more cores would not help
IDLE_SHARE = 0.5  # of the decoders: below, they are not what the models wait for
MIN_IMAGES = 20  # below, starting and ending are most of a run


@dataclass(frozen=True, slots=True)
class RunSpeed:
    """What a run measured of itself.

    Attributes:
        num_actors: of the run.
        decoders: photographs that are decoded at once for each of them.
        seconds: from when they were ready to when the last image ended.
        stages: seconds of the images that it labelled, summed.
        device: where the models ran, as rows say it; None if they differ or do not say it.
        seconds_at_limit: what the device would have needed for the labels' FLOPs at its limit
            (`redepth.costing.work`); None where FLOPs or limit are not known.
    """

    num_actors: Count
    decoders: Annotated[float, Field(gt=0, le=1e6)]
    seconds: Seconds
    stages: StageSeconds = field(default_factory=StageSeconds)
    device: Annotated[str, Field(max_length=200)] | None = None
    seconds_at_limit: Seconds | None = None

    @property
    def busy_share(self) -> float | None:
        """Share of the actors' time in which their models worked; None where rows do not say it."""
        available = self.num_actors * self.seconds
        if not self.stages.num_staged or not available:
            return None
        return min(1.0, self.stages.model / available)

    @property
    def decoding_share(self) -> float:
        """Share of the decoders' time in which they read, decoded or finished images."""
        available = self.num_actors * self.decoders * self.seconds
        return min(1.0, (self.stages.own - self.stages.model) / available) if available else 0.0

    @property
    def limit_share(self) -> float | None:
        """Share of the device's FLOP limit that the models reached while they worked."""
        if self.seconds_at_limit is None or not self.stages.model:
            return None
        return self.seconds_at_limit / self.stages.model

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield what is known, as names and words."""
        busy, limit = self.busy_share, self.limit_share
        if busy is None:
            return
        actors = f"{self.num_actors} actor{'' if self.num_actors == 1 else 's'}"
        yield "models busy", f"{busy:.0%} of the time of {actors}; {self._waiting(busy)}"
        stages, number = self.stages, self.stages.num_staged
        each = [seconds / number for seconds in (stages.model, stages.read, stages.waited)]
        yield (
            "an image",
            (
                f"{each[0]:.3g} s in the models, {each[1]:.3g} s to read and decode; decoded, it "
                f"waited {each[2]:.3g} s for the models"
            ),
        )
        if limit is not None:
            promised = f"what the data sheet promises ({self.device})"
            yield "FLOP limit", f"the models ran at {100 * limit:.2g}% of {promised}"
        if self.advice:
            yield "to be faster", self.advice

    def _waiting(self, busy: float) -> str:
        return f"they waited for photographs {1 - busy:.0%} of it"

    @property
    def advice(self) -> str:
        """Say what would make such a run faster; nothing of one too short to tell."""
        busy = self.busy_share
        if busy is None or self.stages.num_staged < MIN_IMAGES:
            return ""
        if busy < BUSY_SHARE and self.decoding_share < IDLE_SHARE:
            return (
                "neither the models nor the cores were busy: the run waited for its storage to "
                "take labels, or was short"
            )
        if busy < BUSY_SHARE:
            return (
                f"the models waited for photographs {1 - busy:.0%} of the time: give actors more "
                "cores (run.actors.num_cpus), or decoders where other nodes have some "
                "(run.actors.num_decoders)"
            )
        return (
            "the models are the limit: more GPUs and actors (run.actors), a larger batch "
            "(labels.compute.batch_size), or a cheaper recipe"
        )
