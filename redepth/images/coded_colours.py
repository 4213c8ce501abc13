"""Colours that HEIC and AVIF state by code numbers in place of a profile (ITU-T H.273, `nclx`).

They are not converted: of HDR (PQ, HLG) a rendering to 8 bits is a matter of taste. That they were
taken as sRGB is said.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

_PRIMARIES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # what is not, or not nearly, sRGB's
_TRANSFERS = {8: "linear light", 16: "PQ", 18: "HLG"}
_BOX = b"colrnclx"


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


def _note(primaries: int, transfer: int) -> tuple[str, ...]:
    names = [_PRIMARIES.get(primaries), _TRANSFERS.get(transfer)]
    said = ", ".join(name for name in names if name)
    return (f"colours are {said} by the file's codes, taken as sRGB",) if said else ()
