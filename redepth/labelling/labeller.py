"""The way of one image, from its reference to its label, with nothing of Prefect or Ray in it.

    prepare: read -> decode -> resize
    infer:   coarse -> valid range -> members
    finish:  reduce -> guard -> Label

`Labeller` holds the models. Its three stages are a label's whole way; `label` walks it at once, and
`redepth.labelling.stages` walks it with several images at a time. `label_shard` is a shard's whole
work on one machine without any engine.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from redepth.coarse.batches import EstimateOutcome, estimate_all
from redepth.coarse.estimator import DepthEstimator, load_estimator
from redepth.config import LabelSettings
from redepth.costing.devices import device_name
from redepth.errors import ConfigError, ImageRejected, RefinementFailed
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.locator import relocated
from redepth.labelling.ensemble import guard, reduce_members
from redepth.labelling.label_rows import fallen_back, label_of, with_focal, with_members
from redepth.labelling.preparing import Prepared, Preparer, Source, failed, rejected
from redepth.labelling.probing import LoadedProbe, load_probes, probe_all
from redepth.labelling.valid_range import MaskedDepth, mask_far
from redepth.labelling.work import Work
from redepth.quantities import VALID
from redepth.refiners import refiners
from redepth.refiners.batches import RefineOutcome, refine_all
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.settings import Compute
from redepth.types import (
    CoarseDepth,
    ImageRef,
    Label,
    LabelRow,
    Members,
    ModelCard,
    Outcome,
)

_LABELS_REMEMBERED = 16  # of 518 x 518 px: 70 MB


@dataclass(frozen=True, slots=True, eq=False)
class _Estimated:
    """A photograph's coarse map, and what the refiner is to see of it."""

    row: LabelRow
    source: Source
    coarse: MaskedDepth
    scene: RefinementInput


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What the models made of a photograph: a coarse map and its refined members."""

    row: LabelRow
    source: Source
    coarse: MaskedDepth
    members: Members


@dataclass(frozen=True, slots=True, eq=False)
class Labeller:
    """The models of a recipe, ready to label images one by one.

    An image's label is a function of its bytes, its caption and camera, `settings`, and its id, or
    of all but the last with `labels.deduplicate: true`. Then the last labels are kept, and a file
    with the bytes, caption and camera of one of them gets its maps without being refined again.

    `prepare` and `finish` may run on several threads at once, `infer` on one at a time.
    """

    settings: LabelSettings
    estimator: DepthEstimator
    refiner: Refiner
    device: str
    allowed: Allowed = ANYTHING
    probes: tuple[LoadedProbe, ...] = ()
    _last: OrderedDict[Source, Label] = field(default_factory=OrderedDict, init=False, repr=False)
    _last_lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every model that was loaded, the coarse one first."""
        probed = (card for probe in self.probes for card in probe.cards)
        return (self.estimator.card, *probed, *self.refiner.cards)

    def label(self, ref: ImageRef, before: LabelRow | None = None) -> Label:
        """Label one image; whatever is wrong with the image itself becomes its outcome.

        Args:
            before: the image's committed row. Where the photograph still has the bytes that it was
                made of, that label is kept: nothing is decoded, no model is asked.

        Returns:
            Label with outcome refined, fell back, rejected or failed; `before`, at the image's
            place of now, if it is kept.

        Raises:
            TransientError: the storage answered badly; the same call may go through later.
            ConfigError: the storage refuses us for a reason that concerns the whole run.
        """
        work = Work()
        try:
            prepared = self.preparer.prepare(ref, before)
        except ImageRejected as error:
            return self.rejected(ref, error, work)
        return self.label_prepared(prepared)

    @property
    def preparer(self) -> Preparer:
        """What prepares photographs for these models, here or elsewhere."""
        return Preparer(self.settings.decoding, self.estimator.processing_size, self.allowed)

    def prepare(self, ref: ImageRef, before: LabelRow | None = None) -> Prepared | Label:
        """Read, decode and resize a photograph; return its label at once where there is one.

        Raises:
            ImageRejected: it is not a usable photograph; see `rejected`.
            TransientError, ConfigError: as `label`.
        """
        return self.receive(self.preparer.prepare(ref, before))

    def receive(self, prepared: Prepared | Label) -> Prepared | Label:
        """Take what a preparer made of a photograph; of a copy of the last files return the label.

        A row learns here where it is labelled; one that is kept says so already.
        """
        row = prepared.row
        if row.device is None:
            untrained = any(card.untrained for card in self.cards)
            row = replace(row, device=self.device, untrained=untrained)
        if isinstance(prepared, Label):
            return replace(prepared, row=row)
        known = self._remembered(prepared.source)
        return replace(prepared, row=row) if known is None else _for_another(row, known)

    def label_content(self, ref: ImageRef, content: bytes) -> Label:
        """Label a photograph that was read already; `ref` says its id, caption and camera."""
        work = Work()
        try:
            prepared = self.preparer.prepare_content(ref, content)
        except ImageRejected as error:
            return self.rejected(ref, error, work)
        return self.label_prepared(prepared)

    def label_prepared(self, prepared: Prepared | Label) -> Label:
        """Label an image that `preparer` has prepared, here or elsewhere."""
        received = self.receive(prepared)
        if isinstance(received, Label):
            return received
        (inferred,) = self.infer([received])
        return self.finish(inferred)

    def rejected(self, ref: ImageRef, error: ImageRejected, work: Work) -> Label:
        """Return the label of what is not a usable photograph: a row with the reason."""
        label = self.receive(rejected(ref, error, work))
        assert isinstance(label, Label), "it was one"
        return label

    def infer(self, prepared: Sequence[Prepared]) -> list[Inferred | Label]:
        """Ask the models about photographs of one size; return of each what they made of it.

        Returns:
            In the order given: a label where the way ends here, rejected or failed.
        """
        started = time.perf_counter()
        found = self._refine(self._estimate(prepared))
        seconds = (time.perf_counter() - started) / len(prepared)
        return [_inferred_in(one, seconds) for one in found]

    def _estimate(self, prepared: Sequence[Prepared]) -> list[_Estimated | Label]:
        rgbs_hw3 = [one.rgb_hw3 for one in prepared]
        focals_px = [one.row.focal_px for one in prepared]
        batch_size = self.settings.compute.batch_size
        outcomes = estimate_all(self.estimator, rgbs_hw3, focals_px, batch_size)
        outcomes = probe_all(self.probes, rgbs_hw3, focals_px, outcomes, batch_size)
        return [self._masked(*pair) for pair in zip(prepared, outcomes, strict=True)]

    def _masked(self, prepared: Prepared, outcome: EstimateOutcome) -> _Estimated | Label:
        """Find out what of a coarse map is to be believed, and what the refiner is to see."""
        row, source, rgb_hw3 = prepared.row, prepared.source, prepared.rgb_hw3
        try:
            coarse = mask_far(_unless_failed(outcome))
            row = with_focal(row, coarse)
            if not coarse.is_known_hw.any():
                reason = coarse.empty_reason()
                return Label(replace(row, outcome=Outcome.REJECTED, reason=reason))
            caption = self.refiner.caption(rgb_hw3, source.caption)
        except RefinementFailed as error:
            return failed(row, error)
        seed_key = source.sha256 if self.settings.deduplicate else row.id
        given = source.caption
        scene = RefinementInput(seed_key, rgb_hw3, coarse.unmasked, caption or "", given)
        return _Estimated(replace(row, caption=caption), source, coarse, scene)

    def _refine(self, estimated: Sequence[_Estimated | Label]) -> list[Inferred | Label]:
        scenes = [one.scene for one in estimated if isinstance(one, _Estimated)]
        batch_size = self.settings.compute.batch_size
        outcomes = iter(refine_all(self.refiner, scenes, batch_size))
        return [
            _inferred(one, next(outcomes)) if isinstance(one, _Estimated) else one
            for one in estimated
        ]

    def finish(self, inferred: Inferred | Label) -> Label:
        """Reduce the members, guard, and make the label; remember it for copies of the file."""
        if isinstance(inferred, Label):
            return inferred
        started = time.perf_counter()
        members = inferred.coarse.mask_members(inferred.members)
        label = self._reduce_and_guard(inferred.row, inferred.coarse, members)
        if self.settings.deduplicate:
            self._remember(inferred.source, label)
        return _finished_in(label, started)

    def _remember(self, source: Source, label: Label) -> None:
        with self._last_lock:
            self._last[source] = label
            if len(self._last) > _LABELS_REMEMBERED:
                self._last.popitem(last=False)

    def _remembered(self, source: Source) -> Label | None:
        with self._last_lock:
            return self._last.get(source)

    def _reduce_and_guard(self, row: LabelRow, coarse: MaskedDepth, members: Members) -> Label:
        """Reduce the members and make the label: the refined map, or the coarse one and why."""
        kind = coarse.unmasked.kind
        probed = {quantity.name: map_hw for quantity, map_hw in coarse.unmasked.extra.items()}
        refined = reduce_members(
            members, coarse.map_hw, self.settings.ensemble, kind=kind, probed=probed
        )
        verdict = guard(
            coarse.map_hw, refined.map_hw, self.settings.guard, is_metric=kind.is_metric
        )
        if members.refused is not None:
            verdict = replace(verdict, collapse=members.refused)
        row = with_members(row, members, verdict)
        within = coarse.mask_refined(refined)
        if verdict.collapse is None and not np.isfinite(within.map_hw).any():
            verdict = replace(verdict, collapse="refined map has nothing within the far limit")
        if verdict.collapse is not None:
            return fallen_back(row, coarse, {**members.extra, **refined.extra}, verdict.collapse)
        row = replace(row, outcome=Outcome.REFINED)
        valid_hw = coarse.validity(refined.map_hw, within.map_hw)
        return label_of(row, coarse, within, {**members.extra, VALID: valid_hw})


