"""Keep the actors busy, and turn whatever happens to a call into one outcome an image.

One thread owns every actor's slot and every call; shards submit images and get futures. A call may
end like this:

- it returns a row: done;
- it raises ConfigError: the run ends;
- it raises TransientError: retried after a while, a few times; then the image is recorded as failed
  if others came through meanwhile, else it is the storage, and the shard's task gets the error;
- it raises MemoryShared: memory ran out beside other images, and it is retried alone;
- it raises anything else: the image is recorded as failed, the actor lives on;
- the process dies, or runs out of memory: Ray restarts it. The calls in flight there become
  suspects, and each is retried alone; an image that kills its actor alone is the culprit and is
  recorded as failed;
- it works for too long, without what it waited for others: the process is killed. If one call was
  overdue its image is recorded as failed; the others are retried alone, and so are several that
  were overdue at once, as the images of a batch are.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import ray
from ray.actor import ActorHandle
from ray.exceptions import (
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from redepth.cluster import metrics
from redepth.cluster.actor import (
    LoadLabeller,
    RemoteLabelActor,
    RemoteShardWriter,
    calls_in_flight,
)
from redepth.cluster.session import num_actors_that_fit
from redepth.config import Recipe, Storage
from redepth.costing.stages import num_decoders
from redepth.errors import ConfigError, MemoryShared, RunStopped, TransientError
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.locator import blank_row
from redepth.redaction import recorded
from redepth.store.manifest import ShardPlan
from redepth.store.shards import ShardCommit
from redepth.types import ImageRef, LabelRow, ModelCard, Outcome

logger = logging.getLogger(__name__)

TRANSIENT_DELAYS_S = (1.0, 5.0, 20.0)  # before the second, third and fourth try at one image
NUM_WRITERS = 2  # while one waits for the storage, another packs
POLL_S = 0.2
ANSWER_PATIENCE_S = 1.0  # for an actor to say how long its calls have worked
COMMIT_PATIENCE_S = 10.0  # for a commit on its way when the run is stopped
RESTART_PATIENCE_S = 300.0  # for Ray to notice a lost node, and for an actor to load its models
# Of one actor before the run begins, each after the four processes that Ray itself has tried.
DEATHS_LOADING = 2
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
class _Call:
    """One image on its way, over all its attempts.

    A suspect has an actor to itself: what happens then is its own doing.
    """

    image: ImageRef
    future: Future[LabelledImage]
    before: LabelRow | None = None
    number: int = 0
    began: float = 0.0
    attempts: int = 0
    crashes: int = 0
    is_suspect: bool = False
    delays: list[float] = field(default_factory=lambda: list(TRANSIENT_DELAYS_S))
    resolved_before: int = 0
    row: ray.ObjectRef | None = None
    arrays: ray.ObjectRef | None = None


@dataclass(slots=True, eq=False)
class _Slot:
    """An actor and the calls it was given, the oldest one first."""

    actor: ActorHandle
    calls: deque[_Call] = field(default_factory=deque)
    restarting: ray.ObjectRef | None = None
    restarting_since: float = 0.0
    deaths_loading: int = 0
    asked: ray.ObjectRef | None = None
    asked_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether another call may begin here; a suspect has its actor to itself."""
        return self.restarting is None and not any(call.is_suspect for call in self.calls)


