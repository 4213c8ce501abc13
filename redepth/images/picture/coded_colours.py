"""Colours that a file states by a code in place of a profile: taken as sRGB, which is said.

HEIC and AVIF have numbers (ITU-T H.273, `nclx`), of which HDR (PQ, HLG) has no one rendering to 8
bits. Cameras set to Adobe RGB say so in EXIF alone (DCF 2.0: interoperability index R03).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

_PRIMARIES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # what is not, or not nearly, sRGB's
_TRANSFERS = {8: "linear light", 16: "PQ", 18: "HLG"}
_BOX = b"colrnclx"
_INTEROPERABILITY_INDEX, _ADOBE_RGB = 1, "R03"


def note_on_heic(info: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return a note on the colours that pillow-heif tells of a picture; none if a profile does."""
    codes = info.get("nclx_profile")
    if not codes or info.get("icc_profile"):
        return ()
    return _note(int(codes["color_primaries"]), int(codes["transfer_characteristics"]))


def note_on_avif(data: bytes, info: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return a note on the colours that an AVIF states, which Pillow does not tell."""
    start = data.find(_BOX) + len(_BOX)
    if start < len(_BOX) or start + 4 > len(data) or info.get("icc_profile"):
        return ()
    primaries, transfer = struct.unpack_from(">HH", data, start)
    return _note(primaries, transfer)


def note_on_exif(image: Image.Image) -> tuple[str, ...]:
    """Return a note on a picture that is Adobe RGB by its EXIF; none if a profile says what it is.

    Raises whatever a damaged EXIF block makes Pillow raise.
    """
    if image.info.get("icc_profile"):
        return ()
    index = image.getexif().get_ifd(ExifTags.IFD.Interop).get(_INTEROPERABILITY_INDEX)
    is_adobe = str(index).strip("\0 ") == _ADOBE_RGB
    return ("colours are Adobe RGB by EXIF, without a profile, taken as sRGB",) * is_adobe


def _note(primaries: int, transfer: int) -> tuple[str, ...]:
    names = [_PRIMARIES.get(primaries), _TRANSFERS.get(transfer)]
    said = ", ".join(name for name in names if name)
    return (f"colours are {said} by the file's codes, taken as sRGB",) if said else ()
