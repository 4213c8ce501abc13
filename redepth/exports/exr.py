"""exr: a map as OpenEXR, one float32 channel "Y", losslessly compressed, NaN where invalid."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from redepth.errors import ConfigError
from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat
from redepth.types import FloatMap

_CHANNEL = "Y"  # luminance: the one that viewers and OpenCV show of a grey picture


def encode(map_hw: FloatMap, facts: Mapping[str, str]) -> bytes:
    """Return the bytes of an EXR file; `facts` become attributes of its header.

    Raises:
        ConfigError: OpenEXR is not installed.
    """
    exr = _openexr()
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage, **facts}
    channels = {_CHANNEL: np.ascontiguousarray(map_hw, dtype=np.float32)}
    with tempfile.TemporaryDirectory() as folder:  # the library writes to paths alone
        path = Path(folder, "map.exr")
        exr.File(header, channels).write(str(path))
        return path.read_bytes()


def decode(content: bytes) -> FloatMap:
    """Read a map back, bit for bit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "map.exr")
        path.write_bytes(content)
        with _openexr().File(str(path)) as file:
            map_hw: FloatMap = file.channels()[_CHANNEL].pixels.copy()
    return map_hw


def _openexr() -> ModuleType:
    try:
        import OpenEXR
    except ImportError as error:
        raise ConfigError(
            "the format exr takes OpenEXR, which is not installed: pip install 'redepth[exr]'"
        ) from error
    module: ModuleType = OpenEXR
    return module


def _check() -> None:
    _openexr()


def _encode(map_hw: FloatMap, facts: MapFacts, settings: ExportSettings) -> EncodedMap:
    header = {"id": facts.image_id, "quantity": facts.quantity, "kind": str(facts.kind)}
    return EncodedMap({"exr": encode(map_hw, header)})


def _decode(files: Mapping[str, bytes]) -> FloatMap:
    return decode(files["exr"])


FORMAT = MapFormat(
    name="exr",
    files="`QUANTITY/NAME.exr`, channel `Y`; takes `redepth[exr]`",
    check=_check,
    suffixes=("exr",),
    encode=_encode,
    decode=_decode,
)
