"""The focal length behind a photograph: from its list, else from its EXIF.

Always in pixels of the upright photograph, horizontally; pixels are square.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redepth.errors import RefinementFailed
from redepth.types import DecodedImage, FocalSource, ImageRef

# A field of view beyond these is a slip (millimetres for pixels, radians for degrees), not a lens.
SMALLEST_FOV_DEG, LARGEST_FOV_DEG = 1.0, 175.0

_FULL_FRAME_MM = (36.0, 24.0)
_FOCAL_LENGTH_MM = 0x920A
_FOCAL_LENGTH_35MM = 0xA405
_PLANE_X_RESOLUTION = 0xA20E
_PLANE_RESOLUTION_UNIT = 0xA210
_EXIF_WIDTH, _EXIF_HEIGHT = 0xA002, 0xA003
_MM_OF_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True, slots=True)
class Focal:
    """A focal length in pixels of the upright photograph, and who says so."""

    px: float
    source: FocalSource


def focal_of_fov(fov_deg: float, width_px: int) -> float:
    """Return the focal length in pixels: width / (2 tan(fov / 2)), fov horizontal."""
    return 0.5 * width_px / math.tan(math.radians(fov_deg) / 2)


def fov_of_focal(focal_px: float, width_px: int) -> float:
    """Return the horizontal field of view in degrees: 2 atan(width / (2 focal))."""
    return 2 * math.degrees(math.atan(0.5 * width_px / focal_px))


def is_plausible(focal_px: float, width_px: int) -> bool:
    """Whether a lens of that field of view could have taken the photograph."""
    if not (math.isfinite(focal_px) and focal_px > 0):
        return False
    return SMALLEST_FOV_DEG <= fov_of_focal(focal_px, width_px) <= LARGEST_FOV_DEG


def known_focal(ref: ImageRef, image: DecodedImage) -> Focal | None:
    """Return what the list says, else what EXIF says, else None.

    Raises:
        RefinementFailed: the list's focal length cannot be of this photograph.
    """
    if ref.fov_deg is not None:
        return Focal(focal_of_fov(ref.fov_deg, image.width_px), FocalSource.LIST)
    if ref.focal_px is not None:
        if not is_plausible(ref.focal_px, image.width_px):
            raise RefinementFailed(
                f"the list's focal_px {ref.focal_px:g} is a field of view of "
                f"{fov_of_focal(ref.focal_px, image.width_px):.4g} degrees on a photograph "
                f"{image.width_px} px wide: it is to be in pixels of the whole upright photograph, "
                "not in millimetres; fix the list and run again with --retry failed"
            )
        return Focal(ref.focal_px, FocalSource.LIST)
    return None if image.focal_px is None else Focal(image.focal_px, FocalSource.EXIF)


def exif_focal_px(
    exif: Mapping[int, Any], width_px: int, height_px: int
) -> tuple[float | None, tuple[str, ...]]:
    """Return the focal length that EXIF tells, and notes on what in it cannot be.

    FocalLengthIn35mmFilm f35, by the diagonal: f = f35 * diagonal / sqrt(36^2 + 24^2); else
    FocalLength * FocalPlaneXResolution, scaled if the picture is not as wide as EXIF says. 0 is
    EXIF's word for "unknown".

    Args:
        exif: the tags of the Exif IFD by number.
        width_px, height_px: as stored, before the picture is turned upright.
    """
    notes: list[str] = []
    for name, read in (("FocalLengthIn35mmFilm", _by_film), ("FocalLength", _by_plane)):
        try:
            focal_px = read(exif, width_px, height_px)
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            notes.append(f"EXIF {name} not readable, ignored")
            continue
        if focal_px is None:
            continue
        if is_plausible(focal_px, width_px):
            return focal_px, tuple(notes)
        notes.append(f"EXIF {name} cannot be: a focal length of {focal_px:.3g} px, ignored")
    return None, tuple(notes)


def _by_film(exif: Mapping[int, Any], width_px: int, height_px: int) -> float | None:
    film_mm = _number(exif, _FOCAL_LENGTH_35MM)
    if not film_mm:
        return None
    return film_mm * math.hypot(width_px, height_px) / math.hypot(*_FULL_FRAME_MM)


def _by_plane(exif: Mapping[int, Any], width_px: int, height_px: int) -> float | None:
    focal_mm, per_unit = (_number(exif, tag) for tag in (_FOCAL_LENGTH_MM, _PLANE_X_RESOLUTION))
    unit_mm = _MM_OF_UNIT.get(int(_number(exif, _PLANE_RESOLUTION_UNIT) or 2))
    if not focal_mm or not per_unit or unit_mm is None:
        return None
    sensor_px = max(_number(exif, _EXIF_WIDTH) or 0, _number(exif, _EXIF_HEIGHT) or 0)
    # The longer side, since a program may have turned the pixels and not what EXIF says of them.
    scale = max(width_px, height_px) / sensor_px if sensor_px > 0 else 1.0
    return focal_mm * per_unit / unit_mm * scale


def _number(exif: Mapping[int, Any], tag: int) -> float | None:
    value = exif.get(tag)
    return None if value is None else float(value)
