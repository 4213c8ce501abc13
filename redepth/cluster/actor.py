"""What runs in Ray's processes: the actor that labels images, and the one that writes shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import ray

from redepth.cluster import metrics
from redepth.config import LabelSettings, Storage
from redepth.images.allowed import Allowed
from redepth.types import ImageRef, Label, LabelArrays, LabelRow, ModelCard

if TYPE_CHECKING:
    from redepth.store.manifest import ShardPlan
    from redepth.store.shards import ShardCommit


class ImageLabeller(Protocol):
    """What an actor holds: a `redepth.labelling.labeller.Labeller`, or what stands in for one."""

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every model that was loaded, the coarse one first."""
        ...

    def label(self, ref: ImageRef, before: LabelRow | None, /) -> Label:
        """Label one image, or keep the committed label `before`, of the same bytes.

        What is wrong with the image itself becomes its outcome.
        """
        ...


LoadLabeller = Callable[[LabelSettings], ImageLabeller]


class LabelActor:
    """Hold the models of a recipe and label one image a call.

    Ray restarts the process when it dies, and the models are loaded again at the next call. Calls
    are not retried by Ray: the pool must see each death to tell which image causes it.
    """

    def __init__(
        self, settings: LabelSettings, allowed: Allowed, load: LoadLabeller | None
    ) -> None:
        self._settings = settings
        self._allowed = allowed
        self._load = load

    @cached_property
    def _labeller(self) -> ImageLabeller:
        if self._load is not None:
            return self._load(self._settings)
        from redepth.labelling.labeller import load_labeller

        return load_labeller(self._settings, self._allowed)

    @ray.method(max_task_retries=3)
    def ready(self) -> tuple[ModelCard, ...]:
        """Load the models if they are not loaded yet, and say which they are."""
        return self._labeller.cards

    @ray.method(num_returns=2)
    def label(self, ref: ImageRef, before: LabelRow | None) -> tuple[LabelRow, LabelArrays | None]:
        """Return the row, which the driver reads, and the arrays, which stay in Ray's store."""
        label = self._labeller.label(ref, before)
        metrics.count(label.row)
        return label.row, label.arrays


RemoteLabelActor = ray.remote(max_restarts=-1, max_task_retries=0)(LabelActor)


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
