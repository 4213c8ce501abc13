"""The way of one image, from its reference to its label, with nothing of Prefect or Ray in it.

    read -> resize -> coarse -> members -> valid range -> reduce -> guard -> Label

`Labeller` holds the models and is what an actor owns; `label_shard` is a shard's whole work on one
machine without any engine.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from redepth.coarse.estimator import DepthEstimator, load_estimator
from redepth.config import LabelSettings
from redepth.errors import ConfigError, ImageRejected, RefinementFailed
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.camera import Focal, known_focal
from redepth.images.decode import decode, read_bytes
from redepth.images.locator import blank_row, relocated
from redepth.labelling.ensemble import Verdict, guard, reduce_members
from redepth.labelling.unchanged import is_unchanged
from redepth.labelling.valid_range import MaskedDepth, mask_far
from redepth.quantities import CONFIDENCE, SPREAD, VALID
from redepth.redaction import recorded
from redepth.refiners import refiners
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.settings import Compute
from redepth.types import (
    DecodedImage,
    Extra,
    FloatMap,
    FocalSource,
    ImageRef,
    Label,
    LabelArrays,
    LabelRow,
    Members,
    ModelCard,
    Outcome,
    RefinedDepth,
)

# sha256 of the file, and what the list says of it: caption, focal_px, fov_deg.
_Source = tuple[str, str | None, float | None, float | None]
_LABELS_REMEMBERED = 16  # of 518 x 518 px: 70 MB


@dataclass(frozen=True, slots=True, eq=False)
class Labeller:
    """The models of a recipe, ready to label images one by one.

    An image's label is a function of its bytes, its caption and camera, `settings`, and its id, or
    of all but the last with `labels.deduplicate: true`. Then the last labels are kept, and a file
    with the bytes, caption and camera of one of them gets its maps without being refined again.
    """

    settings: LabelSettings
    estimator: DepthEstimator
    refiner: Refiner
    device: str
    allowed: Allowed = ANYTHING
    _last: OrderedDict[_Source, Label] = field(default_factory=OrderedDict, init=False, repr=False)

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every model that was loaded, the coarse one first."""
        return (self.estimator.card, *self.refiner.cards)

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
        started = time.perf_counter()
        label = self._label(ref, before)
        if label.is_kept:
            return label
        return replace(label, row=replace(label.row, seconds=time.perf_counter() - started))

    def _label(self, ref: ImageRef, before: LabelRow | None) -> Label:
        row = self._blank_row(ref)
        try:
            content = read_bytes(ref, self.settings.decoding, self.allowed)
            if before is not None and is_unchanged(content, ref, before):
                return Label(relocated(before, row))
            image = decode(content, self.settings.decoding, self.estimator.processing_size)
        except ImageRejected as error:
            return Label(replace(row, outcome=Outcome.REJECTED, reason=recorded(str(error))))
        row = _with_file(row, image)
        source = (image.sha256, ref.caption, ref.focal_px, ref.fov_deg)
        if source in self._last:
            return _for_another(row, self._last[source])
        try:
            label = self._refine(ref, row, image)
        except RefinementFailed as error:
            return Label(replace(row, outcome=Outcome.FAILED, reason=recorded(str(error))))
        if self.settings.deduplicate:
            self._remember(source, label)
        return label

    def _remember(self, source: _Source, label: Label) -> None:
        self._last[source] = label
        if len(self._last) > _LABELS_REMEMBERED:
            self._last.popitem(last=False)

    def _refine(self, ref: ImageRef, row: LabelRow, image: DecodedImage) -> Label:
        rgb_hw3 = image.rgb_hw3
        focal = known_focal(ref, image)
        focal_px = None if focal is None else focal.px * rgb_hw3.shape[1] / image.width_px
        coarse = mask_far(self.estimator.estimate(rgb_hw3, focal_px))
        row = _with_focal(row, focal, focal_px, coarse)
        if not coarse.is_known_hw.any():
            return Label(replace(row, outcome=Outcome.REJECTED, reason=coarse.empty_reason()))
        caption = self.refiner.caption(rgb_hw3, ref.caption)
        seed_key = image.sha256 if self.settings.deduplicate else ref.id
        members = self.refiner.refine(
            RefinementInput(seed_key, rgb_hw3, coarse.unmasked, caption or "")
        )
        row = replace(row, caption=caption)
        return self._reduce_and_guard(row, coarse, coarse.mask_members(members))

    def _reduce_and_guard(self, row: LabelRow, coarse: MaskedDepth, members: Members) -> Label:
        """Reduce the members and make the label: the refined map, or the coarse one and why."""
        is_metric = coarse.unmasked.kind.is_metric
        refined = reduce_members(
            members, coarse.map_hw, self.settings.ensemble, is_metric=is_metric
        )
        verdict = guard(coarse.map_hw, refined.map_hw, self.settings.guard, is_metric=is_metric)
        if members.refused is not None:
            verdict = replace(verdict, collapse=members.refused)
        row = _with_members(row, members, verdict)
        within = coarse.mask_refined(refined)
        if verdict.collapse is None and not np.isfinite(within.map_hw).any():
            verdict = replace(verdict, collapse="refined map has nothing within the far limit")
        if verdict.collapse is not None:
            return _fallen_back(row, coarse, members.extra, verdict.collapse)
        row = replace(row, outcome=Outcome.REFINED)
        valid_hw = coarse.validity(refined.map_hw, within.map_hw)
        return _label(row, coarse, within, {**members.extra, VALID: valid_hw})

    def _blank_row(self, ref: ImageRef) -> LabelRow:
        """Start a row with what is known before a byte is read; failed until proved otherwise."""
        untrained = any(card.untrained for card in self.cards)
        return replace(blank_row(ref, Outcome.FAILED), device=self.device, untrained=untrained)


