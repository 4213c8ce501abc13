"""Where an actor's time goes: the seconds of labels by stage, and what an image costs an actor.

An actor works on several images at once: some are read and decoded, one image or one batch is in
the models, some are finished. So an actor's hours are not the sum of the column `seconds`. What an
image costs an actor is the mean over the labels of the stage that takes longest:

    max(model_seconds, (seconds - model_seconds) / decoders)

With decoders of their own (`run.actors.num_decoders`) an actor's share of them counts, as if they
finished images too.

Rows of before there were stages say `seconds` alone: one image was worked on at a time, and those
seconds are what it cost.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Annotated

from pydantic import Field

from redepth.config import Actors
from redepth.types import LabelRow


def decoding_threads(actors: Actors) -> int:
    """Return how many photographs an actor reads and decodes at once by itself: one a core."""
    return max(1, math.ceil(actors.num_cpus))


def decoders_of_actor(actors: Actors, num_actors: int) -> float:
    """Return how many photographs are decoded at once for each of so many actors.

    One a core of its own; where there are decoders of their own, its share of these.
    """
    if actors.num_decoders:
        return actors.num_decoders / max(1, num_actors)
    return decoding_threads(actors)


# Bounded where they are read back: an output may come from a stranger.
Count = Annotated[int, Field(ge=0, le=10**15)]
Seconds = Annotated[float, Field(ge=-1.0, le=1e15, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class StageSeconds:
    """Seconds of images, summed.

    Attributes:
        num_staged: images whose rows say the seconds of their stages; a copy of a label, and what
            is no photograph, were in no model.
        own, read, waited, model: sums of `seconds`, `read_seconds`, `waited_seconds` and
            `model_seconds` over these (docs/catalogue.md).
        num_whole: images whose rows say `seconds` alone.
        whole: their sum.
    """

    num_staged: Count = 0
    own: Seconds = 0.0
    read: Seconds = 0.0
    waited: Seconds = 0.0
    model: Seconds = 0.0
    num_whole: Count = 0
    whole: Seconds = 0.0

    def __add__(self, other: StageSeconds) -> StageSeconds:
        return StageSeconds(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: StageSeconds) -> StageSeconds:
        return StageSeconds(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def num_timed(self) -> int:
        """Images that say any seconds."""
        return self.num_staged + self.num_whole

    def of_actor(self, decoders: float) -> float | None:
        """Return the seconds that an image costs an actor, on average; None without a label.

        Args:
            decoders: photographs that are decoded at once for an actor (`decoders_of_actor`).
        """
        if not self.num_timed:
            return None
        slowest = max(self.model, (self.own - self.model) / decoders)
        return (slowest + self.whole) / self.num_timed


def stages_of_row(row: LabelRow) -> StageSeconds:
    """Return what one row says of its seconds; a label that was kept took none."""
    if row.seconds is None or row.is_stored:
        return StageSeconds()
    if row.read_seconds is None and row.model_seconds is None:
        return StageSeconds(num_whole=1, whole=row.seconds)
    read, waited = row.read_seconds or 0.0, row.waited_seconds or 0.0
    return StageSeconds(1, row.seconds, read, waited, row.model_seconds or 0.0)
