"""A labeller that works on several images at once, each in another stage of its way.

Photographs are read and decoded on a few threads, the models run on one thread of their own, and
what they made is finished on the thread that the image came with. So the models never wait for a
decoder or for the guard, as long as there are cores for both. A photograph that was prepared
elsewhere enters at the models.

The models take all waiting images of one size up to the recipe's `labels.compute.batch_size`. What
a batch is made of shows in no label: see `redepth.labelling.labeller.Labeller.infer`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from redepth.errors import DeviceLost, ImageRejected, MemoryShared
from redepth.labelling.device_health import free_device_memory, require_device
from redepth.labelling.labeller import Inferred, Labeller
from redepth.labelling.memory import is_out_of_memory
from redepth.labelling.preparing import Prepared, Preparer
from redepth.labelling.work import Work
from redepth.types import ImageRef, Label, LabelRow, ModelCard

TAKE_LESS = (
    "lower labels.compute.batch_size or labels.refiner.members_per_batch, where larger than 1"
)


@dataclass(slots=True, eq=False)
class _Ticket:
    """A prepared image that waits for the models."""

    prepared: Prepared
    work: Work
    since: float = field(default_factory=time.perf_counter)
    waited_s: float = 0.0
    done: Future[Inferred | Label] = field(default_factory=Future)

    @property
    def size(self) -> tuple[int, ...]:
        return self.prepared.rgb_hw3.shape


class ModelThread:
    """The one thread that asks the models, a batch of images of one size at a time."""

    def __init__(self, labeller: Labeller, batch_size: int) -> None:
        self._labeller = labeller
        self._batch_size = batch_size
        self._waiting: deque[_Ticket] = deque()
        self._arrived = threading.Condition()
        threading.Thread(target=self._run, name="models", daemon=True).start()

    def infer(self, prepared: Prepared, work: Work) -> Inferred | Label:
        """Wait for the models' turn and return what they made of an image.

        Args:
            work: the image's clock; it stands while other images are in the models.
        """
        ticket = _Ticket(prepared, work)
        work.wait()
        with self._arrived:
            self._waiting.append(ticket)
            self._arrived.notify()
        try:
            found = ticket.done.result()
        finally:
            work.go_on()
        return replace(found, row=replace(found.row, waited_seconds=ticket.waited_s))

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            try:
                self._infer(batch)
            except BaseException as error:  # or whoever waits would wait for ever
                for ticket in batch:
                    if not ticket.done.done():
                        ticket.done.set_exception(error)

    def _next_batch(self) -> list[_Ticket]:
        """Take the image that has waited longest, and others of its size."""
        with self._arrived:
            while not self._waiting:
                self._arrived.wait()
            size = self._waiting[0].size
            batch = [ticket for ticket in self._waiting if ticket.size == size]
            batch = batch[: self._batch_size]
            self._waiting = deque(ticket for ticket in self._waiting if ticket not in batch)
        return batch

    def _infer(self, batch: Sequence[_Ticket]) -> None:
        now = time.perf_counter()
        for ticket in batch:
            ticket.waited_s += now - ticket.since
            ticket.work.go_on()
        try:
            found = self._labeller.infer([ticket.prepared for ticket in batch])
        except BaseException as error:
            self._after(error, batch)
        else:
            for ticket, of_it in zip(batch, found, strict=True):
                ticket.work.wait()
                ticket.done.set_result(of_it)

    def _after(self, error: BaseException, batch: Sequence[_Ticket]) -> None:
        """Give an image its error; of several, ask again about each alone to learn whose it is."""
        for ticket in batch:
            ticket.work.wait()
        try:
            require_device(self._labeller.device)
        except DeviceLost as lost:
            error = lost
        if is_out_of_memory(error):
            free_device_memory()
        if len(batch) == 1 or isinstance(error, DeviceLost):
            for ticket in batch:
                ticket.done.set_exception(error)
            return
        for ticket in batch:
            ticket.since = time.perf_counter()
            self._infer([ticket])


class StagedLabeller:
    """A labeller for several threads at once, each with one image; see the module.

    Args:
        num_decoders: photographs that are read and decoded at the same time.
    """

    def __init__(self, labeller: Labeller, num_decoders: int) -> None:
        self._labeller = labeller
        self._models = ModelThread(labeller, labeller.settings.compute.batch_size)
        self._decoders = threading.Semaphore(num_decoders)
        self._company = _Company()

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every model that was loaded, the coarse one first."""
        return self._labeller.cards

    @property
    def preparer(self) -> Preparer:
        """What prepares photographs for `label_prepared`."""
        return self._labeller.preparer

    def label(self, ref: ImageRef, before: LabelRow | None, work: Work) -> Label:
        """Label one image, as `Labeller.label` does.

        Args:
            work: its clock; it stands while the image waits for others.

        Raises:
            MemoryShared: memory ran out, and other images were worked on meanwhile.
            MemoryError: it ran out, and there were none; says what to lower.
            DeviceLost: the GPU takes no more work from this process.
            TransientError, ConfigError: as `Labeller.label`.
        """
        try:
            with self._telling_whose_memory():
                return self._finished(self._prepare(ref, before, work), work)
        except ImageRejected as error:
            return self._labeller.rejected(ref, error, work)

    def label_prepared(self, prepared: Prepared | Label, work: Work) -> Label:
        """Label one image that `preparer` has prepared somewhere; same outcome, same errors."""
        with self._telling_whose_memory():
            return self._finished(self._labeller.receive(prepared), work)

    @contextmanager
    def _telling_whose_memory(self) -> Iterator[None]:
        with self._company.joined() as had_company:
            try:
                yield
            except Exception as error:
                if is_out_of_memory(error) and had_company():
                    raise MemoryShared(str(error)) from error
                if is_out_of_memory(error) and not isinstance(error, ImageRejected):
                    raise MemoryError(f"{error}; {TAKE_LESS}") from error
                raise

    def _prepare(self, ref: ImageRef, before: LabelRow | None, work: Work) -> Prepared | Label:
        work.wait()
        with self._decoders:
            work.go_on()
            return self._labeller.prepare(ref, before)

    def _finished(self, prepared: Prepared | Label, work: Work) -> Label:
        if isinstance(prepared, Label):
            return prepared
        return self._labeller.finish(self._models.infer(prepared, work))


class _Company:
    """Who is in at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._meetings = 0

    @contextmanager
    def joined(self) -> Iterator[Callable[[], bool]]:
        """Be inside; what is yielded says whether anybody else was, so far."""
        with self._lock:
            if self._inside:
                self._meetings += 1
            met_somebody, meetings = self._inside > 0, self._meetings
            self._inside += 1
        try:
            yield lambda: met_somebody or self._meetings > meetings
        finally:
            with self._lock:
                self._inside -= 1
