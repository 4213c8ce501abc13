"""Cues: what of a label's maps may tell where its depth is wrong, in one table.

A cue is larger where the map is less sure, and does not change with scale and shift of the map. All
come from maps that a label stores, so a calibration can use them long after labelling. Recipes,
`redepth calibrate`, the reader and the docs ask `CUES`; a further cue is one entry there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.confidence.probes import PROBES
from redepth.geometry.alignment import fit_affine
from redepth.geometry.quantiles import range_between, values_where
from redepth.quantities import COARSE, REFINED, SPREAD
from redepth.types import DepthKind

DoubleMap = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating]
BoolMap = npt.NDArray[np.bool_]
Compute = Callable[["LabelMaps"], DoubleMap]

NEAR_SHARE, WIDE_SHARE = 0.02, 0.06  # of the longer side: deviations of the Gaussian
_END = 0.1  # nothing is infinitely sure at an end of the range
_BORDER = 0.02
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class LabelMaps:
    """The maps of one label that cues are taken from.

    Attributes:
        maps: by the name of their quantity, float [H, W]: coarse, refined, spread, and what
            `labels.probes` stored. NaN where nothing is known: there the cues are NaN too.
        kind: of coarse and refined.
    """

    maps: Mapping[str, FloatArray]
    kind: DepthKind

    @property
    def refined_hw(self) -> DoubleMap:
        return np.asarray(self.maps[REFINED.name], dtype=np.float64)

    @property
    def coarse_hw(self) -> FloatArray:
        return self.maps[COARSE.name]

    @property
    def is_known_hw(self) -> BoolMap:
        return np.isfinite(self.refined_hw) & np.isfinite(self.coarse_hw)


@dataclass(frozen=True, slots=True)
class Cue:
    """What may tell where a refined map is wrong.

    Attributes:
        name: as recipes and `redepth calibrate --cue` have it.
        formula: in words.
        needs: names of the quantities that it is computed from.
        cost: of an image, beside what its label costs anyway.
        compute: the maps of a label -> float64 [H, W] >= 0, larger is less sure.
    """

    name: str
    formula: str
    needs: tuple[str, ...]
    cost: str
    compute: Compute


def cues_of(maps: LabelMaps, names: Iterable[str]) -> dict[str, DoubleMap]:
    """Return some cues of a label, float64 [H, W] >= 0 each.

    Raises:
        LookupError: no such cue, or the label does not have the map that one is taken from.
    """
    found: dict[str, DoubleMap] = {}
    for name in names:
        missing = [needed for needed in CUES[name].needs if needed not in maps.maps]
        if missing:
            raise LookupError(f"the cue {name} takes the map {missing[0]}, which is not stored")
        found[name] = CUES[name].compute(maps)
    return found


def cues_in(held: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the cues that labels with these quantities have."""
    there = set(held)
    return tuple(name for name, cue in CUES.items() if there.issuperset(cue.needs))


def range_of(map_hw: FloatArray) -> float:
    """Return the 95 % minus the 5 % quantile of the finite values; NaN if there are none."""
    known_n = values_where(map_hw, np.isfinite(map_hw))
    return range_between(known_n, 0.05, 0.95) if known_n.size else float("nan")


def positive_range(map_hw: FloatArray) -> float:
    """Return the same, the smallest float32 for a map without range."""
    return max(range_of(map_hw), _TINY)


def _spread(maps: LabelMaps) -> DoubleMap:
    spread_hw = np.asarray(maps.maps[SPREAD.name], dtype=np.float64)
    return spread_hw / positive_range(maps.refined_hw)


def _slope(maps: LabelMaps) -> DoubleMap:
    map_hw, known_hw = maps.refined_hw, maps.is_known_hw
    down_hw, right_hw = np.gradient(map_hw)
    if not known_hw.all():
        # What lies beyond the far limit has no slope to its neighbours, and takes none from them.
        down_hw, right_hw = (
            np.where(known_hw, np.nan_to_num(slope_hw), np.nan) for slope_hw in (down_hw, right_hw)
        )
    slope_hw: DoubleMap = np.hypot(down_hw, right_hw) / positive_range(map_hw)
    return slope_hw


