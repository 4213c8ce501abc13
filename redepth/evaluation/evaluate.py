"""One set of labels against ground truth: every image, coarse and refined side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as pads

from redepth.confidence.cues import cues_of, positive_range, range_of
from redepth.confidence.files import read_mapping
from redepth.confidence.shift import mean_log_cues, shift_words, shifts_of
from redepth.datasets.depth_file import DepthFile
from redepth.datasets.finding import find_ground_truth
from redepth.datasets.ground_truth import BoolMap, GroundTruth, GroundTruthKind
from redepth.datasets.pairing import Pairing, pair, reasons
from redepth.errors import ConfigError
from redepth.evaluation.own_numbers import error_in_own_numbers, truth_in_own_numbers
from redepth.evaluation.scores import (
    Doubles,
    Scores,
    align_map,
    alignment_for,
    resize_map,
    score_depth,
)
from redepth.metrics.alignments import Alignment
from redepth.metrics.depth import error_factor, relative_error
from redepth.metrics.sparsification import NUM_STEPS, Sparsification, sparsify
from redepth.quantities import LOWER, UPPER
from redepth.store.dataset import Dataset
from redepth.store.reader import Labels, StoredLabel, open_labels
from redepth.types import DepthKind, Outcome

Floats = npt.NDArray[np.float32]

SAMPLE_PIXELS = 2000  # of an image, for reliability: neighbours say the same
NAMES_SHOWN = 5
WITHIN = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class PixelSample:
    """Up to 2000 scored pixels of a refined map at even distances.

    Attributes:
        confidence_n: float32 [N] in [0, 1], as stored; NaN where there is none.
        cues: float32 [N] >= 0 each, those that were asked for; see `redepth.confidence.cues`.
        factor_n: float32 [N] >= 1, max(d / t, t / d) of the aligned map.
        abs_rel_n: float32 [N] >= 0, |d - t| / t of the aligned map.
        error_n: float32 [N] >= 0, in the map's own numbers: see `error_in_own_numbers`. Infinite
            where the map runs against the truth.
        depth_n: float32 [N], the ground truth.
        bounds: of labels that store an interval.
    """

    confidence_n: Floats
    cues: Mapping[str, Floats]
    factor_n: Floats
    abs_rel_n: Floats
    error_n: Floats
    depth_n: Floats
    bounds: BoundsSample | None = None


@dataclass(frozen=True, slots=True, eq=False)
class BoundsSample:
    """The stored intervals of a sample's pixels.

    Attributes:
        is_known_n: bool [N], whether there is an interval.
        is_inside_n: bool [N], whether the truth, in the map's own numbers, lies inside.
        width_n: float32 [N], upper - lower over the map's 5 % to 95 % range; of metric depth over
            the depth itself.
    """

    is_known_n: BoolMap
    is_inside_n: BoolMap
    width_n: Floats


@dataclass(frozen=True, slots=True)
class DepthRange:
    """Smallest, median and largest ground truth of the pixels that are scored."""

    lowest: float
    median: float
    highest: float


@dataclass(frozen=True, slots=True, eq=False)
class ImageScores:
    """One image.

    Attributes:
        ground_truth: the file that it was measured against.
        alignment: how both maps were aligned to it.
        map_kind: of the label's maps.
        kind, unit: of the ground truth.
        num_pixels: how many the protocol asks for.
        coarse, refined: scores of both maps; equal for an image that fell back.
        sparsification: of the refined map's AbsRel by the stored confidence; None without one.
        pixels: for reliability and coverage; None of a label that fell back, or of which nothing
            is known.
    """

    id: str
    uri: str
    outcome: Outcome
    ground_truth: str
    alignment: Alignment
    map_kind: DepthKind
    kind: GroundTruthKind
    unit: str
    depth_range: DepthRange
    num_pixels: int
    coarse: Scores
    refined: Scores
    sparsification: Sparsification | None = field(default=None, repr=False)
    pixels: PixelSample | None = field(default=None, repr=False)

    @property
    def ause(self) -> float:
        """Area under the sparsification error, 1 for a random order; NaN without confidence."""
        return float("nan") if self.sparsification is None else self.sparsification.ause


@dataclass(frozen=True, slots=True, eq=False)
class LabelScores:
    """A set of labels against ground truth.

    Attributes:
        labels: URL of the output.
        recipe: its name.
        untrained: a model's weights came from a seed: the scores are meaningless.
        dataset_format: as asked for.
        alignment: as asked for; None for what each image's kind leaves free.
        within: the factor that the stored confidence speaks of, where it is a fitted probability;
            else 1.25.
        images: those that could be measured, in the output's order.
        promised: share of the pixels that the labels' intervals promise; None without them.
        shift: a warning where the images are unlike those that the intervals were calibrated on.
        unmeasured: reason by id of those that have ground truth and could not be measured.
        unreadable: reason by id of those whose file of ground truth cannot be read.
        unmatched: ids of labelled images without ground truth.
        ambiguous: of those, the ones with several files that fit, or with one that others fit too.
        contradicting: of those, the ones with a file of their name in folders that contradict.
        num_without_label: images that were rejected or failed.
    """

    labels: str
    recipe: str
    untrained: bool
    dataset_format: str
    alignment: Alignment | None
    within: float
    images: tuple[ImageScores, ...]
    unmeasured: Mapping[str, str]
    unmatched: tuple[str, ...]
    num_without_label: int
    promised: float | None = None
    shift: str | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contradicting: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[GroundTruthKind, ...]:
        """The kinds of ground truth; scores of different ones should not be averaged."""
        return tuple(dict.fromkeys(image.kind for image in self.images))

    @property
    def alignments(self) -> tuple[Alignment, ...]:
        """The alignments that were used; scores of different ones cannot be compared."""
        return tuple(dict.fromkeys(image.alignment for image in self.images))

    @property
    def units(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(image.unit for image in self.images))


@dataclass(frozen=True, slots=True)
class EvaluationInput:
    """Which labels are evaluated against which ground truth: only names, cheap to pass on.

    Attributes:
        labels: URL of an output.
        ground_truth: a folder in the format, or a list; see `find_ground_truth`.
        partial: whether labels without ground truth that can be read are left out instead of
            refused.
        where: a condition in SQL on the catalogue; the rest is as if it were not there.
        mapping: a file of `redepth calibrate` to read the labels with; None as they are stored.
    """

    labels: str
    ground_truth: Path
    dataset_format: str
    partial: bool = False
    where: str | None = None
    mapping: Path | None = None

    @property
    def summary(self) -> str:
        return f"{self.labels} against {self.dataset_format}"

    def open(self) -> tuple[Labels, Pairing]:
        """Open the output and find the ground truth of its labels.

        Raises:
            ConfigError: no labels, no ground truth, or labels without it; see `pair_labels`.
        """
        opened = open_labels(self.labels)
        chosen = opened if self.where is None else opened.where(self.where)
        if self.mapping is not None:
            chosen = chosen.calibrated(read_mapping(self.mapping))
        files = find_ground_truth(self.ground_truth, self.dataset_format, self.partial)
        return chosen, pair_labels(chosen, files, self.partial)


def pair_labels(labels: Labels, files: Sequence[DepthFile], partial: bool) -> Pairing:
    """Find the ground truth of every image that has a label.

    Args:
        partial: whether labels without ground truth are left out instead of refused.

    Raises:
        ConfigError: nothing pairs, or not everything does; names what has no match.
    """
    wanted = [outcome.value for outcome in Outcome if outcome.has_label]
    table = labels.table(["id", "uri"], pads.field("outcome").isin(wanted))
    uris = dict(zip(table["id"].to_pylist(), table["uri"].to_pylist(), strict=True))
    found = pair(uris, files)
    if not found.pairs or (found.unmatched and not partial):
        raise ConfigError(_unmatched_words(found, uris, files))
    return found


def score_labels(
    labels: Labels,
    pairing: Pairing,
    dataset_format: str,
    alignment: Alignment | None = None,
    on_scored: Callable[[], object] = lambda: None,
    *,
    partial: bool = False,
    cues: Sequence[str] = (),
) -> LabelScores:
    """Measure every image that has ground truth, one after the other.

    Args:
        alignment: None for what each image's kind leaves free; see `alignment_for`.
        on_scored: called after each image, for a progress bar.
        partial: whether ground truth that cannot be read is left out, and named in the result,
            instead of refused.
        cues: that the pixels' samples are to have, by name.

    Raises:
        ConfigError: ground truth that cannot be read, or an alignment that has no meaning here.
        LookupError: labels without the map that a cue is taken from.
    """
    cues = (*cues, *_calibration_cues(labels.dataset))
    images: list[ImageScores] = []
    unmeasured: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for image_id, file in pairing.pairs.items():
        label = labels[image_id]
        truth = _read_if_possible(label, file, unreadable if partial else None)
        if truth is not None:
            try:
                images.append(score_image(label, file, truth, alignment, cues))
            except ValueError as error:
                unmeasured[image_id] = str(error)
        on_scored()
    if unreadable and not images:
        first = next(iter(unreadable.values()))
        raise ConfigError(f"none of {len(pairing.pairs)} files of ground truth is usable: {first}")
    outcomes = labels.count_outcomes()
    own = labels.dataset.recorded.ensemble.intervals
    means = [mean_log_cues(one.pixels.cues) for one in images if one.pixels is not None]
    return LabelScores(
        labels=labels.url,
        recipe=labels.dataset.recipe_name,
        untrained=labels.dataset.untrained,
        dataset_format=dataset_format,
        alignment=alignment,
        within=_within(labels.dataset),
        promised=labels.dataset.recorded.promised_coverage,
        shift=None if own is None else shift_words(shifts_of(own, means), len(means)),
        images=tuple(images),
        unmeasured=unmeasured,
        unmatched=pairing.unmatched,
        num_without_label=sum(n for outcome, n in outcomes.items() if not outcome.has_label),
        unreadable=unreadable,
        ambiguous={i: tuple(str(f.path) for f in pairing.ambiguous[i]) for i in pairing.ambiguous},
        contradicting={i: str(file.path) for i, file in pairing.contradicting.items()},
    )


def read_ground_truth(label: StoredLabel, file: DepthFile) -> GroundTruth:
    """Read what a label is measured against.

    Raises:
        ConfigError: the file cannot be read, or does not show what the photograph shows.
    """
    return file.read((label.row.image_height_px or 1, label.row.image_width_px or 1))


def _read_if_possible(
    label: StoredLabel, file: DepthFile, unreadable: dict[str, str] | None
) -> GroundTruth | None:
    """Read ground truth; what cannot be read is written down where that is wanted."""
    try:
        return read_ground_truth(label, file)
    except ConfigError as error:
        if unreadable is None:
            raise ConfigError(f"{error}. --partial leaves it out, and says so") from error
        unreadable[label.row.id] = str(error)
        return None


def score_image(
    label: StoredLabel,
    file: DepthFile,
    truth: GroundTruth,
    asked: Alignment | None,
    cues: Sequence[str] = (),
) -> ImageScores:
    """Measure one image's maps against its ground truth, which was read from a file.

    Raises:
        ConfigError: see `score_labels`.
        ValueError: no pixel is known within crop and cap, or none can be compared.
    """
    row = label.row
    if row.kind is None:
        raise ValueError("its catalogue row does not say what its map means")
    if not truth.mask_hw.any():
        raise ValueError("no pixel of its ground truth is known within crop and cap")
    alignment = alignment_for(asked, row.kind, truth)
    coarse_hw = align_map(label.coarse, row.kind, truth, alignment)
    refined_hw = align_map(label.refined, row.kind, truth, alignment)
    return ImageScores(
        id=row.id,
        uri=row.uri,
        outcome=row.outcome,
        ground_truth=str(file.path),
        alignment=alignment,
        map_kind=row.kind,
        kind=truth.kind,
        unit=truth.unit,
        depth_range=_depth_range(truth),
        num_pixels=int(truth.mask_hw.sum()),
        coarse=score_depth(coarse_hw, truth),
        refined=score_depth(refined_hw, truth),
        sparsification=_sparsification(label, refined_hw, truth),
        pixels=_sample(label, refined_hw, truth, cues),
    )


def _within(dataset: Dataset) -> float:
    """Return the factor of a recipe's fitted confidence, 1.25 where it has none."""
    within = dataset.recorded.confidence_within
    return WITHIN if within is None else within


