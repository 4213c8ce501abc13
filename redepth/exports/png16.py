"""png16: a map as 16-bit grey PNG, with a scale that its sidecar states.

value = code / scale + offset, code in 1..65535; code 0 is invalid
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat
from redepth.types import DepthKind, FloatMap

INVALID = 0
_FIRST, _LAST = 1, 65535


@dataclass(frozen=True, slots=True)
class Scaling:
    """How codes and values of one map hang together: value = code / scale + offset.

    A value that fits is off by at most `precision` = 0.5 / scale, and the rounding of float32.
    """

    scale: float
    offset: float

    @property
    def precision(self) -> float:
        return 0.5 / self.scale

    def encode(self, map_hw: FloatMap) -> npt.NDArray[np.uint16]:
        """Return codes; NaN, and what no code can say, become 0."""
        codes_hw = np.rint((map_hw.astype(np.float64) - self.offset) * self.scale)
        with np.errstate(invalid="ignore"):
            fits_hw = (codes_hw >= _FIRST) & (codes_hw <= _LAST)
        return np.where(fits_hw, codes_hw, INVALID).astype(np.uint16)

    def decode(self, codes_hw: npt.NDArray[np.uint16]) -> FloatMap:
        """Return float32 values, NaN where the code is 0."""
        values_hw = codes_hw.astype(np.float64) / self.scale + self.offset
        return np.where(codes_hw == INVALID, np.nan, values_hw).astype(np.float32)


def choose_scaling(
    map_hw: FloatMap, quantity: str, kind: DepthKind, metric_scale: float
) -> Scaling:
    """Return a fixed scale for metres and for shares, else the map's own minimum and maximum."""
    if quantity == "confidence":
        return _spanning(0.0, 1.0)
    if kind is DepthKind.METRIC_DEPTH and quantity != "spread":
        return Scaling(metric_scale, 0.0)
    finite = map_hw[np.isfinite(map_hw)].astype(np.float64)
    return _spanning(finite.min(), finite.max()) if finite.size else Scaling(1.0, 0.0)


def encode(map_hw: FloatMap, scaling: Scaling) -> bytes:
    """Return the bytes of a PNG of 16 bits."""
    file = io.BytesIO()
    Image.fromarray(scaling.encode(map_hw)).save(file, format="PNG")
    return file.getvalue()


def decode(content: bytes, sidecar: bytes) -> FloatMap:
    """Read a map back, float32 [H, W], from its PNG and its sidecar."""
    facts = json.loads(sidecar)
    with Image.open(io.BytesIO(content)) as image:
        codes_hw = np.asarray(image, dtype=np.uint16)
    return Scaling(facts["scale"], facts["offset"]).decode(codes_hw)


def sidecar(facts: MapFacts, scaling: Scaling, num_lost: int) -> bytes:
    """Return the JSON beside a PNG: what holds for all maps of the quantity, and for this one."""
    said = {
        "id": facts.image_id,
        **facts.described,
        **asdict(scaling),
        "precision": scaling.precision,
        "num_out_of_range": num_lost,
    }
    return (json.dumps(said, indent=2) + "\n").encode()


def count_lost(map_hw: FloatMap, scaling: Scaling) -> int:
    """Count finite values that no code can say, and that are invalid in the PNG."""
    return int((np.isfinite(map_hw) & (scaling.encode(map_hw) == INVALID)).sum())


def _spanning(low: float, high: float) -> Scaling:
    """Let the codes 1..65535 reach from `low` to `high`; a constant map has code 1 everywhere."""
    step = (high - low) / (_LAST - _FIRST) if high > low else abs(low) * 1e-7 or 1.0
    return Scaling(float(1 / step), float(low - _FIRST * step))


class Png16Settings(ExportSettings):
    """What may be chosen of 16-bit PNG."""

    metric_scale: float = Field(
        1000.0,
        gt=0,
        allow_inf_nan=False,
        description="of metric maps, codes a metre: 1000 is millimetres and ends at 65 m, 256 is "
        "KITTI's and ends at 255 m",
    )


def describe(quantity: str) -> dict[str, Any]:
    """Say what the codes of a quantity mean."""
    return {
        "type": "uint16",
        "value": "code / scale + offset",
        "scale": f"in {quantity}/NAME.json beside every {quantity}/NAME.png, offset too",
        "invalid": INVALID,
        "precision": "0.5 / scale",
    }


def _encode(map_hw: FloatMap, facts: MapFacts, settings: Png16Settings) -> EncodedMap:
    scaling = choose_scaling(map_hw, facts.quantity, facts.kind, settings.metric_scale)
    num_lost = count_lost(map_hw, scaling)
    files = {"json": sidecar(facts, scaling, num_lost), "png": encode(map_hw, scaling)}
    return EncodedMap(files, num_lost)


def _decode(files: Mapping[str, bytes]) -> FloatMap:
    return decode(files["png"], files["json"])


FORMAT = MapFormat(
    name="png16",
    files="`QUANTITY/NAME.png`, and `.json` beside each: value = `code / scale + offset`",
    settings=Png16Settings,
    describe=describe,
    suffixes=("json", "png"),
    encode=_encode,
    decode=_decode,
)
