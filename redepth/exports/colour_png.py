"""colour-png: a quantity as a picture to look at, its own colour map between the ends of its range.

The pictures have the photographs' sizes, and lie in folders as the photographs do.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from redepth.errors import ConfigError
from redepth.exports.items import tree_names
from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat
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


def picture_of(quantity: Quantity, values: AnyMap, size_px: tuple[int, int]) -> Image.Image:
    """Return a map in colours, at a size (width, height)."""
    rgb_hw3 = in_colours(quantity.colour_map, values, limits_of(quantity, values))
    return Image.fromarray(rgb_hw3).resize(size_px, Image.Resampling.BILINEAR)


def describe(quantity: Quantity) -> dict[str, Any]:
    """Say what the colours of a quantity mean."""
    ends = ("1 %", "99 %")
    low, high = (
        at if end is None else f"{end:g}" for at, end in zip(ends, quantity.range, strict=True)
    )
    return {
        "type": "8-bit RGB",
        "value": f"{quantity.colour_map} from {low} to {high} of each map's values",
        "scale": "none: to look at",
        "invalid": "grey",
        "precision": "none: to look at",
    }


def _encode(values: AnyMap, facts: MapFacts, settings: ExportSettings) -> EncodedMap:
    height_px, width_px = values.shape[:2]
    file = io.BytesIO()
    picture = picture_of(facts.quantity, values, facts.photograph_px or (width_px, height_px))
    picture.save(file, format="PNG")
    return EncodedMap({"png": file.getvalue()})


def _decode(files: Mapping[str, bytes]) -> AnyMap:
    raise ConfigError(
        "this export is pictures to look at and holds no numbers: export again as png16, npy or exr"
    )


FORMAT = MapFormat(
    name="colour-png",
    files="`QUANTITY/FOLDER/NAME.png`, at the photograph's size, in folders as the photographs are",
    describe=describe,
    suffixes=("png",),
    encode=_encode,
    decode=_decode,
    names=tree_names,
    holds_numbers=False,
)
