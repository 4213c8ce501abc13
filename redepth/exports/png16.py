"""png16: a map as 16-bit grey PNG, with a scale that its sidecar states.

value = code / scale + offset, code in 1..65535; code 0 is invalid. Channels lie one below the
other: [H, W, C] is a picture of C H rows. What is a code itself (uint8) is stored as code + 1.
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
from redepth.quantities import AnyMap, Quantity
from redepth.types import DepthKind

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

    def encode(self, values: AnyMap) -> npt.NDArray[np.uint16]:
        """Return codes; NaN, and what no code can say, become 0."""
        codes = np.rint((values.astype(np.float64) - self.offset) * self.scale)
        with np.errstate(invalid="ignore"):
            fits = (codes >= _FIRST) & (codes <= _LAST)
        return np.where(fits, codes, INVALID).astype(np.uint16)

    def decode(self, codes: npt.NDArray[np.uint16]) -> AnyMap:
        """Return float32 values, NaN where the code is 0."""
        values = codes.astype(np.float64) / self.scale + self.offset
        return np.where(codes == INVALID, np.nan, values).astype(np.float32)


def choose_scaling(
    values: AnyMap, quantity: Quantity, kind: DepthKind, metric_scale: float
) -> Scaling:
    """Return a fixed scale for codes, metres and closed ranges, else the map's own two ends."""
    low, high = quantity.range
    if values.dtype == np.uint8:
        return Scaling(1.0, -1.0)
    if quantity.is_depth and kind is DepthKind.METRIC_DEPTH:
        return Scaling(metric_scale, 0.0)
    if low is not None and high is not None:
        return _spanning(low, high)
    finite = values[np.isfinite(values)].astype(np.float64)
    return _spanning(finite.min(), finite.max()) if finite.size else Scaling(1.0, 0.0)


def encode(values: AnyMap, scaling: Scaling) -> bytes:
    """Return the bytes of a PNG of 16 bits, channels one below the other."""
    rows = values if values.ndim == 2 else np.concatenate(np.moveaxis(values, 2, 0))
    file = io.BytesIO()
    Image.fromarray(scaling.encode(rows)).save(file, format="PNG")
    return file.getvalue()


def decode(content: bytes, sidecar: bytes) -> AnyMap:
    """Read a map back, float32 [H, W] or [H, W, C], from its PNG and its sidecar."""
    facts = json.loads(sidecar)
    with Image.open(io.BytesIO(content)) as image:
        codes_hw = np.asarray(image, dtype=np.uint16)
    values = Scaling(facts["scale"], facts["offset"]).decode(codes_hw)
    channels = int(facts["channels"])
    return values if channels == 1 else np.stack(np.split(values, channels), axis=2)


def sidecar(facts: MapFacts, scaling: Scaling, num_lost: int) -> bytes:
    """Return the JSON beside a PNG: what holds for all maps of the quantity, and for this one."""
    said = {
        "id": facts.image_id,
        "channels": facts.quantity.channels,
        **facts.described,
        **asdict(scaling),
        "precision": scaling.precision,
        "num_out_of_range": num_lost,
    }
    return (json.dumps(said, indent=2) + "\n").encode()


def count_lost(values: AnyMap, scaling: Scaling) -> int:
    """Count finite values that no code can say, and that are invalid in the PNG."""
    return int((np.isfinite(values) & (scaling.encode(values) == INVALID)).sum())


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


def describe(quantity: Quantity) -> dict[str, Any]:
    """Say what the codes of a quantity mean."""
    return {
        "type": "uint16",
        "value": "code / scale + offset",
        "scale": f"in {quantity.name}/NAME.json beside every {quantity.name}/NAME.png, offset too",
        "invalid": INVALID,
        "precision": "0.5 / scale",
    }


def _encode(values: AnyMap, facts: MapFacts, settings: Png16Settings) -> EncodedMap:
    scaling = choose_scaling(values, facts.quantity, facts.kind, settings.metric_scale)
    num_lost = count_lost(values, scaling)
    files = {"json": sidecar(facts, scaling, num_lost), "png": encode(values, scaling)}
    return EncodedMap(files, num_lost)


def _decode(files: Mapping[str, bytes]) -> AnyMap:
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