class ActorPool:
    """Actors that label images: a context manager, used from any number of threads.

    Args:
        recipe: its labels half decides what the actors load, its run half how many there are.
        load: how an actor loads its models; None for `redepth.labelling.labeller.load_labeller`.
        allowed: what the actors may read; the rest of a list is rejected.

    Raises:
        ConfigError: on entering, when the models cannot be loaded or no actor can be placed. One
            actor that is ready is enough to begin.
    """

    def __init__(
        self, recipe: Recipe, load: LoadLabeller | None = None, allowed: Allowed = ANYTHING
    ) -> None:
        self._recipe = recipe
        self._load = load
        self._allowed = allowed
        self._actors = recipe.run.actors
        self._slots: list[_Slot] = []
        self._writers: list[ActorHandle] = []
        self._idle_writers: queue.SimpleQueue[ActorHandle] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._waiting: deque[_Call] = deque()
        self._suspects: deque[_Call] = deque()
        self._delayed: list[tuple[float, _Call]] = []
        self._num_resolved = 0
        self._num_started = 0
        self._calls_in_flight = calls_in_flight(self._actors, recipe.labels)
        self._fatal: BaseException | None = None
        self._closing = threading.Event()
        # In the run's own context: what is logged here belongs to it.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="actor-pool", daemon=True
        )
        self.cards: tuple[ModelCard, ...] = ()

    def __enter__(self) -> Self:
        number = num_actors_that_fit(self._actors)
        self._slots = [_Slot(self._new_actor()) for _ in range(number)]
        self._writers = [RemoteShardWriter.remote() for _ in range(NUM_WRITERS)]
        for writer in self._writers:
            self._idle_writers.put(writer)
        try:
            self.cards = self._load_models()
        except BaseException:
            self._kill_actors()
            raise
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._await_commits()
        self._kill_actors()

    @property
    def num_actors(self) -> int:
        return len(self._slots)

    @property
    def num_calls(self) -> int:
        """How many images the actors hold at once."""
        return len(self._slots) * self._calls_in_flight

    def submit(self, image: ImageRef, before: LabelRow | None = None) -> Future[LabelledImage]:
        """Queue an image; the future ends with its label, whatever its outcome.

        With `before`, its committed row, the label is kept if the photograph has the same bytes.
        The future raises ConfigError or TransientError where the run, not the image, is at fault,
        and RunStopped when the pool closes first.
        """
        future: Future[LabelledImage] = Future()
        self._inbox.put(_Call(image, future, before))
        if not self._thread.is_alive():
            self._fail_waiting()
        return future

    def commit(
        self, out: str, plan: ShardPlan, labelled: Sequence[LabelledImage], storage: Storage
    ) -> ShardCommit:
        """Have a writer commit a shard; wait for it. Arrays do not pass through here.

        Raises:
            RedepthError: what the store says (see `redepth.store.shards.write_shard`).
            TransientError: the arrays or the writer were lost; the shard can be done again.
            RunStopped: the pool was closed before.
        """
        rows = [image.row for image in labelled]
        arrays = [image.arrays for image in labelled]
        writer = self._idle_writers.get()
        try:
            if self._closing.is_set():
                raise self._end
            commit: ShardCommit = ray.get(writer.commit.remote(out, plan, rows, arrays, storage))
        except RayTaskError as error:
            raise _cause(error) from error
        except RayError as error:
            if self._closing.is_set():
                raise self._end from error
            raise TransientError(f"shard {plan.shard}: {_first_line(error)}") from error
        finally:
            self._idle_writers.put(writer)
        return commit

    def _await_commits(self) -> None:
        """Let commits on their way come through; those that come later see that the pool closes.

        Ray must not be asked for anything once it is shut down: it would start another instance.
        """
        deadline = time.monotonic() + COMMIT_PATIENCE_S
        idle: list[ActorHandle] = []
        with suppress(queue.Empty):
            while len(idle) < len(self._writers):
                idle.append(self._idle_writers.get(timeout=max(0.0, deadline - time.monotonic())))
        for writer in idle:
            self._idle_writers.put(writer)

    def _new_actor(self) -> ActorHandle:
        actors = self._actors
        placed = RemoteLabelActor.options(
            num_cpus=actors.num_cpus,
            num_gpus=actors.num_gpus,
            max_concurrency=self._calls_in_flight,
        )
        return placed.remote(self._recipe.labels, self._allowed, self._load, num_decoders(actors))

    def _load_models(self) -> tuple[ModelCard, ...]:
        """Wait until an actor has its models; the others join when they have theirs.

        One that dies meanwhile is asked again: on spot machines that is no reason to end the run.
        """
        loading = {self._load_again(slot): slot for slot in self._slots}
        deadline = time.monotonic() + self._actors.start_timeout_s
        while True:
            patience = max(0.0, deadline - time.monotonic())
            ended, _ = ray.wait(list(loading), num_returns=1, timeout=patience)
            if not ended:
                raise ConfigError(self._no_room())
            slot = loading.pop(ended[0])
            try:
                cards: tuple[ModelCard, ...] = tuple(ray.get(ended[0]))
            except DEATHS as error:
                slot.deaths_loading += 1
                if slot.deaths_loading > DEATHS_LOADING:
                    raise ConfigError(DIED_LOADING.format(_first_line(error))) from None
                loading[self._load_again(slot)] = slot
            except RayTaskError as error:
                raise _cause(error) from None
            else:
                slot.restarting = None
                return cards

    def _load_again(self, slot: _Slot) -> ray.ObjectRef:
        """Block a slot until its actor has loaded its models."""
        slot.restarting_since = time.monotonic()
        slot.restarting = slot.actor.ready.remote()
        return slot.restarting

    def _no_room(self) -> str:
        asked, there = self._actors, ray.cluster_resources()
        return (
            f"none of {len(self._slots)} actors of {asked.num_cpus:g} CPUs and "
            f"{asked.num_gpus:g} GPUs was ready within {asked.start_timeout_s:g} s; Ray has "
            f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs. "
            "Ask for fewer (--actors), for less "
            "(run.actors.num_cpus, num_gpus), or allow more time (run.actors.start_timeout_s)"
        )

    def _kill_actors(self) -> None:
        for actor in (*self._writers, *(slot.actor for slot in self._slots)):
            ray.kill(actor)

    # What follows runs in the pool's own thread.

    def _run(self) -> None:
        while not self._closing.is_set():
            self._receive()
            self._requeue_delayed()
            self._dispatch()
            self._collect()
            self._end_overdue()
        self._fail_waiting()

    def _receive(self) -> None:
        """Move what was submitted into the queue; sleep here when there is nothing to do."""
        idle = not any(slot.calls or slot.restarting for slot in self._slots)
        try:
            self._waiting.append(
                self._inbox.get(timeout=POLL_S if idle and not self._queued else 0)
            )
        except queue.Empty:
            return
        while not self._inbox.empty():
            self._waiting.append(self._inbox.get())

    @property
    def _queued(self) -> bool:
        return bool(self._waiting or self._suspects)

    def _requeue_delayed(self) -> None:
        """Queue again what has waited long enough after a transient error."""
        now = time.monotonic()
        self._waiting.extend(call for due, call in self._delayed if due <= now)
        self._delayed = [(due, call) for due, call in self._delayed if due > now]

    def _dispatch(self) -> None:
        for slot in self._slots:
            if self._suspects and not slot.calls and slot.restarting is None:
                self._start(slot, self._suspects.popleft())
        # While there are suspects one actor runs empty, or they would wait behind everybody.
        open_slots = self._slots[1:] if self._suspects else self._slots
        # First come those that have nothing to do, then a second call beside a first.
        for depth in range(self._calls_in_flight):
            for slot in open_slots:
                if self._waiting and len(slot.calls) == depth and slot.is_open:
                    self._start(slot, self._waiting.popleft())

    def _start(self, slot: _Slot, call: _Call) -> None:
        if call.attempts == 0:
            call.resolved_before = self._num_resolved
        call.attempts += 1
        self._num_started += 1
        call.number, call.began = self._num_started, time.monotonic()
        call.row, call.arrays = slot.actor.label.remote(call.number, call.image, call.before)
        slot.calls.append(call)

    def _collect(self) -> None:
        """Wait a little for a call or a restart to end, and deal with each that has."""
        refs = {call.row: slot for slot in self._slots for call in slot.calls}
        refs |= {slot.restarting: slot for slot in self._slots if slot.restarting is not None}
        if not refs:
            return
        ended, _ = ray.wait(list(refs), num_returns=1, timeout=POLL_S)
        for ref in ended:
            slot = refs[ref]
            if ref == slot.restarting:
                self._finish_restart(slot)
            else:
                self._finish(slot, next(call for call in slot.calls if call.row == ref))

    def _finish(self, slot: _Slot, call: _Call) -> None:
        try:
            row = ray.get(call.row)
        except DEATHS as error:
            self._handle_actor_death(slot, error)
            return
        except RayTaskError as error:
            slot.calls.remove(call)
            self._resolve_error(call, _cause(error))
            return
        slot.calls.remove(call)
        # What is kept was made with the attempts of its own run.
        self._resolve(call, row if row.is_stored else replace(row, attempts=call.attempts))

    def _resolve(self, call: _Call, row: LabelRow) -> None:
        self._num_resolved += 1
        arrays = call.arrays if row.outcome.has_label and not row.is_stored else None
        call.future.set_result(LabelledImage(row, arrays))

    def _resolve_error(self, call: _Call, error: BaseException) -> None:
        if isinstance(error, TransientError):
            self._retry_later(call, error)
        elif isinstance(error, ConfigError):
            call.future.set_exception(error)
        elif isinstance(error, MemoryShared):
            self._retry_alone(call)
        else:
            self._fail(call, f"{type(error).__name__}: {error}")

    def _retry_later(self, call: _Call, error: TransientError) -> None:
        if call.delays:
            self._delayed.append((time.monotonic() + call.delays.pop(0), call))
        elif self._num_resolved > call.resolved_before:
            self._fail(call, f"{error} (tried {call.attempts} times while others came through)")
        else:
            call.future.set_exception(error)

    def _fail(self, call: _Call, said: str) -> None:
        reason = recorded(said)
        logger.warning("image %s failed: %s", call.image.id, reason)
        row = replace(blank_row(call.image, Outcome.FAILED), reason=reason, attempts=call.attempts)
        metrics.count(row)  # what an actor returns, it counts itself
        self._resolve(call, row)

    def _handle_actor_death(self, slot: _Slot, error: BaseException) -> None:
        """Suspect every call of an actor whose process is gone."""
        for call in self._take_calls(slot):
            self._suspect(call, error)

    def _take_calls(self, slot: _Slot) -> list[_Call]:
        """Empty a slot, the oldest call first, and wait for its actor to restart."""
        calls = list(slot.calls)
        slot.calls.clear()
        slot.asked = None
        self._load_again(slot)
        return calls

    def _suspect(self, call: _Call, error: BaseException) -> None:
        call.crashes += 1
        if call.crashes >= self._actors.max_crashes:
            what = "ran out of memory" if _is_out_of_memory(error) else "its process died"
            self._fail(call, f"{what}, {call.crashes} times in a row: {_first_line(error)}")
        else:
            self._retry_alone(call)

    def _retry_alone(self, call: _Call) -> None:
        call.is_suspect = True
        self._suspects.append(call)

    def _finish_restart(self, slot: _Slot) -> None:
        try:
            ray.get(slot.restarting)
        except DEATHS as error:
            self._poll_restart(slot, error)
            return
        except RayTaskError as error:
            self._abort(_cause(error))
        slot.restarting = None

    def _poll_restart(self, slot: _Slot, error: BaseException) -> None:
        """Ask again: after the loss of a node, Ray says "unavailable" until it has noticed."""
        if time.monotonic() - slot.restarting_since > RESTART_PATIENCE_S:
            self._abort(TransientError(DIED_LOADING.format(_first_line(error))))
            return
        time.sleep(POLL_S)
        slot.restarting = slot.actor.ready.remote()

    def _end_overdue(self) -> None:
        """End calls that have worked for too long; ask where one has been in flight that long."""
        now, limit = time.monotonic(), self._actors.image_timeout_s
        for slot in self._slots:
            old = [call for call in slot.calls if now - call.began > limit]
            if slot.asked is not None:
                self._hear(slot, old)
            elif old:
                slot.asked, slot.asked_at = slot.actor.worked.remote(), now

    def _hear(self, slot: _Slot, old: list[_Call]) -> None:
        """Take an actor's answer; one that gives none in time is stuck with any of its calls."""
        assert slot.asked is not None, "it was asked"
        answered, _ = ray.wait([slot.asked], timeout=0)
        if not answered:
            if time.monotonic() - slot.asked_at > ANSWER_PATIENCE_S:
                self._end_calls(slot, list(slot.calls) if old else [])
            return
        asked, slot.asked = slot.asked, None
        with suppress(RayError):  # a death is seen by the calls themselves
            worked: dict[int, float] = ray.get(asked)
            limit = self._actors.image_timeout_s
            self._end_calls(slot, [call for call in old if worked.get(call.number, 0.0) > limit])

    def _end_calls(self, slot: _Slot, overdue: list[_Call]) -> None:
        """Kill what takes too long, and record it at once: Ray may need seconds to say it died."""
        if not overdue:
            return
        ray.kill(slot.actor, no_restart=False)
        for call in self._take_calls(slot):
            if overdue == [call]:
                limit = self._actors.image_timeout_s
                self._fail(call, f"took longer than {limit:g} s (run.actors.image_timeout_s)")
            else:
                self._retry_alone(call)

    def _abort(self, error: BaseException) -> None:
        """End the run: an actor that was there cannot be had again."""
        self._fatal = error
        self._closing.set()

    @property
    def _end(self) -> BaseException:
        """The error that calls still waiting end with."""
        return self._fatal or RunStopped("the run was stopped")

    def _fail_waiting(self) -> None:
        """End every call that still waits with the reason why nothing more will come."""
        self._receive()
        waiting = [*self._waiting, *self._suspects, *(call for _, call in self._delayed)]
        waiting += [call for slot in self._slots for call in slot.calls]
        for call in waiting:
            if not call.future.done():
                call.future.set_exception(self._end)


def _cause(error: RayTaskError) -> BaseException:
    """Return the exception that the actor's code raised."""
    cause: BaseException | None = error.cause
    return error if cause is None else cause


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, OutOfMemoryError) or "OOM" in str(error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
