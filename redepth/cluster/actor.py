"""What runs in Ray's processes: the actor that labels images, and the one that writes shards."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import ray

from redepth.cluster import metrics
from redepth.config import Actors, LabelSettings, Storage
from redepth.costing.stages import num_decoders
from redepth.errors import DeviceLost
from redepth.images.allowed import Allowed
from redepth.labelling.work import Work
from redepth.types import ImageRef, Label, LabelArrays, LabelRow, ModelCard

if TYPE_CHECKING:
    from redepth.store.manifest import ShardPlan
    from redepth.store.shards import ShardCommit


logger = logging.getLogger(__name__)

EXIT_DEVICE_LOST = 70


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


LoadLabeller = Callable[[LabelSettings], ImageLabeller]


def calls_in_flight(actors: Actors, labels: LabelSettings) -> int:
    """Return how many images an actor holds at once.

    One in each decoder, a batch in the models, and a batch that is decoded and waits for them.
    """
    return num_decoders(actors) + 2 * labels.compute.batch_size


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

    @ray.method(num_returns=2)
    def label(
        self, number: int, ref: ImageRef, before: LabelRow | None
    ) -> tuple[LabelRow, LabelArrays | None]:
        """Return the row, which the driver reads, and the arrays, which stay in Ray's store.

        Args:
            number: of the call, for `worked`.
        """
        work = self._works[number] = Work()
        try:
            label = self._labeller().label(ref, before, work)
        except DeviceLost as error:
            logger.error("leaving for a new process: %s", error)
            os._exit(EXIT_DEVICE_LOST)
        finally:
            del self._works[number]
        metrics.count(label.row)
        return label.row, label.arrays

    @ray.method(concurrency_group="watch")
    def worked(self) -> dict[int, float]:
        """Return the seconds that each running call has worked so far, by its number."""
        return {number: work.seconds for number, work in self._works.copy().items()}


RemoteLabelActor = ray.remote(max_restarts=-1, max_task_retries=0, concurrency_groups={"watch": 1})(
    LabelActor
)


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


def _labels(rows: Sequence[LabelRow], arrays: Sequence[ray.ObjectRef | None]) -> Iterator[Label]:
    for row, ref in zip(rows, arrays, strict=True):
        yield Label(row, None if ref is None else ray.get(ref))
