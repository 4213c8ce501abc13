"""Views of stored labels: the same rows, with maps that are computed while they are read.

Nothing of an output is written. Exports, torch data sets and evaluation read through them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from redepth.confidence.bounds import Bounds, bounds_of
from redepth.confidence.cues import CUES, LabelMaps
from redepth.confidence.files import FittedConfidence
from redepth.confidence.probability import confidence_of
from redepth.errors import ConfigError
from redepth.quantities import COARSE, CONFIDENCE, LOWER, REFINED, UPPER, AnyMap, Quantity
from redepth.types import FloatMap, LabelRow, Outcome

# A quantity's name -> its map of each of some rows, as it is stored or as a view below has it.
ReadMaps = Callable[[str], list[AnyMap]]


class View(Protocol):
    """What computes maps of labels from those below it; can be pickled."""

    def quantities(self, held: Mapping[str, Quantity]) -> Mapping[str, Quantity]:
        """Return what labels have through this view.

        Raises:
            ConfigError: the labels do not hold what the view takes.
        """
        ...

    def read(self, rows: Sequence[LabelRow], quantity: str, below: ReadMaps) -> list[AnyMap]:
        """Return a map of each row."""
        ...


@dataclass(frozen=True, slots=True)
class KeepSurest:
    """Every image without its least sure pixels: there all its maps of numbers are NaN.

    Exactly the share of the pixels that have a confidence is kept, the surest first; of equal ones
    those that come first. Of an image without confidence nothing is. Codes stay as they are.

    Attributes:
        share: in (0, 1].
    """

    share: float

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ConfigError(f"a share of pixels is above 0 and at most 1, got {self.share}")

    def quantities(self, held: Mapping[str, Quantity]) -> Mapping[str, Quantity]:
        return held

    def read(self, rows: Sequence[LabelRow], quantity: str, below: ReadMaps) -> list[AnyMap]:
        maps = below(quantity)
        if maps[0].dtype.kind == "u":
            return maps
        kept = [surest(confidence_hw, self.share) for confidence_hw in below(CONFIDENCE.name)]
        return [_masked(map_hw, kept_hw) for map_hw, kept_hw in zip(maps, kept, strict=True)]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Labels with a confidence, and bounds, that were fitted after they were made.

    Labels that fell back have neither. Rows keep the means that were stored.
    """

    fitted: FittedConfidence

    def quantities(self, held: Mapping[str, Quantity]) -> Mapping[str, Quantity]:
        missing = [name for name in self._needed() if held and name not in held]
        if missing:
            raise ConfigError(
                f"the mapping looks at {', '.join(missing)}, and these labels do not hold it: "
                "calibrate with other --cue, or label with the probes of its recipe"
            )
        bounds = {LOWER.name: LOWER, UPPER.name: UPPER}
        return {**held, **(bounds if held and self.fitted.intervals is not None else {})}

    def read(self, rows: Sequence[LabelRow], quantity: str, below: ReadMaps) -> list[AnyMap]:
        makers = {CONFIDENCE.name: self._confidence}
        if self.fitted.intervals is not None:
            makers |= {
                LOWER.name: lambda maps: self._bounds(maps).lower_hw,
                UPPER.name: lambda maps: self._bounds(maps).upper_hw,
            }
        make = makers.get(quantity)
        if make is None:
            return below(quantity)
        names = self._needed()
        columns = [below(name) for name in names]
        return [
            self._made(row, dict(zip(names, maps, strict=True)), make)
            for row, *maps in zip(rows, *columns, strict=True)
        ]

    def _made(
        self, row: LabelRow, maps: Mapping[str, AnyMap], make: Callable[[LabelMaps], FloatMap]
    ) -> FloatMap:
        if row.outcome is not Outcome.REFINED or row.kind is None:
            return np.full(maps[COARSE.name].shape, np.nan, dtype=np.float32)
        wide = {name: map_hw.astype(np.float32) for name, map_hw in maps.items()}
        return make(LabelMaps(wide, row.kind))

    def _confidence(self, maps: LabelMaps) -> FloatMap:
        return confidence_of(maps, self.fitted.mapping).astype(np.float32)

    def _bounds(self, maps: LabelMaps) -> Bounds:
        assert self.fitted.intervals is not None, "asked before"
        return bounds_of(maps, self._confidence(maps), self.fitted.intervals)

    def _needed(self) -> list[str]:
        intervals = self.fitted.intervals
        cues = (*self.fitted.mapping.cues(), *(intervals.error.cues() if intervals else ()))
        names = [name for cue in cues for name in CUES[cue].needs]
        return list(dict.fromkeys((COARSE.name, REFINED.name, *names)))


def surest(confidence_hw: AnyMap, share: float) -> np.ndarray:
    """Return the surest pixels, bool [H, W]: ceil(share * known) of those with a value."""
    known_n = np.flatnonzero(np.isfinite(confidence_hw))
    order = np.argsort(-confidence_hw.ravel()[known_n].astype(np.float64), kind="stable")
    kept_hw = np.zeros(confidence_hw.shape, dtype=np.bool_)
    kept_hw.ravel()[known_n[order[: int(np.ceil(share * len(known_n)))]]] = True
    return kept_hw


def _masked(map_hw: AnyMap, kept_hw: np.ndarray) -> AnyMap:
    kept = kept_hw if map_hw.ndim == kept_hw.ndim else kept_hw[..., None]
    return np.where(kept, map_hw, map_hw.dtype.type(np.nan))
