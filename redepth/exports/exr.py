"""exr: a map as OpenEXR, float32, losslessly compressed, NaN where invalid.

One channel is "Y", three are "RGB"; any other number has names of two digits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from redepth.errors import ConfigError
from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat, exact
from redepth.quantities import AnyMap, Quantity

# What viewers and OpenCV show as a grey picture, and as a coloured one.
_GREY, _COLOUR = "Y", "RGB"


def encode(values: AnyMap, facts: Mapping[str, str]) -> bytes:
    """Return the bytes of an EXR file; `facts` become attributes of its header.

    Raises:
        ConfigError: OpenEXR is not installed.
    """
    exr = _openexr()
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage, **facts}
    channels = _channels(np.ascontiguousarray(values, dtype=np.float32))
    with tempfile.TemporaryDirectory() as folder:  # the library writes to paths alone
        path = Path(folder, "map.exr")
        exr.File(header, channels).write(str(path))
        return path.read_bytes()


def _channels(values: AnyMap) -> dict[str, AnyMap]:
    if values.ndim == 2:
        return {_GREY: values}
    if values.shape[2] == 3:
        return {_COLOUR: values}
    planes = np.moveaxis(values, 2, 0)
    return {f"{number:02}": np.ascontiguousarray(plane) for number, plane in enumerate(planes)}


def decode(content: bytes) -> AnyMap:
    """Read a map back, bit for bit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "map.exr")
        path.write_bytes(content)
        with _openexr().File(str(path)) as file:
            planes = {name: read.pixels.copy() for name, read in file.channels().items()}
    for alone in (_GREY, _COLOUR):
        if alone in planes:
            values: AnyMap = planes[alone]
            return values
    return np.stack([planes[name] for name in sorted(planes)], axis=2)


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


def describe(quantity: Quantity) -> dict[str, Any]:
    """Say that every quantity is float32 here, codes too."""
    return {**exact(quantity), "type": "float32"}


def _encode(values: AnyMap, facts: MapFacts, settings: ExportSettings) -> EncodedMap:
    header = {"id": facts.image_id, "quantity": facts.quantity.name, "kind": str(facts.kind)}
    return EncodedMap({"exr": encode(values, header)})


def _decode(files: Mapping[str, bytes]) -> AnyMap:
    return decode(files["exr"])


FORMAT = MapFormat(
    name="exr",
    files="`QUANTITY/NAME.exr`, channel `Y`; takes `redepth[exr]`",
    describe=describe,
    check=_check,
    suffixes=("exr",),
    encode=_encode,
    decode=_decode,
)