def _drift(maps: LabelMaps) -> DoubleMap:
    map_hw, known_hw = maps.refined_hw, maps.is_known_hw
    free = not maps.kind.is_metric and bool(known_hw.any())
    fit = fit_affine(map_hw, maps.coarse_hw, known_hw) if free else None
    moved_hw = np.abs((map_hw if fit is None else fit.apply(map_hw)) - maps.coarse_hw)
    return np.asarray(moved_hw / positive_range(maps.coarse_hw), dtype=np.float64)


def _place(maps: LabelMaps) -> DoubleMap:
    """Return where in its range a pixel lies, 0 (nearest) to 1 (farthest)."""
    map_hw, known_hw = maps.refined_hw, maps.is_known_hw
    low = float(np.quantile(map_hw[known_hw], 0.05)) if known_hw.any() else np.nan
    place_hw = np.clip((map_hw - low) / positive_range(map_hw), 0.0, 1.0)
    return np.asarray(1.0 - place_hw if maps.kind.grows_towards_camera else place_hw)


def _far(maps: LabelMaps) -> DoubleMap:
    return _place(maps) + _END


def _ends(maps: LabelMaps) -> DoubleMap:
    return np.abs(_place(maps) - 0.5) + _END / 2


def _border(maps: LabelMaps) -> DoubleMap:
    height, width = maps.refined_hw.shape
    rows_h, columns_w = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in (height, width))
    inside_hw = np.minimum(rows_h[:, None], columns_w[None, :]) / max(height, width)
    return np.where(maps.is_known_hw, 1.0 / (inside_hw + _BORDER), np.nan)


def _stored(name: str) -> Compute:
    return lambda maps: np.asarray(maps.maps[name], dtype=np.float64)


def _smoothed(compute: Compute, share: float) -> Compute:
    """Return a cue averaged over its surroundings, by the known pixels there."""

    def smooth(maps: LabelMaps) -> DoubleMap:
        from scipy.ndimage import gaussian_filter

        cue_hw = compute(maps)
        known_hw = np.isfinite(cue_hw)
        sigma_px = max(1.0, share * max(cue_hw.shape))
        if known_hw.all():
            return np.asarray(gaussian_filter(cue_hw, sigma_px))
        weight_hw = gaussian_filter(known_hw.astype(np.float64), sigma_px)
        sum_hw = gaussian_filter(np.where(known_hw, cue_hw, 0.0), sigma_px)
        mean_hw = np.full_like(cue_hw, np.nan)
        np.divide(sum_hw, weight_hw, out=mean_hw, where=known_hw)
        return mean_hw

    return smooth


_MAPS = (COARSE.name, REFINED.name)
_FREE = "nothing"
_POINTWISE = (
    Cue(
        SPREAD.name,
        "standard deviation over the aligned members, over the refined map's range",
        (*_MAPS, SPREAD.name),
        "a second member",
        _spread,
    ),
    Cue("slope", "gradient of the refined map a pixel, over its range", _MAPS, _FREE, _slope),
    Cue(
        "drift",
        "|aligned refined - coarse| over the coarse range: how far refining moved a pixel",
        _MAPS,
        _FREE,
        _drift,
    ),
    *(
        Cue(probe.name, probe.quantity.meaning, (*_MAPS, probe.quantity.name), probe.cost,
            _stored(probe.quantity.name))
        for probe in PROBES
    ),
)  # fmt: skip
_PLACES = (
    Cue("far", "place in the map's range, 0.1 nearest to 1.1 farthest", _MAPS, _FREE, _far),
    Cue("ends", "0.05 plus the distance to the middle of the map's range", _MAPS, _FREE, _ends),
    Cue(
        "border",
        "1 / (0.02 + distance to the picture's border as a share of its longer side)",
        _MAPS,
        _FREE,
        _border,
    ),
)


def _smoothed_cues(cue: Cue) -> Iterable[Cue]:
    for suffix, share in (("near", NEAR_SHARE), ("wide", WIDE_SHARE)):
        words = f"{cue.name}, smoothed by a Gaussian of {share:.0%} of the longer side"
        yield Cue(f"{cue.name}_{suffix}", words, cue.needs, cue.cost, _smoothed(cue.compute, share))


CUES: Mapping[str, Cue] = {
    cue.name: cue
    for cue in (*_POINTWISE, *_PLACES, *(s for one in _POINTWISE for s in _smoothed_cues(one)))
}
