"""Do intervals hold what they promise, and what error is left where the surest pixels are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from redepth.evaluation.evaluate import ImageScores, PixelSample
from redepth.metrics.bootstrap import MeanInterval, bootstrap_mean
from redepth.metrics.sparsification import NUM_STEPS

NUM_DEPTHS = 5
NUM_TENTHS = 10
MOST_FOLDERS = 20
KEPT_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.1)

Values = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Some pixels, and how many of them lie inside their interval.

    Attributes:
        group: which pixels, in words.
        num_images: that have any.
        coverage: share of the pixels with an interval that lie inside.
        width: mean width, over the map's range; of metric depth over the depth.
    """

    group: str
    num_images: int
    coverage: float
    width: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Intervals against ground truth.

    Attributes:
        over_images: mean over images of each one's covered share, with its bootstrap interval.
        share_of_images: those whose own covered share reaches the promise.
        whole: all pixels together.
        by_confidence: by tenths of the confidence, the least sure first.
        by_depth: by fifths of the true depth, the nearest first.
        by_folder: by the folder of the photograph; empty of one folder, or of more than 20.
    """

    promised: float
    over_images: MeanInterval
    share_of_images: float
    whole: CoverageRow
    by_confidence: tuple[CoverageRow, ...]
    by_depth: tuple[CoverageRow, ...]
    by_folder: tuple[CoverageRow, ...]

    @property
    def rows(self) -> tuple[CoverageRow, ...]:
        """All rows in the order of a table."""
        return (self.whole, *self.by_confidence, *self.by_depth, *self.by_folder)


@dataclass(frozen=True, slots=True)
class KeptRow:
    """What is left of the error where the surest pixels of each image are kept.

    Attributes:
        share: of the pixels that are kept.
        abs_rel: mean over images of the kept pixels' AbsRel.
        relative: over that of all pixels.
        oracle: the same where the best pixels were kept.
    """

    share: float
    abs_rel: float
    relative: float
    oracle: float


def coverage_of(images: Sequence[ImageScores], promised: float | None) -> Coverage | None:
    """Measure stored intervals on the images' samples; None where no image has any."""
    known = [_Bounded.of(image) for image in images if _has_bounds(image)]
    if promised is None or not known:
        return None
    own = [float(one.is_inside_n.mean()) for one in known]
    folders = {one.folder for one in known}
    return Coverage(
        promised=promised,
        over_images=bootstrap_mean(own, 0),
        share_of_images=float(np.mean([share >= promised for share in own])),
        whole=_row("all pixels", known, _all),
        by_confidence=_by_quantile(known, "confidence", NUM_TENTHS, lambda one: one.confidence_n),
        by_depth=_by_quantile(known, "depth", NUM_DEPTHS, lambda one: one.depth_n),
        by_folder=tuple(
            _row(f"folder {folder}", [one for one in known if one.folder == folder], _all)
            for folder in sorted(folders)
        )
        if 1 < len(folders) <= MOST_FOLDERS
        else (),
    )


def kept_rows(images: Sequence[ImageScores]) -> tuple[KeptRow, ...]:
    """Return what error is left of the surest shares; empty where no image has a confidence."""
    curves = [
        (image.refined.abs_rel, image.sparsification)
        for image in images
        if image.sparsification is not None
    ]
    if not curves:
        return ()
    whole = float(np.mean([error for error, _ in curves]))
    rows = []
    for share in KEPT_SHARES:
        step = round((1.0 - share) * NUM_STEPS)
        kept = float(np.mean([error * one.curve_k[step] for error, one in curves]))
        best = float(np.mean([error * one.oracle_k[step] for error, one in curves]))
        rows.append(KeptRow(share, kept, kept / whole, best / whole))
    return tuple(rows)


def coverage_words(found: Coverage) -> str:
    """Say in one line whether the intervals hold."""
    worst = max((abs(row.coverage - found.promised) for row in found.by_confidence), default=0.0)
    return (
        f"intervals promise {found.promised:.0%}: {found.whole.coverage:.1%} of the pixels lie "
        f"inside, over images {found.over_images.mean:.1%} [{found.over_images.low:.1%}, "
        f"{found.over_images.high:.1%}]; {found.share_of_images:.0%} of the images reach it; the "
        f"tenths of the confidence are off by up to {worst:.1%}; mean width {found.whole.width:.3g}"
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Bounded:
    """The pixels of one image that have an interval."""

    folder: str
    confidence_n: Values
    depth_n: Values
    is_inside_n: Bools
    width_n: Values

    @classmethod
    def of(cls, image: ImageScores) -> _Bounded:
        sample = _sample_of(image)
        assert sample.bounds is not None, "chosen so"
        known_n = sample.bounds.is_known_n
        return cls(
            PurePosixPath(image.uri).parent.name,
            sample.confidence_n[known_n],
            sample.depth_n[known_n],
            sample.bounds.is_inside_n[known_n],
            sample.bounds.width_n[known_n],
        )


def _has_bounds(image: ImageScores) -> bool:
    sample = image.pixels
    return sample is not None and sample.bounds is not None and bool(sample.bounds.is_known_n.any())


def _sample_of(image: ImageScores) -> PixelSample:
    assert image.pixels is not None, "chosen so"
    return image.pixels


def _all(one: _Bounded) -> Bools:
    return np.ones(len(one.is_inside_n), np.bool_)


def _by_quantile(
    images: Sequence[_Bounded], what: str, number: int, values: Callable[[_Bounded], Values]
) -> tuple[CoverageRow, ...]:
    """Sort all pixels into groups of equal number by a value."""
    inner = np.arange(1, number) / number
    edges = np.quantile(np.concatenate([values(one) for one in images]), inner)
    ends = [-np.inf, *edges, np.inf]
    rows = []
    for low, high in pairwise(ends):
        words = f"{what} {_between_words(low, high)}"
        row = _row(words, images, _between(values, low, high))
        rows += [row] if row.num_images else []
    return tuple(rows)


def _between(
    values: Callable[[_Bounded], Values], low: float, high: float
) -> Callable[[_Bounded], Bools]:
    return lambda one: (values(one) >= low) & (values(one) < high)


def _between_words(low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"below {high:.3g}"
    return f"{low:.3g} to {high:.3g}" if np.isfinite(high) else f"{low:.3g} and above"


def _row(
    group: str, images: Sequence[_Bounded], chosen: Callable[[_Bounded], Bools]
) -> CoverageRow:
    parts: Mapping[int, Bools] = {n: chosen(one) for n, one in enumerate(images)}
    inside = np.concatenate([images[n].is_inside_n[part] for n, part in parts.items()])
    width = np.concatenate([images[n].width_n[part] for n, part in parts.items()])
    return CoverageRow(
        group,
        sum(bool(part.any()) for part in parts.values()),
        float(inside.mean()) if inside.size else float("nan"),
        float(width.mean()) if width.size else float("nan"),
    )
