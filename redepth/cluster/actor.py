"""What runs in Ray's processes: what labels images, what decodes for it, what writes shards."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import ray
from ray import cloudpickle

from redepth.cluster import metrics
from redepth.config import Actors, LabelSettings, Storage
from redepth.costing.stages import decoding_threads
from redepth.errors import ConfigError, DeviceLost, ImageRejected
from redepth.images.allowed import Allowed
from redepth.labelling.preparing import Prepared, Preparer, rejected
from redepth.labelling.work import Work
from redepth.types import ImageRef, Label, LabelArrays, LabelRow, ModelCard

if TYPE_CHECKING:
    from redepth.store.manifest import ShardPlan
    from redepth.store.shards import ShardCommit


logger = logging.getLogger(__name__)

EXIT_DEVICE_LOST = 70
MAX_PREPARER_BYTES = 2**16  # a rule, and what may be read; with a network in it, megabytes


class ImageLabeller(Protocol):
    """What an actor holds: a `redepth.labelling.stages.StagedLabeller`, or what stands in for it.

    It is asked about several images at once, each on a thread of its own.
    """

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every model that was loaded, the coarse one first."""
        ...

    def label(self, ref: ImageRef, before: LabelRow | None, work: Work, /) -> Label:
        """Label one image, or keep the committed label `before`, of the same bytes.

        What is wrong with the image itself becomes its outcome. `work` stands while it waits.
        """
        ...

    @property
    def preparer(self) -> Preparer:
        """What a decoder prepares photographs with, for `label_prepared`."""
        ...

    def label_prepared(self, prepared: Prepared | Label, work: Work, /) -> Label:
        """Label one image that a decoder has prepared, as `label` would."""
        ...


LoadLabeller = Callable[[LabelSettings], ImageLabeller]


def calls_in_flight(actors: Actors, labels: LabelSettings) -> int:
    """Return how many images an actor holds at once.

    One on each core, a batch in the models, and a batch that is decoded and waits for them.
    """
    return decoding_threads(actors) + 2 * labels.compute.batch_size


class LabelActor:
    """Hold the models of a recipe and label images, one a call, several calls at a time.

    Ray restarts the process when it dies, and the models are loaded again at the next call. Calls
    are not retried by Ray: the pool must see each death to tell which image causes it.
    """

    def __init__(
        self,
        settings: LabelSettings,
        allowed: Allowed,
        load: LoadLabeller | None,
        num_decoders: int,
    ) -> None:
        self._settings = settings
        self._allowed = allowed
        self._load = load
        self._num_decoders = num_decoders
        self._loading = threading.Lock()
        self._loaded: ImageLabeller | None = None
        self._works: dict[int, Work] = {}

    def _labeller(self) -> ImageLabeller:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._new_labeller()
            return self._loaded

    def _new_labeller(self) -> ImageLabeller:
        if self._load is not None:
            return self._load(self._settings)
        from redepth.labelling.labeller import load_labeller
        from redepth.labelling.stages import StagedLabeller

        return StagedLabeller(load_labeller(self._settings, self._allowed), self._num_decoders)

    @ray.method(max_task_retries=3)
    def ready(self) -> tuple[ModelCard, ...]:
        """Load the models if they are not loaded yet, and say which they are."""
        return self._labeller().cards

    @ray.method(max_task_retries=3)
    def preparer(self) -> Preparer:
        """Return what decoders prepare photographs with for these models.

        Raises:
            ConfigError: the coarse model's processing size cannot be had without the model.
        """
        preparer = self._labeller().preparer
        _require_light(preparer, self._settings.coarse.preset)
        return preparer

    @ray.method(num_returns=2)
    def label(
        self, number: int, ref: ImageRef, before: LabelRow | None
    ) -> tuple[LabelRow, LabelArrays | None]:
        """Return the row, which the driver reads, and the arrays, which stay in Ray's store.

        Args:
            number: of the call, for `worked`.
        """
        with self._at_work(number, 0.0) as work:
            label = self._labeller().label(ref, before, work)
        metrics.count(label.row)
        return label.row, label.arrays

    @ray.method(num_returns=2)
    def label_prepared(
        self, number: int, prepared: Prepared | Label, worked_s: float
    ) -> tuple[LabelRow, LabelArrays | None]:
        """Return what `label` does, of a photograph that a decoder has prepared.

        Args:
            worked_s: what the decoder has worked on it.
        """
        with self._at_work(number, worked_s) as work:
            label = self._labeller().label_prepared(_writable(prepared), work)
        metrics.count(label.row)
        return label.row, label.arrays

    @contextmanager
    def _at_work(self, number: int, worked_s: float) -> Iterator[Work]:
        """Keep a call's clock where `worked` finds it; leave the process with a lost GPU."""
        work = self._works[number] = Work(worked_s)
        try:
            yield work
        except DeviceLost as error:
            logger.error("leaving for a new process: %s", error)
            os._exit(EXIT_DEVICE_LOST)
        finally:
            del self._works[number]

    @ray.method(concurrency_group="watch")
    def worked(self) -> dict[int, float]:
        """Return the seconds that each running call has worked so far, by its number."""
        return {number: work.seconds for number, work in self._works.copy().items()}