def _unless_failed(outcome: EstimateOutcome) -> CoarseDepth:
    if isinstance(outcome, RefinementFailed):
        raise outcome
    return outcome


def _inferred(estimated: _Estimated, outcome: RefineOutcome) -> Inferred | Label:
    if isinstance(outcome, RefinementFailed):
        return failed(estimated.row, outcome)
    return Inferred(estimated.row, estimated.source, estimated.coarse, outcome)


def _for_another(row: LabelRow, label: Label) -> Label:
    """Give a label to another file with the same bytes: all but what the file's own row says."""
    of_its_own = relocated(label.row, row)
    return replace(label, row=replace(
        of_its_own, seconds=row.seconds, read_seconds=row.read_seconds, waited_seconds=None,
        model_seconds=None,
    ))  # fmt: skip


def _finished_in(label: Label, started: float) -> Label:
    seconds = (label.row.seconds or 0.0) + time.perf_counter() - started
    return replace(label, row=replace(label.row, seconds=seconds))


def _inferred_in(found: Inferred | Label, seconds: float) -> Inferred | Label:
    own = (found.row.seconds or 0.0) + seconds
    return replace(found, row=replace(found.row, model_seconds=seconds, seconds=own))


def load_labeller(settings: LabelSettings, allowed: Allowed = ANYTHING) -> Labeller:
    """Load the recipe's models onto its device.

    Args:
        allowed: what may be read; the rest of a list is rejected.

    Raises:
        ConfigError: weights that cannot be had, a device that is not there; says the fix.
    """
    torch.set_num_threads(settings.compute.num_threads)
    device = choose_device(settings.compute)
    estimator = load_estimator(settings.coarse, device)
    context = LoadContext(estimator, settings.compute, device, settings.seed)
    refiner = refiners[settings.refiner.method].load(settings.refiner, context)
    probes = load_probes(settings.probes, settings.coarse, estimator, device)
    return Labeller(settings, estimator, refiner, device_name(device), allowed, probes)


def choose_device(compute: Compute) -> torch.device:
    """Return the recipe's device; "auto" is a GPU where there is one.

    Raises:
        ConfigError: the recipe asks for CUDA and there is none.
    """
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise ConfigError(
            "the recipe asks for a GPU (labels.compute.device: cuda) and this process sees none; "
            "run where there is one (and give actors num_gpus: 1), or choose device: cpu"
        )
    return torch.device("cuda" if available and compute.device != "cpu" else "cpu")


def label_shard(
    labeller: Labeller, images: Sequence[ImageRef], before: Mapping[str, LabelRow] | None = None
) -> Iterator[Label]:
    """Label a shard's images one after the other, lazily: one label is held at a time.

    Args:
        before: committed rows by id, which are kept where the photographs have the same bytes; see
            `redepth.store.kept.labels_to_keep`.
    """
    for ref in images:
        yield labeller.label(ref, (before or {}).get(ref.id))
