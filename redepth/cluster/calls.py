"""What the pool knows of an image on its way, and of a process that works on some."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

import ray
from ray.actor import ActorHandle
from ray.exceptions import (
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from redepth.errors import TransientError
from redepth.types import ImageRef, LabelRow

TRANSIENT_DELAYS_S = (1.0, 5.0, 20.0)  # before the second, third and fourth try at one image
POLL_S = 0.2
RESTART_PATIENCE_S = 300.0  # for Ray to notice a lost node, and for an actor to load its models
DIED_LOADING = (
    "an actor's process died again and again while it loaded the models, perhaps for want of "
    "memory: {}. Take fewer actors (--actors) or a smaller model"
)
DEATHS = (RayActorError, OutOfMemoryError, WorkerCrashedError)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """A row, and a reference to the arrays where the outcome has any that are not stored yet."""

    row: LabelRow
    arrays: ray.ObjectRef | None


@dataclass(slots=True, eq=False)
class Call:
    """One image on its way, over all its attempts.

    A suspect has an actor to itself: what happens then is its own doing. `prepared` refers to the
    picture that a decoder made of it, `worked_s` are the seconds that this took.
    """

    image: ImageRef
    future: Future[LabelledImage]
    before: LabelRow | None = None
    number: int = 0
    began: float = 0.0
    attempts: int = 0
    is_counted: bool = False
    crashes: int = 0
    decoder_crashes: int = 0
    is_suspect: bool = False
    delays: list[float] = field(default_factory=lambda: list(TRANSIENT_DELAYS_S))
    resolved_before: int = 0
    worked: ray.ObjectRef | None = None
    worked_s: float = 0.0
    prepared: ray.ObjectRef | None = None
    row: ray.ObjectRef | None = None
    arrays: ray.ObjectRef | None = None

    def drop_picture(self) -> None:
        """Have the image decoded again, which is another attempt."""
        self.prepared, self.worked_s = None, 0.0
        self.is_counted = False


@dataclass(slots=True, eq=False)
class Slot:
    """An actor and the calls it was given, the oldest one first."""

    actor: ActorHandle
    calls: deque[Call] = field(default_factory=deque)
    restarting: ray.ObjectRef | None = None
    restarting_since: float = 0.0
    deaths_loading: int = 0
    asked: ray.ObjectRef | None = None
    asked_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether another call may begin here; a suspect has its actor to itself."""
        return self.restarting is None and not any(call.is_suspect for call in self.calls)

    @property
    def is_idle(self) -> bool:
        """Whether the actor is there and has nothing to do."""
        return self.restarting is None and not self.calls

    def load_again(self) -> ray.ObjectRef:
        """Block the slot until its actor is ready."""
        self.restarting_since = time.monotonic()
        self.restarting = self.actor.ready.remote()
        return self.restarting

    def take_calls(self) -> list[Call]:
        """Empty the slot, the oldest call first, and wait for its actor to restart."""
        calls = list(self.calls)
        self.calls.clear()
        self.asked = None
        self.load_again()
        return calls

    def finish_restart(self) -> None:
        """Open the slot if its actor is ready, or ask again.

        After the loss of a node, Ray says "unavailable" until it has noticed.

        Raises:
            TransientError: the process dies again and again.
            Exception: what the actor raised when it loaded.
        """
        try:
            ray.get(self.restarting)
        except DEATHS as error:
            if time.monotonic() - self.restarting_since > RESTART_PATIENCE_S:
                raise TransientError(DIED_LOADING.format(first_line(error))) from error
            time.sleep(POLL_S)
            self.restarting = self.actor.ready.remote()
        except RayTaskError as error:
            raise cause_of(error) from error
        else:
            self.restarting = None


def cause_of(error: RayTaskError) -> BaseException:
    """Return the exception that the actor's code raised."""
    cause: BaseException | None = error.cause
    return error if cause is None else cause


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Ray ended a process because the machine's memory ran out."""
    return isinstance(error, OutOfMemoryError) or "OOM" in str(error)


def first_line(error: BaseException) -> str:
    """Return what an error says, without what Ray adds below."""
    return str(error).strip().split("\n", 1)[0]