RemoteLabelActor = ray.remote(max_restarts=-1, max_task_retries=0, concurrency_groups={"watch": 1})(
    LabelActor
)


class PhotographDecoder:
    """Prepare photographs for the actors that hold the models: one at a time, no model in it.

    What happens to the process then is that photograph's doing, or nobody's. Ray restarts it, and
    retries no call; calls come to their turn in the order in which they were made.
    """

    def __init__(self, preparer: Preparer) -> None:
        self._preparer = preparer

    @ray.method(max_task_retries=3)
    def ready(self) -> None:
        """Answer that the process is there."""

    @ray.method(num_returns=2)
    def prepare(self, ref: ImageRef, before: LabelRow | None) -> tuple[float, Prepared | Label]:
        """Return the seconds of work, for the driver, and the picture, which stays in Ray's store.

        Raises:
            TransientError, ConfigError: as `Preparer.prepare`.
        """
        work = Work()
        try:
            prepared = self._preparer.prepare(ref, before)
        except ImageRejected as error:
            prepared = rejected(ref, error, work)
        return work.seconds, prepared


RemotePhotographDecoder = ray.remote(
    num_cpus=1, max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD"
)(PhotographDecoder)


class ShardWriter:
    """Write and commit shards, one at a time, in a process that stays.

    Ray ends a worker that has waited for a second where actors hold all cores: a task a shard would
    start Python and import everything anew for each. Reserves no core: a shard must still be
    written where actors have taken them all. A call may be repeated: a commit is made once.
    """

    @ray.method(max_task_retries=3)
    def commit(
        self,
        out: str,
        plan: ShardPlan,
        rows: Sequence[LabelRow],
        arrays: Sequence[ray.ObjectRef | None],
        storage: Storage,
    ) -> ShardCommit:
        """Write and commit one shard, fetching its arrays one at a time."""
        from redepth.store.shards import write_shard

        return write_shard(out, plan, _labels(rows, arrays), storage)


RemoteShardWriter = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)(ShardWriter)


def _require_light(preparer: Preparer, preset: str) -> None:
    """Refuse a preparer that has the models in it: each decoder would be sent them."""
    try:
        num_bytes = len(cloudpickle.dumps(preparer))
        found = f"{num_bytes:,} bytes"
    except Exception as error:  # what does not pickle says so in any way
        num_bytes, found = sys.maxsize, f"no pickle: {error}"
    if num_bytes > MAX_PREPARER_BYTES:
        raise ConfigError(
            f"run.actors.num_decoders: the processing_size of coarse model {preset} cannot be sent "
            f"to decoders without the model ({found}, expected at most {MAX_PREPARER_BYTES:,}). "
            "Make it a value (redepth.geometry.sizes.UpperBound), or leave num_decoders at 0"
        )


def _writable(prepared: Prepared | Label) -> Prepared | Label:
    """Return a picture of our own: Ray's is read-only, and holds its place in the store."""
    if isinstance(prepared, Label):
        return prepared
    return replace(prepared, rgb_hw3=prepared.rgb_hw3.copy())


def _labels(rows: Sequence[LabelRow], arrays: Sequence[ray.ObjectRef | None]) -> Iterator[Label]:
    for row, ref in zip(rows, arrays, strict=True):
        yield Label(row, None if ref is None else ray.get(ref))