def _calibration_cues(dataset: Dataset) -> tuple[str, ...]:
    """Return the cues that an output's images are compared with the calibration's by."""
    own = dataset.recorded.ensemble.intervals
    return () if own is None else tuple(own.calibration_cues)


def _depth_range(truth: GroundTruth) -> DepthRange:
    low, middle, high = np.quantile(truth.map_hw[truth.mask_hw], (0.0, 0.5, 1.0))
    return DepthRange(float(low), float(middle), float(high))


def _sparsification(
    label: StoredLabel, refined_hw: Doubles, truth: GroundTruth
) -> Sparsification | None:
    """Compare the stored confidence with the error, where there is one."""
    if not np.isfinite(label.confidence).any():
        return None
    confidence_hw = resize_map(label.confidence, truth.size_hw)
    scored_hw = truth.mask_hw & np.isfinite(refined_hw) & np.isfinite(confidence_hw)
    error_n = relative_error(refined_hw[scored_hw], truth.map_hw[scored_hw])
    if error_n.size < NUM_STEPS or not error_n.any():
        return None
    return sparsify(error_n, -confidence_hw[scored_hw])


def _sample(
    label: StoredLabel, refined_hw: Doubles, truth: GroundTruth, cues: Sequence[str]
) -> PixelSample | None:
    """Take pixels of a refined map at even distances; None of a map without range."""
    if label.row.outcome is not Outcome.REFINED:
        return None
    own_hw = resize_map(label.refined, truth.size_hw)
    scored_hw = truth.mask_hw & np.isfinite(refined_hw) & np.isfinite(own_hw)
    if not scored_hw.any() or not range_of(label.refined) > 0.0 or label.row.kind is None:
        return None
    step = -(-int(scored_hw.sum()) // SAMPLE_PIXELS)
    kind = label.row.kind

    def sampled(map_hw: npt.NDArray[np.floating]) -> Floats:
        return resize_map(map_hw.astype(np.float32), truth.size_hw)[scored_hw][::step]

    own_truth_hw = truth_in_own_numbers(own_hw, kind, truth)
    error_hw = error_in_own_numbers(own_hw, own_truth_hw, kind)
    found = cues_of(label.maps_for(cues), cues)
    depth_n, true_n = refined_hw[scored_hw][::step], truth.map_hw[scored_hw][::step]
    return PixelSample(
        confidence_n=np.clip(sampled(label.confidence), 0.0, 1.0),
        cues={cue: sampled(values_hw) for cue, values_hw in found.items()},
        factor_n=error_factor(depth_n, true_n).astype(np.float32),
        abs_rel_n=relative_error(depth_n, true_n).astype(np.float32),
        error_n=np.nan_to_num(error_hw[scored_hw][::step], nan=np.inf).astype(np.float32),
        depth_n=true_n.astype(np.float32),
        bounds=_bounds_sample(label, own_truth_hw, sampled, scored_hw, step),
    )


def _bounds_sample(
    label: StoredLabel,
    own_truth_hw: Doubles,
    sampled: Callable[[npt.NDArray[np.floating]], Floats],
    scored_hw: BoolMap,
    step: int,
) -> BoundsSample | None:
    if not {LOWER.name, UPPER.name} <= label.quantities.keys():
        return None
    lower_n, upper_n = sampled(label[LOWER.name]), sampled(label[UPPER.name])
    truth_n = own_truth_hw[scored_hw][::step]
    is_metric = label.row.kind is not None and label.row.kind.is_metric
    unit = sampled(label.refined) if is_metric else positive_range(label.refined)
    return BoundsSample(
        is_known_n=np.isfinite(lower_n) & np.isfinite(upper_n),
        is_inside_n=(lower_n <= truth_n) & (truth_n <= upper_n),
        width_n=((upper_n - lower_n) / unit).astype(np.float32),
    )


def _unmatched_words(found: Pairing, uris: Mapping[str, str], files: Sequence[DepthFile]) -> str:
    shown = reasons(found, uris, NAMES_SHOWN)
    unused = next((file for file in files if file not in found.pairs.values()), None)
    example = (
        "" if unused is None else f"\nground truth without a label, for example: {unused.path}"
    )
    advice = (
        "A file and its photograph have one name, and the folders on their paths below "
        "--ground-truth agree; give the folder in which they do, or as --ground-truth a .csv with "
        "columns uri and ground_truth, which states the pairs"
    )
    if found.pairs:
        advice += "; --partial evaluates only the others"
    return (
        f"{len(found.unmatched)} of {len(uris)} labelled images have no ground truth among "
        f"{len(files)} files{_doubtful_words(found)}:\n{shown}{example}\n{advice}"
    )


def _doubtful_words(found: Pairing) -> str:
    """Count those for which there is a file that could be meant."""
    counts = (
        (len(found.ambiguous), "fit several"),
        (len(found.contradicting), "contradict the file of their name"),
    )
    words = [f"{count} {what}" for count, what in counts if count]
    return f" ({', '.join(words)})" if words else ""
