"""`LabelMaps`, by position, and `LabelDataset`, a stream: labels as torch takes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from redepth.errors import ImageRejected
from redepth.store.reader import Labels, open_labels
from redepth.torch_data.order import Positions, Share, Shuffling, cut_runs
from redepth.torch_data.ranks import is_distributed, require_dealt_once, share_here
from redepth.torch_data.samples import Contents, ImageType, Sample, SampleReader, Unread

logger = logging.getLogger(__name__)

# What it returns is what a DataLoader collates.
Transform = Callable[[Sample], Any]

_USUAL = ("refined", "confidence")
# Waiting for a storage overlaps; on a local disk it costs nothing.
_CONCURRENT_READS = 8


class LabelMaps(Dataset[Any]):
    """Labels by position, for samplers of one's own; those without maps are left out.

    A sample has `id`, `kind`, the chosen quantities as float32 [H, W] (of several channels
    [C, H, W], of codes uint8) and, if asked for, `image` [3, H, W]. `labels.quantities` says units
    and ranges; NaN is invalid: confidence and spread are NaN all over where the label fell back or
    comes from an ensemble of one.

    Args:
        labels: opened labels, perhaps cast_for_storage with `where`, or an output's URL.
        quantities: of those that the labels hold, by name; None is refined, and confidence where
            any label has one.
        images: "uint8" (0..255) or "float32" ([0, 1]) reads photographs from where the catalogue
            says they are, and holds them to the sha256 of the bytes that were labelled; None reads
            none.
        resize_images: bring them to the label's size, as the models saw them.
        allow: roots of photographs beside files of this machine and the labels' own bucket or host.
        unread: what becomes of a sample whose photograph has changed since, is gone or may not be
            read: an error, or the sample is left out, counted in `skipped` and logged.
        keep: share of each image's pixels, 0.7 or "70%": the surest keep their values, the others
            are NaN; None keeps all. `labels.keep(...)` is the same.
        transform: applied to every sample, e.g. to bring all of them to one size.

    Raises:
        ConfigError: no labels at the URL, an unknown quantity, or one that no label has a value of.
    """

    def __init__(
        self,
        labels: Labels | str,
        quantities: Sequence[str] | None = None,
        *,
        images: ImageType | None = None,
        resize_images: bool = True,
        transform: Transform | None = None,
        allow: Sequence[str] = (),
        unread: Unread = "error",
        keep: float | str | None = None,
    ) -> None:
        opened = (open_labels(labels) if isinstance(labels, str) else labels).with_maps()
        opened = opened if keep is None else opened.keep(keep)
        contents = Contents(_chosen(opened, quantities), images, resize_images)
        self._reader = SampleReader(opened, contents, opened.photographs(allow), unread)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def skipped(self) -> Mapping[str, int]:
        """Samples that this process has left out, by reason; a worker counts its own."""
        return self._reader.skipped

    def __getitem__(self, position: int) -> Any:
        """Read one sample; positions count from 0, in the catalogue's order."""
        (sample,) = self.__getitems__([position])
        return sample

    def __getitems__(self, positions: Sequence[int]) -> list[Any]:
        """Read a batch; a DataLoader calls this, and neighbours are read together.

        Raises:
            ImageRejected: a photograph cannot be read; with `unread="skip"` if none of them can.
        """
        wanted = np.arange(len(self))[list(positions)]
        with ThreadPoolExecutor(_CONCURRENT_READS) as executor:
            samples = self._reader.read(np.unique(wanted), executor)
        if not samples and len(wanted):
            reasons = ", ".join(self.skipped)
            raise ImageRejected(f"no photograph of a batch of {len(wanted)} can be used: {reasons}")
        return [self._transformed(dict(samples[at])) for at in wanted.tolist() if at in samples]

    def order(self, shuffling: Shuffling | None, epoch: int) -> Positions:
        """Return the positions in the order of an epoch."""
        if shuffling is None:
            return np.arange(len(self))
        return shuffling.order(self._reader.groups, self._reader.indices, epoch)

    def stream(self, runs: Sequence[Positions]) -> Iterator[Any]:
        """Read run after run, the samples of one at a time."""
        with ThreadPoolExecutor(_CONCURRENT_READS) as executor:
            for run in runs:
                for sample in self._reader.read(run, executor).values():
                    yield self._transformed(sample)

    def _transformed(self, sample: Sample) -> Any:
        return sample if self._transform is None else self._transform(sample)


