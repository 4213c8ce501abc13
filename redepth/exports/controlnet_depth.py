"""controlnet-depth: 8-bit inverse depth, near is white, for depth-conditioned image generation.

The pictures have the photographs' sizes, and lie in folders as the photographs do; the catalogue
has the captions. Lossy, a condition and no measure: each map is stretched from the 0.5 % to the
99.5 % quantile of its inverse depth, so that scale and shift are gone, and 256 steps are left. What
is infinitely far or has no value is black. An affine-invariant depth, whose inverse nobody knows,
is turned round instead: white is its nearest end. Other quantities are grey from the least to the
largest value of their range.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from redepth.errors import ConfigError
from redepth.exports.colour_png import limits_of
from redepth.exports.items import tree_names
from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat
from redepth.quantities import AnyMap, Quantity
from redepth.types import DepthKind, FloatMap

_ENDS = (0.005, 0.995)


def nearness(values: FloatMap, kind: DepthKind) -> FloatMap:
    """Return a map that grows towards the camera: inverse depth, as far as the kind has one."""
    if kind is DepthKind.AFFINE_DISPARITY:
        return values
    if kind is DepthKind.AFFINE_DEPTH:
        return -values
    with np.errstate(divide="ignore"):
        return np.where(values > 0, 1 / values, np.float32(np.nan))


def grey(values: FloatMap, low: float, high: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return uint8: 0 at `low` and below, and where there is no value; 255 at `high` and above."""
    share = (values - np.float32(low)) / np.float32(max(high - low, 1e-12))
    return np.asarray(np.rint(255 * np.clip(np.nan_to_num(share), 0, 1)), dtype=np.uint8)


def describe(quantity: Quantity) -> dict[str, Any]:
    """Say that it is lossy."""
    return {
        "type": "8-bit grey",
        "value": "inverse depth from the 0.5 % to the 99.5 % quantile of each map, near is white"
        if quantity.is_depth
        else "from the least to the largest value of its range",
        "scale": "none: lossy, a condition for image generation",
        "invalid": "black",
        "precision": "none: lossy",
    }


def _encode(values: AnyMap, facts: MapFacts, settings: ExportSettings) -> EncodedMap:
    first = values if values.ndim == 2 else values[..., 0]
    if facts.quantity.is_depth:
        first = nearness(first, facts.kind)
        finite = first[np.isfinite(first)]
        low, high = np.quantile(finite, _ENDS) if finite.size else (0.0, 1.0)
    else:
        low, high = limits_of(facts.quantity, first)
    height_px, width_px = first.shape
    picture = Image.fromarray(grey(first.astype(np.float32), float(low), float(high)))
    size_px = facts.photograph_px or (width_px, height_px)
    file = io.BytesIO()
    picture.resize(size_px, Image.Resampling.BILINEAR).save(file, format="PNG")
    return EncodedMap({"png": file.getvalue()})


def _decode(files: Mapping[str, bytes]) -> AnyMap:
    raise ConfigError("this export is 8-bit pictures and holds no numbers: export again as png16")


FORMAT = MapFormat(
    name="controlnet-depth",
    files="`QUANTITY/FOLDER/NAME.png`, near is white, at the photograph's size; lossy",
    describe=describe,
    suffixes=("png",),
    encode=_encode,
    decode=_decode,
    names=tree_names,
    holds_numbers=False,
)
