"""Does a collection look like the one that intervals were calibrated on: cues against cues.

Of each image the mean of ln(cue) is taken, and of each cue the distribution over images compared by
the two-sample Kolmogorov-Smirnov distance. A distance says that images differ in what the cues see.
None says that they are alike: what a cue does not see it cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.confidence.mapping import Intervals
from redepth.confidence.probability import log_of

_TIE = 1e-4  # of ln(cue): a cue that is the same everywhere differs in rounding
ALPHA = 0.01  # chance of a false warning, over all cues together, for images that are alike


@dataclass(frozen=True, slots=True)
class CueShift:
    """How far a cue of a collection is from that of the images calibrated on.

    Attributes:
        distance: largest difference of the two cumulative distributions, 0 to 1.
        critical: that alike images stay below, but for 1 % over all cues.
    """

    cue: str
    distance: float
    critical: float

    @property
    def is_shifted(self) -> bool:
        return self.distance > self.critical


def mean_log_cues(cues: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, float]:
    """Return an image's mean ln(cue) over its pixels, of each cue that is known anywhere."""
    return {
        name: float(np.nanmean(log_of(values)))
        for name, values in cues.items()
        if np.isfinite(values).any()
    }


def shifts_of(own: Intervals, images: Sequence[Mapping[str, float]]) -> list[CueShift]:
    """Compare images' mean cues (`mean_log_cues`) with those calibrated on, the farthest first."""
    found = []
    for cue, quantiles in own.calibration_cues.items():
        values = np.sort([image[cue] for image in images if cue in image])
        if values.size:
            distance = _distance(np.asarray(quantiles), values)
            critical = _critical(own.num_images, values.size, len(own.calibration_cues))
            found.append(CueShift(cue, distance, critical))
    return sorted(found, key=lambda shift: -shift.distance)


def shift_words(shifts: Sequence[CueShift], num_images: int) -> str | None:
    """Warn of images unlike those calibrated on; None where no cue tells them apart."""
    far = [shift for shift in shifts if shift.is_shifted]
    if not far:
        return None
    named = ", ".join(f"{one.cue} {one.distance:.2f} of {one.critical:.2f}" for one in far[:3])
    return (
        f"unlike the images that the intervals were calibrated on: {len(far)} of {len(shifts)} "
        f"cues differ over {num_images} images (Kolmogorov-Smirnov distance, and what alike images "
        f"stay below: {named}); what the intervals promise need not hold here"
    )


def _distance(quantiles: npt.NDArray[np.float64], sorted_n: npt.NDArray[np.float64]) -> float:
    """Return how far a sample is from a distribution's quantiles; ties are no distance."""

    def expected(at_n: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        shares = np.linspace(0.0, 1.0, len(quantiles))
        found_n = np.interp(at_n, quantiles, shares, left=0.0)
        return np.where(at_n >= quantiles[-1], 1.0, found_n)

    steps = np.arange(sorted_n.size + 1) / sorted_n.size
    above_n, below_n = expected(sorted_n + _TIE), expected(sorted_n - _TIE)
    return float(max((steps[1:] - above_n).max(), (below_n - steps[:-1]).max(), 0.0))


def _critical(num_first: int, num_second: int, num_cues: int) -> float:
    """Return the distance that `ALPHA / num_cues` of large samples that are alike exceed."""
    factor = math.sqrt(-math.log(ALPHA / num_cues / 2.0) / 2.0)
    return factor * math.sqrt((num_first + num_second) / (num_first * num_second))
