"""Turn one label into what a page shows of it: pictures and a cloud, small and inline."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from redepth.exports.colour_png import in_colours, limits_of
from redepth.quantities import AnyMap, Quantity
from redepth.report.pictures import (
    CONFIDENCE_COLOURS,
    DEPTH_COLOURS,
    ERROR_COLOURS,
    LabelPicture,
    shared_range,
)
from redepth.types import ByteImage, DepthKind, FloatMap

# Longer sides: a card is about this wide, and a cloud of this grid turns smoothly on a phone.
PICTURE_PX = 448
CLOUD_PX = 96
# Lossy WebP halves the resolution of colour, which shows on a map that is drawn enlarged.
_LOSSLESS_UP_TO_PX = 128
_PHOTOGRAPH_QUALITY = 78
_MAP_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Layer:
    """One picture of a card.

    Attributes:
        name: "photograph", "coarse error", "refined error", or a quantity's.
        uri: the picture itself, as a data URI.
        colours: name of the colour map, None for a photograph.
        low, high: what the two ends of the colours mean.
    """

    name: str
    uri: str
    colours: str | None = None
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True)
class Relief:
    """A shape as the data URI of a PNG, one pixel a point: nearness is (256 R + G) / 65535.

    1 is nearest; B is 255 where the map is not defined.
    """

    name: str
    uri: str


def layers_of(picture: LabelPicture) -> tuple[Layer, ...]:
    """Return the pictures of a label that there are; coarse and refined share their colours."""
    low, high = shared_range(picture)
    kind = picture.row.kind or DepthKind.AFFINE_DISPARITY
    ends = depth_ends(kind, low, high)
    layers = [
        coloured("coarse", picture.coarse_hw, (low, high), DEPTH_COLOURS, ends),
        coloured("refined", picture.refined_hw, (low, high), DEPTH_COLOURS, ends),
    ]
    if picture.photograph_hw3 is not None:
        layers.insert(0, photograph(picture.photograph_hw3))
    if np.isfinite(picture.confidence_hw).any():
        layers.append(
            coloured(
                "confidence", picture.confidence_hw, (0.0, 1.0), CONFIDENCE_COLOURS, ("0", "1")
            )
        )
    layers += [
        _extra_layer(quantity, values)
        for quantity, values in picture.extra.items()
        if np.isfinite(values).any()
    ]
    return (*layers, *_error_layers(picture))


def photograph(rgb_hw3: ByteImage) -> Layer:
    """Return a photograph, made small."""
    return Layer("photograph", _webp(rgb_hw3, _PHOTOGRAPH_QUALITY))


def reliefs_of(picture: LabelPicture) -> tuple[Relief, ...]:
    """Return both maps of a label as reliefs in one scale."""
    limits = shared_range(picture)
    kind = picture.row.kind or DepthKind.AFFINE_DISPARITY
    maps = {"coarse": picture.coarse_hw, "refined": picture.refined_hw}
    return tuple(relief(name, map_hw, limits, kind) for name, map_hw in maps.items())


def relief(name: str, map_hw: FloatMap, limits: tuple[float, float], kind: DepthKind) -> Relief:
    """Encode nearness within limits in 16 bits, at a grid of no more than CLOUD_PX a side."""
    near, far = limits[::-1] if kind.grows_towards_camera else limits
    span = near - far if near != far else 1.0
    image = Image.fromarray(np.clip((map_hw - far) / span, 0.0, 1.0))
    image.thumbnail((CLOUD_PX, CLOUD_PX), Image.Resampling.BOX)
    near_hw = np.asarray(image)
    steps_hw = np.round(np.nan_to_num(near_hw) * 65535).astype(np.uint16)
    undefined_hw = np.where(np.isfinite(near_hw), 0, 255)
    points = np.stack((steps_hw >> 8, steps_hw & 255, undefined_hw), axis=-1).astype(np.uint8)
    return Relief(name, _data_uri(Image.fromarray(points), "png", optimize=True))


def depth_ends(kind: DepthKind, low: float, high: float) -> tuple[str, str]:
    """Say what the two ends of a depth map's colours mean."""
    if kind is DepthKind.METRIC_DEPTH:
        return f"{low:.3g} m", f"{high:.3g} m"
    return ("far", "near") if kind.grows_towards_camera else ("near", "far")


def colour_stops(colours: str, number: int = 9) -> str:
    """Return a colour map as the stops of a CSS gradient, from low to high."""
    import matplotlib
    from matplotlib.colors import to_hex

    return ", ".join(to_hex(c) for c in matplotlib.colormaps[colours](np.linspace(0, 1, number)))


def _error_layers(picture: LabelPicture) -> list[Layer]:
    if picture.errors is None:
        return []
    maps = {"coarse error": picture.errors.coarse_hw, "refined error": picture.errors.refined_hw}
    high = float(np.nanquantile(np.concatenate([m.ravel() for m in maps.values()]), 0.99))
    ends = ("0 %", f"{high:.1%} of the true depth")
    return [coloured(n, m, (0.0, high), ERROR_COLOURS, ends) for n, m in maps.items()]


def coloured(
    name: str,
    map_hw: AnyMap,
    limits: tuple[float, float],
    colours: str,
    ends: tuple[str, str],
) -> Layer:
    """Return a map in colours, its limits being the two ends of them."""
    return Layer(name, _webp(in_colours(colours, map_hw, limits), _MAP_QUALITY), colours, *ends)


def _extra_layer(quantity: Quantity, values: AnyMap) -> Layer:
    """Return a further quantity in colours of its own; three channels are red, green and blue."""
    limits = limits_of(quantity, values)
    ends = (f"{limits[0]:.3g}", f"{limits[1]:.3g}")
    return coloured(quantity.name, values, limits, quantity.colour_map, ends)


def _webp(rgb_hw3: ByteImage, quality: int) -> str:
    image = Image.fromarray(rgb_hw3)
    if max(image.size) <= _LOSSLESS_UP_TO_PX:
        return _data_uri(image, "webp", lossless=True)
    image.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    return _data_uri(image, "webp", quality=quality)


def _data_uri(image: Image.Image, encoding: str, **options: int) -> str:
    buffer = BytesIO()
    image.save(buffer, encoding, **options)
    return f"data:image/{encoding};base64,{base64.b64encode(buffer.getvalue()).decode()}"
