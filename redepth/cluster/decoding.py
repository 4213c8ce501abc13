"""Decoders of their own: photographs are read and decoded where cores are, not where GPUs are.

A decoder (`redepth.cluster.actor.PhotographDecoder`) takes one core anywhere in the cluster and
works on one photograph at a time; another one waits there, so that it need not ask for it. So
whatever happens to a decoder is of the oldest photograph that it has, and those that wait there are
not touched: a death counts against it, and it is decoded once more with a decoder to itself; one
that takes too long is ended. (The one before it may be blamed, where its answer was lost with the
process: alone, it comes through, and the culprit is found at its next turn.) What it prepared goes
to an actor through Ray's object store, and is kept until the image has its outcome, so that an
image that is tried again is not decoded again.

Decoders are given nothing while as many pictures wait for an actor as there are decoders: that
bounds what is decoded and not yet labelled.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import ray

from redepth.cluster.actor import RemotePhotographDecoder
from redepth.cluster.calls import DEATHS, Call, Slot, first_line
from redepth.errors import ConfigError
from redepth.labelling.preparing import Preparer

DEPTH = 2  # photographs that a decoder has: one that it works on, one that waits


class Decoders:
    """The decoders of a run, and the photographs that wait for one.

    Args:
        number: of decoders; 0 where actors decode by themselves.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self.slots: list[Slot] = []
        self.waiting: deque[Call] = deque()

    def __bool__(self) -> bool:
        return self._number > 0

    @property
    def num_calls(self) -> int:
        """How many images are in decoders, or decoded and not yet with an actor, at most."""
        return (DEPTH + 1) * self._number

    def start(self, preparer: Preparer, patience_s: float) -> None:
        """Start all and wait until one is there; the others join when they are.

        Raises:
            ConfigError: none was there in time.
        """
        self.slots = [Slot(RemotePhotographDecoder.remote(preparer)) for _ in range(self._number)]
        loading = [slot.load_again() for slot in self.slots]
        if not loading:
            return
        ready, _ = ray.wait(loading, num_returns=1, timeout=patience_s)
        if not ready:
            raise ConfigError(self._no_room(patience_s))
        try:
            ray.get(ready)
        except DEATHS as error:
            raise ConfigError(f"a decoder's process did not start: {first_line(error)}") from None

    def assign(self, num_prepared: int) -> Iterator[tuple[Slot, Call]]:
        """Yield photographs that wait, each with the decoder that is to have it.

        Args:
            num_prepared: of the pictures that wait for an actor.
        """
        for depth in range(DEPTH if num_prepared < self._number else 0):
            for slot in self.slots:
                if self.waiting and len(slot.calls) == depth and _takes(slot, self.waiting[0]):
                    yield slot, self.waiting.popleft()

    def decode(self, slot: Slot, call: Call) -> None:
        """Give a photograph to a decoder."""
        call.worked, call.prepared = slot.actor.prepare.remote(call.image, call.before)
        slot.calls.append(call)

    def at_work(self) -> Iterator[tuple[Slot, Call]]:
        """Yield what is decoded now: in each decoder the oldest."""
        return ((slot, slot.calls[0]) for slot in self.slots if slot.calls)

    def take(self, slot: Slot) -> Call:
        """Take what a decoder has ended with; it goes on with the next."""
        call = slot.calls.popleft()
        for following in slot.calls:
            following.began = time.monotonic()
        return call

    def restart(self, slot: Slot) -> Call:
        """Return what a decoder was at when it died; whatever waited there waits here again."""
        call, *others = slot.take_calls()
        self.waiting.extendleft(reversed(others))
        call.drop_picture()
        return call

    def end_overdue(self, limit_s: float) -> list[Call]:
        """End the processes of photographs that take too long; return these.

        What a decoder is at waits for nobody: its time is its own.
        """
        now = time.monotonic()
        overdue = [slot for slot, call in self.at_work() if now - call.began > limit_s]
        for slot in overdue:
            ray.kill(slot.actor, no_restart=False)
        return [self.restart(slot) for slot in overdue]

    def _no_room(self, patience_s: float) -> str:
        there = ray.cluster_resources().get("CPU", 0.0)
        return (
            f"none of {self._number} decoders of one CPU was ready within {patience_s:g} s, beside "
            f"the actors; Ray has {there:g} CPUs. Ask for fewer (run.actors.num_decoders), for "
            "less in actors (--actors, run.actors.num_cpus), or allow more time "
            "(run.actors.start_timeout_s)"
        )


def _takes(slot: Slot, call: Call) -> bool:
    """Whether a decoder may have a photograph; one that it died of before is alone there."""
    together = (*slot.calls, call)
    is_safe = len(together) == 1 or not any(one.decoder_crashes for one in together)
    return slot.restarting is None and is_safe
