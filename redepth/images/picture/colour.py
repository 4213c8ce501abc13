"""Colours of a picture with an ICC profile, brought to sRGB by LittleCMS.

- A profile that means sRGB, whoever wrote it, leaves the bytes alone: it is told by what it does to
  a lattice of colours, not by its name. So does a picture without a profile.
- Any other RGB, grey or CMYK profile is applied, relative colorimetric with black point
  compensation, and said in a note. What sRGB cannot show is clipped.
- A profile that cannot be used (damaged, of another colour space than the picture) is ignored with
  a note: the samples are taken as sRGB.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from redepth.printable import one_line
from redepth.storage_errors import in_words

__all__ = ["SRGB_TOLERANCE", "to_srgb"]

SRGB_TOLERANCE = 4  # of 255: what vendors' sRGB profiles differ by; Display P3 differs by over 100
MAX_PROFILE_BYTES = 2**24  # press profiles have some 2 MB

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_GREY_MODES = frozenset(("1", "L", "LA", "La"))
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # the profile's name -> Pillow's mode


class _UnusableProfile(Exception):
    """The profile cannot be applied; says why."""


@dataclass(frozen=True, slots=True)
class _Profile:
    """How a profile brings pictures of its own mode to sRGB; no transform: they are in it."""

    name: str
    mode: str
    transform: ImageCms.ImageCmsTransform | None


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert a picture of 8 bits a sample from its profile's colours to sRGB.

    Args:
        image: of any 8-bit mode; transparency is kept.
        profile: the ICC profile's bytes; None or empty: the picture has none.

    Returns:
        The picture itself where nothing is to be done, else one of mode RGB or RGBA; and notes.
    """
    if not profile or image.mode == "LAB":  # L*a*b* needs no profile
        return image, ()
    try:
        known = _read(profile)
        _require_same_space(image, known)
    except _UnusableProfile as error:
        return image, (f"colour profile not usable ({error}), taken as sRGB",)
    if known.transform is None:
        return image, ()
    return _converted(image, known), (f"colours converted from {known.name} to sRGB",)


@lru_cache(maxsize=8)  # most collections have a handful of profiles
def _read(profile: bytes) -> _Profile:
    """Read a profile and find out whether it changes anything; raises _UnusableProfile."""
    if len(profile) > MAX_PROFILE_BYTES:
        raise _UnusableProfile(f"it has {len(profile):,} bytes")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space
        mode = _SPACES.get(space)
        if mode is None:
            raise _UnusableProfile(f"of colour space {space.strip()}")
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", _INTENT, _FLAGS)
        is_srgb = mode != "CMYK" and _changes_at_most(transform, _lattice(mode))
        name = one_line(ImageCms.getProfileDescription(source).strip(), 60)
    except _UnusableProfile:
        raise
    except Exception as error:  # LittleCMS's own, and whatever a damaged profile provokes
        raise _UnusableProfile(in_words(error)) from error
    name = name or f"an unnamed {mode} profile"
    return _Profile(name, mode, None if is_srgb else transform)


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_at_most(transform: ImageCms.ImageCmsTransform, lattice: Image.Image) -> bool:
    """Whether a transform changes no colour of a lattice by more than the tolerance."""
    after = np.asarray(ImageCms.applyTransform(lattice, transform), dtype=np.int16)
    before = np.asarray(lattice.convert("RGB"), dtype=np.int16)
    return int(np.abs(after - before).max()) <= SRGB_TOLERANCE


def _lattice(mode: str) -> Image.Image:
    """Return every grey, and for RGB 9 levels of each channel besides."""
    greys_n = np.arange(256, dtype=np.uint8)
    if mode == "L":
        return Image.fromarray(greys_n[None])
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube_n3 = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([cube_n3, np.repeat(greys_n[:, None], 3, 1)])[None])


def _require_same_space(image: Image.Image, known: _Profile) -> None:
    """Refuse a profile of other colours than the picture has; grey pictures may have an RGB one."""
    if known.mode == "CMYK" or image.mode == "CMYK":
        fits = known.mode == image.mode
    elif known.mode == "L":
        fits = image.mode in _GREY_MODES
    else:
        fits = True
    if not fits:
        raise _UnusableProfile(f"of {known.mode} colours, the picture is {image.mode}")


def _converted(image: Image.Image, known: _Profile) -> Image.Image:
    assert known.transform is not None
    if not image.has_transparency_data:
        colours = image if image.mode == known.mode else image.convert(known.mode)
        return _applied(colours, known)
    with_alpha = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    converted = _applied(with_alpha.convert(known.mode), known)
    converted.putalpha(with_alpha.getchannel("A"))
    return converted


def _applied(colours: Image.Image, known: _Profile) -> Image.Image:
    assert known.transform is not None
    converted = ImageCms.applyTransform(colours, known.transform)
    assert converted is not None
    return converted