class LabelDataset(IterableDataset[Any]):
    """Labels as a stream, for a DataLoader with any number of workers on any number of ranks.

    What is promised, for the same labels, shuffling, epoch and NumPy:

    - An epoch brings every label that has maps exactly once, over all workers. Over several ranks
      every one gets the same number of whole batches, and the at most
      `num_ranks * batch_size - 1` samples at the end of the epoch's order are left out, which is
      logged: with `shuffling` they are others in each epoch.
    - With a DataLoader of the same `batch_size`, its batches are the same, in the same order,
      whatever the number of workers; the batches of R ranks, taken in turn, are those of one.
    - With another batch size the samples of an epoch are the same, their order is not.

    A transform that draws random numbers is not part of the promise, nor are samples that are left
    out (`unread="skip"`): the batches after them have other samples.

    Args:
        maps: what a sample holds.
        batch_size: of the DataLoader.
        shuffling: how to mix; None keeps the catalogue's order.
        share: the rank of this process and the number of ranks; None asks torch.distributed when
            an epoch begins, else torchrun's environment. `Share()` is all labels: for a DataLoader
            that goes through accelerate's `prepare`, which deals samples to ranks by itself, and so
            through the Trainer of transformers.

    Raises:
        ConfigError: when an epoch begins: accelerate would deal out a rank's share once more, or
            several processes run and none says which rank it is.
    """

    def __init__(
        self,
        maps: LabelMaps,
        *,
        batch_size: int,
        shuffling: Shuffling | None = None,
        share: Share | None = None,
    ) -> None:
        self._maps = maps
        self._batch_size = batch_size
        self._shuffling = shuffling
        self._share = share
        # In shared memory: workers that outlive an epoch must hear of the next one.
        self._epoch_and_skipped = torch.zeros(2, dtype=torch.int64)
        self._epoch_and_skipped.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def share(self) -> Share:
        """The rank of this process, and the number of ranks that share the labels."""
        return share_here() if self._share is None else self._share

    def set_epoch(self, epoch: int, skip_batches: int = 0) -> None:
        """Choose the order of the next iteration; call before each epoch, on every rank alike.

        Args:
            skip_batches: begin the epoch after so many batches of this rank, without reading them;
                `len` stays that of the whole epoch.
        """
        require_dealt_once(self, self.share)
        self._epoch_and_skipped.copy_(torch.tensor([epoch, skip_batches]))

    def __len__(self) -> int:
        """Return the samples that this rank gets in an epoch, over all its workers."""
        return sum(len(run) for run in self._runs(np.arange(len(self._maps)), self.share))

    def __iter__(self) -> Iterator[Any]:
        share = self.share
        require_dealt_once(self, share)
        info = get_worker_info()
        worker = Share() if info is None else Share(info.id, info.num_workers)
        epoch, num_skipped = self._epoch_and_skipped.tolist()
        runs = self._runs(self._maps.order(self._shuffling, epoch), share)
        if worker.number == share.number == 0:
            self._tell_left_out(share)
        return self._maps.stream(runs[num_skipped:][worker.number :: worker.of])

    def __getstate__(self) -> dict[str, Any]:
        """Take the rank along: a worker that is spawned does not hear of it otherwise."""
        share = self._share
        if share is None and is_distributed():
            share = self.share
            require_dealt_once(self, share)
        return {**self.__dict__, "_share": share}

    def _runs(self, order: Positions, share: Share) -> list[Positions]:
        runs = cut_runs(order, self._batch_size, share.of)
        return runs[share.number :: share.of]

    def _tell_left_out(self, share: Share) -> None:
        kept = cut_runs(np.arange(len(self._maps)), self._batch_size, share.of)
        num_left_out = len(self._maps) - sum(map(len, kept))
        if num_left_out:
            logger.warning(
                "%d of %d labels are left out of this epoch: %d ranks get the same number of whole "
                "batches of %d%s",
                num_left_out,
                len(self._maps),
                share.of,
                self._batch_size,
                "" if self._shuffling else "; without shuffling they are the same in every epoch",
            )


def _chosen(labels: Labels, quantities: Sequence[str] | None) -> tuple[str, ...]:
    """Return the quantities of a sample, less those of the usual ones that no label has."""
    if quantities is not None:
        labels.require_values(quantities)
        return tuple(quantities)
    for name in (missing := [name for name in _USUAL if name in labels.absent]):
        logger.warning("samples are without %s: %s", name, labels.absent[name])
    return tuple(name for name in _USUAL if name not in missing)