def _for_another(row: LabelRow, label: Label) -> Label:
    """Give a label to another file with the same bytes: all but what the file's own row says."""
    return replace(label, row=relocated(label.row, row))


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
    return Labeller(settings, estimator, refiner, str(device), allowed)


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


def _with_file(row: LabelRow, image: DecodedImage) -> LabelRow:
    return replace(
        row,
        sha256=image.sha256,
        file_format=image.file_format,
        decode_notes="; ".join(image.notes) or None,
        image_height_px=image.height_px,
        image_width_px=image.width_px,
    )


def _with_focal(
    row: LabelRow, focal: Focal | None, focal_px: float | None, coarse: MaskedDepth
) -> LabelRow:
    """Record the focal length at the label's size: the camera's own, else the model's."""
    if focal is not None:
        return replace(row, focal_px=focal_px, focal_source=focal.source)
    seen_px = coarse.unmasked.focal_px
    source = None if seen_px is None else FocalSource.MODEL
    return replace(row, focal_px=seen_px, focal_source=source)


def _with_members(row: LabelRow, members: Members, verdict: Verdict) -> LabelRow:
    return replace(
        row,
        num_members=len(members.maps_ehw),
        members_stopped="; ".join(members.stopped) or None,
        drift=_known(verdict.drift),
        rank_correlation=_known(verdict.rank_correlation),
        metric_scale=members.metric.scale if members.metric else None,
        metric_shift=members.metric.shift if members.metric else None,
        agreeing_share=members.metric.agreeing_share if members.metric else None,
    )


def _fallen_back(row: LabelRow, coarse: MaskedDepth, extra: Extra, why: str) -> Label:
    """Make the label of the coarse map: without spread, confidence and the refiner's extra maps."""
    size_hw = (coarse.map_hw.shape[0], coarse.map_hw.shape[1])
    row = replace(row, outcome=Outcome.FELL_BACK, reason=why)
    kept = RefinedDepth(
        coarse.map_hw, SPREAD.absent(size_hw), CONFIDENCE.absent(size_hw), num_members=0
    )
    valid_hw = coarse.validity(coarse.unmasked.map_hw, coarse.map_hw)
    absent = {quantity: quantity.absent(size_hw) for quantity in extra}
    return _label(row, coarse, kept, {**absent, VALID: valid_hw})


def _label(row: LabelRow, coarse: MaskedDepth, kept: RefinedDepth, extra: Extra) -> Label:
    """Put a label together: the maps that are kept, and what the row says of them."""
    row = replace(
        row,
        height_px=kept.map_hw.shape[0],
        width_px=kept.map_hw.shape[1],
        kind=coarse.unmasked.kind,
        mean_confidence=_mean(kept.confidence_hw),
        mean_spread=_mean(kept.spread_hw),
        far_share=coarse.far_share(kept.map_hw),
    )
    maps = (coarse.map_hw, kept.map_hw, kept.spread_hw, kept.confidence_hw)
    return Label(row, LabelArrays.of_depth(*maps, {**coarse.unmasked.extra, **extra}))


def _mean(map_hw: FloatMap) -> float | None:
    """Return the mean of the values that are known, None if there are none."""
    known_hw = np.isfinite(map_hw)
    if not known_hw.any():
        return None
    return float((map_hw if known_hw.all() else map_hw[known_hw]).mean())


def _known(value: float) -> float | None:
    """Return None for NaN: a catalogue says "absent" with null."""
    return value if np.isfinite(value) else None
