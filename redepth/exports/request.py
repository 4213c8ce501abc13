"""What an export is to hold, and what its sidecar says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from redepth.errors import ConfigError
from redepth.quantities import QUANTITIES
from redepth.types import DepthKind

MILLIMETRES = 1000.0


class ExportFormat(StrEnum):
    """Formats by the name the command line knows them by; none has 8 bits."""

    PNG16 = "png16"
    NPY = "npy"
    EXR = "exr"
    WEBDATASET = "webdataset"
    HF_PARQUET = "hf-parquet"

    @property
    def suffix(self) -> str:
        """The ending of its files, without a dot."""
        return _SUFFIXES[self]

    @property
    def is_sharded(self) -> bool:
        """Whether a file holds the images of a whole shard, and not one map."""
        return self in (ExportFormat.WEBDATASET, ExportFormat.HF_PARQUET)


_SUFFIXES = {
    ExportFormat.PNG16: "png",
    ExportFormat.NPY: "npy",
    ExportFormat.EXR: "exr",
    ExportFormat.WEBDATASET: "tar",
    ExportFormat.HF_PARQUET: "parquet",
}


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to write; what an export was begun with, it goes on with.

    Attributes:
        quantities: of coarse, refined, spread, confidence.
        where: a condition in SQL over the catalogue, None for every label.
        with_images: the photographs too: upright 8-bit PNG at the label's size, pixel on pixel.
        metric_scale: of metric maps in png16, codes a metre: 1000 is millimetres and ends at 65 m,
            256 is KITTI's and ends at 255 m.

    Raises:
        ConfigError: an unknown quantity or none, a scale that is not positive.
    """

    format: ExportFormat
    quantities: tuple[str, ...] = ("refined", "confidence")
    where: str | None = None
    with_images: bool = False
    metric_scale: float = MILLIMETRES

    def __post_init__(self) -> None:
        if not self.quantities or not set(self.quantities) <= set(QUANTITIES):
            raise ConfigError(
                f"cannot export {', '.join(self.quantities) or 'nothing'}: expected some of "
                f"{', '.join(QUANTITIES)}"
            )
        if not 0 < self.metric_scale < float("inf"):
            raise ConfigError(f"expected a scale above 0 codes a metre, got {self.metric_scale}")

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "format": str(self.format), "quantities": list(self.quantities)}


def describe_quantity(quantity: str, kind: DepthKind, request: ExportRequest) -> dict[str, Any]:
    """Return what the sidecar says of one quantity: kind, unit, type, scale, invalid, precision."""
    described: dict[str, Any] = {
        "kind": _KINDS.get(quantity, str(kind)),
        "unit": "share, 0 to 1" if quantity == "confidence" else _unit(kind),
    }
    if request.format is not ExportFormat.PNG16:
        exact = {"scale": 1.0, "offset": 0.0, "invalid": "NaN", "precision": "exact"}
        return {**described, "type": "float32", **exact}
    return {
        **described,
        "type": "uint16",
        "value": "code / scale + offset",
        "scale": f"in {quantity}/NAME.json beside every {quantity}/NAME.png, offset too",
        "invalid": 0,
        "precision": "0.5 / scale",
    }


_KINDS = {
    "spread": "standard deviation of the members, in the map's unit",
    "confidence": "agreement of the members",
}


def _unit(kind: DepthKind) -> str:
    return "m" if kind is DepthKind.METRIC_DEPTH else "none: scale and shift are unknown"
