"""Processing sizes: an aspect-preserving size whose sides are multiples of the network's patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

# Height and width of the upright photograph -> height and width of the picture that is wanted.
TargetSize = Callable[[int, int], tuple[int, int]]
SizeRule = Literal["upper_bound", "lower_bound", "minimal"]


@dataclass(frozen=True, slots=True)
class UpperBound:
    """The size at which a network sees a picture: aspect kept, neither side above a bound.

    A `TargetSize` that can be sent to another process without the network.

    Attributes:
        size_px: the bound of both sides.
        multiple: of which both sides are.
    """

    size_px: int
    multiple: int

    def __call__(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return (height, width) in pixels for a picture of the given size."""
        new_width_px, new_height_px = input_size(width_px, height_px, self.size_px, self.multiple)
        return new_height_px, new_width_px


def input_size(
    width_px: int,
    height_px: int,
    size_px: int = 518,
    multiple: int = 14,
    rule: SizeRule = "upper_bound",
) -> tuple[int, int]:
    """Return (width, height) in pixels at which a network sees a picture of the given size.

    One scale is applied to both sides, each is then rounded to the nearest multiple. A side that
    the rule forbids is rounded the other way, and no side is shorter than one multiple, however
    narrow the picture.

    Args:
        width_px: the picture's width, >= 1.
        height_px: the picture's height, >= 1.
        size_px: length of the side that decides the scale, >= multiple.
        multiple: of which both sides are (the patch size).
        rule: "upper_bound": the longer side becomes size_px, nothing is longer;
            "lower_bound": the shorter side becomes size_px, nothing is shorter;
            "minimal": whichever of the two changes the picture's size least.

    Raises:
        ValueError: a side below 1, or size_px below multiple.

    Source: the resizing rules of Depth Anything and MiDaS; Re-Depth Anything uses "upper_bound".
    """
    if min(width_px, height_px) < 1 or size_px < multiple:
        raise ValueError(
            f"expected sides >= 1 and size_px >= {multiple}, "
            f"got {width_px} x {height_px} and size_px={size_px}"
        )
    scale = _scale(size_px / width_px, size_px / height_px, rule)
    return (
        _to_multiple(scale * width_px, size_px, multiple, rule),
        _to_multiple(scale * height_px, size_px, multiple, rule),
    )


def _scale(by_width: float, by_height: float, rule: SizeRule) -> float:
    if rule == "upper_bound":
        return min(by_width, by_height)
    if rule == "lower_bound":
        return max(by_width, by_height)
    return min(by_height, by_width, key=lambda scale: abs(1 - scale))


def _to_multiple(side_px: float, size_px: int, multiple: int, rule: SizeRule) -> int:
    count = round(side_px / multiple)
    if rule == "upper_bound":
        count = min(count, size_px // multiple)
    elif rule == "lower_bound":
        count = max(count, -(-size_px // multiple))
    return max(count, 1) * multiple
