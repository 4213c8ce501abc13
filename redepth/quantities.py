"""What the maps of a label are: every quantity with its type, unit, range, meaning and colours.

A new one is one entry here and whoever computes it, or a `Quantity` in a package of one's own,
returned as `extra` by a coarse model or a refiner. The store writes the entry itself beside the
pixels: who reads an output needs no list of names, and knows quantities that he never heard of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

# float32 [H, W] or [H, W, C], or codes of one byte.
AnyMap = npt.NDArray[Any]
Dtype = Literal["float16", "float32", "uint8"]

# It names folders and members of archives, and may come from a stranger.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLOUR_MAP = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_MAX_CHANNELS = 64
_MAX_WORDS = 400


class Validity(IntEnum):
    """Why a pixel of `refined` has a value, or has none: the codes of the quantity `valid`.

    SKY is for coarse models that tell it from what is merely far; none of redepth's own does.
    """

    PADDING = 0
    VALID = 1
    SKY = 2
    BEYOND_RANGE = 3
    HOLE = 4


@dataclass(frozen=True, slots=True)
class Quantity:
    """What the numbers of one of a label's maps are.

    Attributes:
        name: small letters, digits and _.
        meaning: in words, one line.
        unit: None is that of the label's kind: metres, or none that is known.
        is_depth: whether its numbers are those of the label's kind, as of coarse and refined maps.
        dtype: in the store; of depth the recipe's `labels.storage.dtype` takes its place. In
            memory floats are float32, codes stay as they are.
        channels: 1 is a map [H, W], more are [H, W, channels].
        range: the least and the largest value; None is an end that is open.
        colour_map: matplotlib's name of the colours it is drawn in.
        drawn: whether pictures and reports show it unasked.

    Raises:
        ValueError: no such quantity can be stored.
    """

    name: str
    meaning: str
    unit: str | None = None
    is_depth: bool = False
    dtype: Dtype = "float32"
    channels: int = 1
    range: tuple[float | None, float | None] = (None, None)
    colour_map: str = "viridis"
    drawn: bool = True

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name[:80]!r} names no quantity; expected e.g. 'normals'")
        if not 1 <= self.channels <= _MAX_CHANNELS:
            raise ValueError(f"{self.name} has {self.channels} channels, expected 1 to 64")
        if not _COLOUR_MAP.fullmatch(self.colour_map):
            raise ValueError(f"{self.name}: {self.colour_map[:80]!r} names no colour map")
        if max(len(self.meaning), len(self.unit or "")) > _MAX_WORDS:
            raise ValueError(
                f"{self.name}: meaning or unit are longer than {_MAX_WORDS} characters"
            )

    @property
    def in_memory(self) -> np.dtype[Any]:
        """The dtype of its maps outside the store."""
        stored = np.dtype(self.dtype)
        return stored if stored.kind == "u" else np.dtype(np.float32)

    @property
    def padding(self) -> float:
        """What fills an array where a map has no pixel or no value: NaN, or the code 0."""
        return 0.0 if self.in_memory.kind == "u" else float("nan")

    def shape(self, size_hw: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of a map of this height and width."""
        return size_hw if self.channels == 1 else (*size_hw, self.channels)

    def absent(self, size_hw: tuple[int, int]) -> AnyMap:
        """Return a map that has no value anywhere."""
        return np.full(self.shape(size_hw), self.padding, dtype=self.in_memory)

    def require(self, map_hw: AnyMap) -> None:
        """Hold a map to this quantity. Raises ValueError for another dtype or shape."""
        size_hw = (map_hw.shape[0], map_hw.shape[1]) if map_hw.ndim >= 2 else (0, 0)
        fits = map_hw.dtype == self.in_memory and map_hw.shape == self.shape(size_hw)
        if not fits or 0 in map_hw.shape:
            axes = "[H, W]" if self.channels == 1 else f"[H, W, {self.channels}]"
            raise ValueError(
                f"{self.name}: expected {self.in_memory} {axes}, got {map_hw.dtype} {map_hw.shape}"
            )


COARSE = Quantity("coarse", "what the coarse model said", is_depth=True, colour_map="magma")
REFINED = Quantity(
    "refined", "the label: the refined map, or the coarse one", is_depth=True, colour_map="magma"
)
SPREAD = Quantity(
    "spread",
    "standard deviation of the members",
    dtype="float16",
    range=(0.0, None),
    drawn=False,
)
CONFIDENCE = Quantity(
    "confidence",
    "how sure the map is: agreement of the members or a fitted probability, larger is surer",
    unit="share, 0 to 1",
    dtype="float16",
    range=(0.0, 1.0),
)
LOWER = Quantity(
    "lower",
    "least value of the interval in which the true depth lies, in refined's own numbers: of a "
    "disparity the far end",
    is_depth=True,
    colour_map="magma",
    drawn=False,
)
UPPER = Quantity(
    "upper",
    "largest value of the interval in which the true depth lies, in refined's own numbers: of a "
    "disparity the near end",
    is_depth=True,
    colour_map="magma",
    drawn=False,
)
VALID = Quantity(
    "valid",
    "why refined has a value or none: "
    + ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in Validity),
    unit="code",
    dtype="uint8",
    range=(0.0, 4.0),
    colour_map="tab10",
    drawn=False,
)

# Their order is that of digests, columns and pictures; others follow by name.
QUANTITIES = {one.name: one for one in (COARSE, REFINED, SPREAD, CONFIDENCE, LOWER, UPPER, VALID)}
# What every label has: rows tell means of them, and reports compare the first two.
ALWAYS = (COARSE, REFINED, SPREAD, CONFIDENCE)


def in_order(quantities: Iterable[Quantity]) -> list[Quantity]:
    """Sort quantities into the order in which they are stored: redepth's own first."""
    own = list(QUANTITIES)
    return sorted(
        quantities, key=lambda one: (own.index(one.name) if one.name in own else len(own), one.name)
    )


def confidence_words(within: float | None) -> str:
    """Say what a confidence is: agreement, or the fitted probability to be within a factor."""
    if within is None:
        return "how far the ensemble's members agree; not a probability"
    return (
        f"probability that a depth is within a factor of {within:g} of the truth after alignment, "
        "as fitted on data whose truth is known; on other data a guess"
    )
