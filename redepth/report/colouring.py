"""A quantity in colours, whatever it is: its own colour map between the two ends of its range."""

from __future__ import annotations

import numpy as np

from redepth.quantities import AnyMap, Quantity
from redepth.types import ByteImage

UNDEFINED_GREY = (128, 128, 128)
_ANY_COLOURS = "viridis"


def limits_of(quantity: Quantity, values: AnyMap) -> tuple[float, float]:
    """Return the two ends of its colours: those of its range, else 1 % and 99 % of the map."""
    finite = values[np.isfinite(values)]
    found = np.quantile(finite, (0.01, 0.99)) if finite.size else (0.0, 1.0)
    low, high = (
        float(at) if end is None else end for at, end in zip(found, quantity.range, strict=True)
    )
    return low, high


def in_colours(colours: str, values: AnyMap, limits: tuple[float, float]) -> ByteImage:
    """Return a map as a picture, uint8 [H, W, 3], grey where it is not defined.

    Three channels are red, green and blue; of any other number the first is drawn.

    Args:
        colours: matplotlib's name of a colour map; one that it does not know is another's.
        values: [H, W] or [H, W, C].
        limits: what the two ends of the colours mean.
    """
    import matplotlib

    low, high = limits
    if values.ndim == 3 and values.shape[2] != 3:
        values = values[..., 0]
    share = np.clip((values - np.float32(low)) / max(high - low, 1e-12), 0.0, 1.0)
    if values.ndim == 3:
        rgb_hw3 = np.round(255 * np.nan_to_num(share))
    else:
        known = colours if colours in matplotlib.colormaps else _ANY_COLOURS
        rgb_hw3 = matplotlib.colormaps[known](np.nan_to_num(share), bytes=True)[..., :3]
    defined_hw1 = np.isfinite(values.reshape(*values.shape[:2], -1)).all(axis=2, keepdims=True)
    return np.where(defined_hw1, rgb_hw3, np.array(UNDEFINED_GREY)).astype(np.uint8)
