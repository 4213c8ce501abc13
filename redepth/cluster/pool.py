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

Where there are decoders (`redepth.cluster.decoding`), an image comes to an actor decoded. A decoder
works on one image at a time, so what ends a call there is that image's own doing:

- it raises: as above;
- it dies: the image is decoded once more, alone; a second death is recorded as its failure;
- it works for too long: the process is killed, the image recorded as failed; its seconds there
  count in the actor too;
- what it prepared is lost with its node: as after a TransientError.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

import ray
from ray.actor import ActorHandle
from ray.exceptions import ObjectLostError, RayError, RayTaskError

from redepth.cluster import metrics
from redepth.cluster.actor import (
    LoadLabeller,
    RemoteLabelActor,
    RemoteShardWriter,
    calls_in_flight,
)
from redepth.cluster.calls import (
    DEATHS,
    DIED_LOADING,
    POLL_S,
    Call,
    LabelledImage,
    Slot,
    cause_of,
    first_line,
    is_out_of_memory,
)
from redepth.cluster.decoding import Decoders
from redepth.cluster.session import num_actors_that_fit
from redepth.config import Recipe, Storage
from redepth.costing.stages import decoding_threads
from redepth.errors import ConfigError, MemoryShared, RunStopped, TransientError
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.locator import blank_row
from redepth.labelling.preparing import Preparer
from redepth.redaction import recorded
from redepth.store.manifest import ShardPlan
from redepth.store.shards import ShardCommit
from redepth.types import ImageRef, LabelRow, ModelCard, Outcome

logger = logging.getLogger(__name__)

NUM_WRITERS = 2  # while one waits for the storage, another packs
ANSWER_PATIENCE_S = 1.0  # for an actor to say how long its calls have worked
COMMIT_PATIENCE_S = 10.0  # for a commit on its way when the run is stopped
# Of one actor before the run begins, each after the four processes that Ray itself has tried.
DEATHS_LOADING = 2
TOO_LONG = "took longer than {:g} s (run.actors.image_timeout_s)"


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
        self._slots: list[Slot] = []
        self._writers: list[ActorHandle] = []
        self._idle_writers: queue.SimpleQueue[ActorHandle] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._waiting: deque[Call] = deque()
        self._decoders = Decoders(self._actors.num_decoders)
        self._suspects: deque[Call] = deque()
        self._delayed: list[tuple[float, Call]] = []
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
        self._slots = [Slot(self._new_actor()) for _ in range(number)]
        self._writers = [RemoteShardWriter.remote() for _ in range(NUM_WRITERS)]
        for writer in self._writers:
            self._idle_writers.put(writer)
        try:
            self.cards = self._load_models()
            if self._decoders:
                self._decoders.start(self._preparer(), self._actors.start_timeout_s)
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
        """How many images the actors and decoders hold at once."""
        return len(self._slots) * self._calls_in_flight + self._decoders.num_calls

    def submit(self, image: ImageRef, before: LabelRow | None = None) -> Future[LabelledImage]:
        """Queue an image; the future ends with its label, whatever its outcome.

        With `before`, its committed row, the label is kept if the photograph has the same bytes.
        The future raises ConfigError or TransientError where the run, not the image, is at fault,
        and RunStopped when the pool closes first.
        """
        future: Future[LabelledImage] = Future()
        self._inbox.put(Call(image, future, before))
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
            raise cause_of(error) from error
        except RayError as error:
            if self._closing.is_set():
                raise self._end from error
            raise TransientError(f"shard {plan.shard}: {first_line(error)}") from error
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
        return placed.remote(
            self._recipe.labels, self._allowed, self._load, decoding_threads(actors)
        )

    def _load_models(self) -> tuple[ModelCard, ...]:
        """Wait until an actor has its models; the others join when they have theirs.

        One that dies meanwhile is asked again: on spot machines that is no reason to end the run.
        """
        loading = {slot.load_again(): slot for slot in self._slots}
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
                    raise ConfigError(DIED_LOADING.format(first_line(error))) from None
                loading[slot.load_again()] = slot
            except RayTaskError as error:
                raise cause_of(error) from None
            else:
                slot.restarting = None
                return cards

    def _preparer(self) -> Preparer:
        """Ask an actor that is ready what decoders prepare photographs with.

        Raises:
            ConfigError: it cannot be had without the models.
        """
        slot = next(slot for slot in self._slots if slot.restarting is None)
        try:
            preparer: Preparer = ray.get(slot.actor.preparer.remote())
        except DEATHS as error:
            raise ConfigError(DIED_LOADING.format(first_line(error))) from None
        except RayTaskError as error:
            raise cause_of(error) from None
        return preparer

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
        slots = (*self._slots, *self._decoders.slots)
        for actor in (*self._writers, *(slot.actor for slot in slots)):
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
        slots = (*self._slots, *self._decoders.slots)
        idle = not any(slot.calls or slot.restarting for slot in slots)
        try:
            self._queue(self._inbox.get(timeout=POLL_S if idle and not self._queued else 0))
        except queue.Empty:
            return
        while not self._inbox.empty():
            self._queue(self._inbox.get())

    @property
    def _queued(self) -> bool:
        return bool(self._waiting or self._suspects or self._decoders.waiting)

    def _queue(self, call: Call) -> None:
        """Let a call wait for an actor, or for a decoder first."""
        needs_decoder = self._decoders and call.prepared is None
        (self._decoders.waiting if needs_decoder else self._waiting).append(call)

    def _requeue_delayed(self) -> None:
        """Queue again what has waited long enough after a transient error."""
        now = time.monotonic()
        due, self._delayed = (
            [one for one in self._delayed if one[0] <= now],
            [one for one in self._delayed if one[0] > now],
        )
        for _, call in due:
            self._queue(call)

    def _dispatch(self) -> None:
        for slot, call in self._decoders.assign(len(self._waiting)):
            self._decode(slot, call)
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

    def _decode(self, slot: Slot, call: Call) -> None:
        self._count(call)
        call.is_counted = True
        self._decoders.decode(slot, call)

    def _start(self, slot: Slot, call: Call) -> None:
        self._count(call)
        call.is_counted = False  # whatever begins next with this image is another attempt
        actor, number = slot.actor, call.number
        if call.prepared is None:
            call.row, call.arrays = actor.label.remote(number, call.image, call.before)
        else:
            call.row, call.arrays = actor.label_prepared.remote(
                number, call.prepared, call.worked_s
            )
        slot.calls.append(call)

    def _count(self, call: Call) -> None:
        """Note that work on a call begins: another attempt, unless its decoding was counted."""
        if call.attempts == 0:
            call.resolved_before = self._num_resolved
        if not call.is_counted:
            call.attempts += 1
        self._num_started += 1
        call.number = self._num_started
        call.began = time.monotonic() - call.worked_s

    def _collect(self) -> None:
        """Wait a little for a call or a restart to end, and deal with each that has."""
        pending = self._pending()
        if not pending:
            return
        ended, _ = ray.wait(list(pending), num_returns=1, timeout=POLL_S)
        for ref in ended:
            pending[ref]()

    def _pending(self) -> dict[ray.ObjectRef, Callable[[], None]]:
        """Return what is waited for, and who deals with it."""
        found: dict[ray.ObjectRef, Callable[[], None]] = {}
        for slot in self._slots:
            found |= {call.row: partial(self._finish, slot, call) for call in slot.calls}
        for slot, call in self._decoders.at_work():
            found[call.worked] = partial(self._finish_decoding, slot, call)
        for slot in (*self._slots, *self._decoders.slots):
            if slot.restarting is not None:
                found[slot.restarting] = partial(self._finish_restart, slot)
        return found

    def _finish_decoding(self, slot: Slot, call: Call) -> None:
        try:
            call.worked_s = ray.get(call.worked)
        except DEATHS as error:
            self._handle_decoder_death(self._decoders.restart(slot), error)
        except RayTaskError as error:
            self._decoders.take(slot).drop_picture()
            self._resolve_error(call, cause_of(error))
        else:
            self._waiting.append(self._decoders.take(slot))

    def _finish(self, slot: Slot, call: Call) -> None:
        try:
            row = ray.get(call.row)
        except DEATHS as error:
            self._handle_actor_death(slot, error)
            return
        except ObjectLostError as error:
            slot.calls.remove(call)
            call.drop_picture()
            lost = f"the decoded picture was lost with its node: {first_line(error)}"
            self._retry_later(call, TransientError(lost))
            return
        except RayTaskError as error:
            slot.calls.remove(call)
            self._resolve_error(call, cause_of(error))
            return
        slot.calls.remove(call)
        # What is kept was made with the attempts of its own run.
        self._resolve(call, row if row.is_stored else replace(row, attempts=call.attempts))

    def _resolve(self, call: Call, row: LabelRow) -> None:
        self._num_resolved += 1
        arrays = call.arrays if row.outcome.has_label and not row.is_stored else None
        call.future.set_result(LabelledImage(row, arrays))

    def _resolve_error(self, call: Call, error: BaseException) -> None:
        if isinstance(error, TransientError):
            self._retry_later(call, error)
        elif isinstance(error, ConfigError):
            call.future.set_exception(error)
        elif isinstance(error, MemoryShared):
            self._retry_alone(call)
        else:
            self._fail(call, f"{type(error).__name__}: {error}")

    def _retry_later(self, call: Call, error: TransientError) -> None:
        if call.delays:
            self._delayed.append((time.monotonic() + call.delays.pop(0), call))
        elif self._num_resolved > call.resolved_before:
            self._fail(call, f"{error} (tried {call.attempts} times while others came through)")
        else:
            call.future.set_exception(error)

    def _fail(self, call: Call, said: str) -> None:
        reason = recorded(said)
        logger.warning("image %s failed: %s", call.image.id, reason)
        row = replace(blank_row(call.image, Outcome.FAILED), reason=reason, attempts=call.attempts)
        metrics.count(row)  # what an actor returns, it counts itself
        self._resolve(call, row)

    def _handle_actor_death(self, slot: Slot, error: BaseException) -> None:
        """Suspect every call of an actor whose process is gone."""
        for call in slot.take_calls():
            call.crashes += 1
            if not self._is_culprit(call, call.crashes, "", error):
                self._retry_alone(call)

    def _handle_decoder_death(self, call: Call, error: BaseException) -> None:
        """Decode once more what a decoder was at when it died, before all others."""
        call.decoder_crashes += 1
        if not self._is_culprit(call, call.decoder_crashes, "while it was decoded, ", error):
            self._decoders.waiting.appendleft(call)

    def _is_culprit(self, call: Call, crashes: int, when: str, error: BaseException) -> bool:
        """Record an image as failed if so many deaths are its own doing."""
        if crashes < self._actors.max_crashes:
            return False
        what = "ran out of memory" if is_out_of_memory(error) else "its process died"
        self._fail(call, f"{when}{what}, {crashes} times in a row: {first_line(error)}")
        return True

    def _retry_alone(self, call: Call) -> None:
        call.is_suspect = True
        self._suspects.append(call)

    def _finish_restart(self, slot: Slot) -> None:
        try:
            slot.finish_restart()
        except Exception as error:  # whatever its models say when they are loaded
            self._abort(error)
            slot.restarting = None

    def _end_overdue(self) -> None:
        """End calls that have worked for too long; ask where one has been in flight that long."""
        now, limit = time.monotonic(), self._actors.image_timeout_s
        for call in self._decoders.end_overdue(limit):
            self._fail(call, TOO_LONG.format(limit))
        for slot in self._slots:
            old = [call for call in slot.calls if now - call.began > limit]
            if slot.asked is not None:
                self._hear(slot, old)
            elif old:
                slot.asked, slot.asked_at = slot.actor.worked.remote(), now

    def _hear(self, slot: Slot, old: list[Call]) -> None:
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

    def _end_calls(self, slot: Slot, overdue: list[Call]) -> None:
        """Kill what takes too long, and record it at once: Ray may need seconds to say it died."""
        if not overdue:
            return
        ray.kill(slot.actor, no_restart=False)
        for call in slot.take_calls():
            if overdue == [call]:
                self._fail(call, TOO_LONG.format(self._actors.image_timeout_s))
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
        waiting += self._decoders.waiting
        slots = (*self._slots, *self._decoders.slots)
        waiting += [call for slot in slots for call in slot.calls]
        for call in waiting:
            if not call.future.done():
                call.future.set_exception(self._end)
