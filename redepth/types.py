"""The values an image becomes on its way: one frozen type a station, checked where it is made.

    ImageRef -> DecodedImage -> CoarseDepth -> Members -> RefinedDepth -> Label (LabelRow + arrays)

Axes are always (height, width), row 0 at the top; conventions are in docs/conventions.md.
Nothing here imports torch: arrays are NumPy, on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import SecretStr

from redepth.quantities import (
    ALWAYS,
    COARSE,
    CONFIDENCE,
    QUANTITIES,
    REFINED,
    SPREAD,
    AnyMap,
    Quantity,
    in_order,
)

FloatMap = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]
ByteMap = npt.NDArray[np.uint8]
# Further maps of an image, [H, W] or [H, W, channels] as their quantity says.
Extra = Mapping[Quantity, AnyMap]


class DepthKind(StrEnum):
    """What the numbers of a map mean. Disparity grows towards the camera, depth away from it."""

    AFFINE_DISPARITY = "affine_invariant_disparity"
    AFFINE_DEPTH = "affine_invariant_depth"
    METRIC_DEPTH = "metric_depth_m"

    @property
    def grows_towards_camera(self) -> bool:
        return self is DepthKind.AFFINE_DISPARITY

    @property
    def is_metric(self) -> bool:
        """Whether the numbers are metres: nothing of them is free to be aligned away."""
        return self is DepthKind.METRIC_DEPTH


class FocalSource(StrEnum):
    """Where a label's focal length comes from: the list, the photograph's EXIF, or the model."""

    LIST = "list"
    EXIF = "exif"
    MODEL = "model"


COARSE_ONLY = "coarse map, not refined"


class Outcome(StrEnum):
    """How an image ended. Every planned image ends in exactly one of these."""

    REFINED = "refined"
    FELL_BACK = "fell_back"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def words(self) -> str:
        """The outcome as a person reads it."""
        return self.value.replace("_", " ")

    @property
    def has_label(self) -> bool:
        """Whether arrays were stored: a refined map, or the coarse one it fell back to."""
        return self in (Outcome.REFINED, Outcome.FELL_BACK)


class ImageRef(NamedTuple):
    """One photograph as a listing saw it, before a byte of it is read.

    A tuple: a million of them are made in a second, of frozen dataclasses in three.

    Attributes:
        id: stable, unique within an output; see `redepth.images.collection.image_id`.
        uri: what fsspec opens, stored and shown; without secrets (see `redepth.redaction`).
        size_bytes: the object's size, None where the listing does not tell.
        version: ETag or modification time in nanoseconds; changes when the object does.
        caption: the list's own caption, if it has one.
        offset_bytes: where its bytes begin in the tar that the uri names; None elsewhere.
        focal_px: the list's own focal length, in pixels of the upright photograph.
        fov_deg: or its horizontal field of view.
        opens: the signed URL that is opened in the uri's place; held in memory, never stored.
    """

    id: str
    uri: str
    size_bytes: int | None = None
    version: str | None = None
    caption: str | None = None
    offset_bytes: int | None = None
    focal_px: float | None = None
    fov_deg: float | None = None
    opens: SecretStr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """An upright 8-bit sRGB photograph, at the size that was asked for.

    Attributes:
        rgb_hw3: uint8 [H, W, 3], at the size of the models, of a label, or the photograph's own.
        height_px, width_px: of the photograph itself, whatever the size of `rgb_hw3`.
        sha256: hex digest of the file's bytes.
        file_format: what the content is ("JPEG", "PNG", ...), whatever the name says.
        notes: what decoding had to do, in words ("first of 31 frames", ...), empty for most files.
        focal_px: focal length in pixels of the photograph, as its EXIF says; None if it does not.
    """

    rgb_hw3: ByteImage
    height_px: int
    width_px: int
    sha256: str
    file_format: str
    notes: tuple[str, ...] = ()
    focal_px: float | None = None

    def __post_init__(self) -> None:
        if self.rgb_hw3.dtype != np.uint8 or self.rgb_hw3.ndim != 3 or self.rgb_hw3.shape[2] != 3:
            raise ValueError(
                f"expected uint8 [H, W, 3], got {self.rgb_hw3.dtype} {self.rgb_hw3.shape}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class CoarseDepth:
    """What the monocular network says, at the processing size.

    Attributes:
        map_hw: float32 [H, W].
        kind: what the numbers mean.
        features: the estimator's own intermediate state for this image (token maps), opaque here.
        focal_px: of a model that sees it in the picture: in pixels of the map's width.
        far_limit_m: of a metric model: the depth beyond which the map has no value.
        extra: what else the model sees, stored with the label as it is (normals, ...).
    """

    map_hw: FloatMap
    kind: DepthKind
    features: object = field(default=None, repr=False)
    focal_px: float | None = None
    far_limit_m: float | None = None
    extra: Extra = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_map(self.map_hw, "coarse map")
        _require_extra(self.extra, self.map_hw.shape)


@dataclass(frozen=True, slots=True)
class MetricFit:
    """How a sharpened map was brought back to metres: metres = scale * map + shift.

    Attributes:
        scale, shift: means over the members, in metres a unit of the frame [-1, 1].
        agreeing_share: of the pixels, in [0, 1]: those that the fit rests on; mean over members.
    """

    scale: float
    shift: float
    agreeing_share: float


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """The ensemble as the refiner left it, not yet aligned or reduced.

    Attributes:
        maps_ehw: float32 [E, H, W], E >= 1, of the coarse map's kind.
        stopped: why members that are missing here stopped, in words (non-finite loss, ...).
        scale_offsets: the optimised scalar o of each member (Re-Depth Anything), else empty.
        metric: how members became metric (SharpDepth), else None.
        refused: why the refiner itself would rather keep the coarse map, or None.
        extra: what else belongs to the refined map (normals, bounds, ...), the same quantities for
            every image. Stored as it is, or as absent where the label falls back.
        num_steps: optimisation steps that the members took; None where a method has none.
        steps_ended: why there were no more of them, in words; None where a method has none.
        predicted_gain: of a cheap refiner with a triage: what the expensive one is expected to
            change, mean |expensive - cheap| over the map as a share of the coarse map's range from
            its 2 % to its 98 % quantile; None where nothing predicts it.
        refined_by: which of a recipe's methods made the maps; None where it has one.
        caption: the prompt, where it was chosen while refining; None leaves the one before.
    """

    maps_ehw: FloatMap
    stopped: tuple[str, ...] = ()
    scale_offsets: tuple[float, ...] = ()
    metric: MetricFit | None = None
    refused: str | None = None
    extra: Extra = field(default_factory=dict)
    num_steps: int | None = None
    steps_ended: str | None = None
    predicted_gain: float | None = None
    refined_by: str | None = None
    caption: str | None = None

    def __post_init__(self) -> None:
        if self.maps_ehw.dtype != np.float32 or self.maps_ehw.ndim != 3 or not len(self.maps_ehw):
            raise ValueError(
                f"expected float32 [E >= 1, H, W], got {self.maps_ehw.dtype} {self.maps_ehw.shape}"
            )
        _require_extra(self.extra, self.maps_ehw.shape[1:])


@dataclass(frozen=True, slots=True, eq=False)
class RefinedDepth:
    """The label's maps.

    Attributes:
        map_hw: float32 [H, W], the reduced ensemble, of the coarse map's kind.
        spread_hw: float32 [H, W] >= 0, standard deviation over the aligned members in the map's
            unit; NaN everywhere for an ensemble of 1.
        confidence_hw: float32 [H, W] in [0, 1], larger is surer; NaN for an ensemble of 1.
        num_members: members that went into the map.
    """

    map_hw: FloatMap
    spread_hw: FloatMap
    confidence_hw: FloatMap
    num_members: int

    def __post_init__(self) -> None:
        _require_map(self.map_hw, "refined map")
        for name in ("spread_hw", "confidence_hw"):
            _require_map(getattr(self, name), name)
            if getattr(self, name).shape != self.map_hw.shape:
                raise ValueError(f"{name} is {getattr(self, name).shape}, map {self.map_hw.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One line of the catalogue: everything about an image but its pixels.

    `shard`, `array_group` and `array_index` are given by the store when it commits; the rest by
    the pipeline. Fields that an outcome does not have are None. docs/catalogue.md lists units.
    """

    id: str
    uri: str
    outcome: Outcome
    reason: str | None = None
    size_bytes: int | None = None
    version: str | None = None
    offset_bytes: int | None = None
    sha256: str | None = None
    file_format: str | None = None
    decode_notes: str | None = None
    image_height_px: int | None = None
    image_width_px: int | None = None
    height_px: int | None = None
    width_px: int | None = None
    kind: DepthKind | None = None
    caption: str | None = None
    num_members: int | None = None
    members_stopped: str | None = None
    num_steps: int | None = None
    steps_ended: str | None = None
    predicted_gain: float | None = None
    refined_by: str | None = None
    drift: float | None = None
    rank_correlation: float | None = None
    metric_scale: float | None = None
    metric_shift: float | None = None
    agreeing_share: float | None = None
    mean_confidence: float | None = None
    mean_spread: float | None = None
    focal_px: float | None = None
    focal_source: FocalSource | None = None
    far_share: float | None = None
    attempts: int = 1
    seconds: float | None = None
    read_seconds: float | None = None
    waited_seconds: float | None = None
    model_seconds: float | None = None
    device: str | None = None
    untrained: bool = False
    shard: str | None = None
    array_group: str | None = None
    array_index: int | None = None

    @property
    def outcome_words(self) -> str:
        """The outcome as a person reads it; of a recipe that refines nothing, just that."""
        unchanged = self.outcome is Outcome.REFINED and self.drift == 0.0
        return COARSE_ONLY if unchanged else self.outcome.words

    @property
    def is_stored(self) -> bool:
        """Whether the store holds the row's pixels already: it is committed, or kept."""
        return self.array_group is not None


class LabelArrays(Mapping[str, AnyMap]):
    """The pixels of one label: its maps by the name of their quantity, all of one size.

    Attributes:
        quantities: what each of the maps is, in the order of iteration.
    """

    __slots__ = ("_maps", "quantities")

    def __init__(self, maps: Extra) -> None:
        """Hold the maps to what their quantities say.

        Raises:
            ValueError: one of `redepth.quantities.ALWAYS` is missing, a name comes twice, or a map
                has another dtype, shape or size.
        """
        self.quantities = tuple(in_order(maps))
        self._maps = {quantity.name: maps[quantity] for quantity in self.quantities}
        missing = [one.name for one in ALWAYS if one not in maps]
        if missing or len(self._maps) < len(maps):
            names = [quantity.name for quantity in self.quantities]
            raise ValueError(f"expected {[one.name for one in ALWAYS]}, each once, got {names}")
        _require_size(maps, maps[COARSE].shape)

    @classmethod
    def of_depth(
        cls,
        coarse_hw: FloatMap,
        refined_hw: FloatMap,
        spread_hw: FloatMap,
        confidence_hw: FloatMap,
        extra: Extra | None = None,
    ) -> LabelArrays:
        """Put together what every label has (see CoarseDepth, RefinedDepth) and more of it."""
        maps = {COARSE: coarse_hw, REFINED: refined_hw, SPREAD: spread_hw}
        return cls({**maps, CONFIDENCE: confidence_hw, **(extra or {})})

    def __getitem__(self, name: str) -> AnyMap:
        return self._maps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of every map."""
        height_px, width_px = self._maps[COARSE.name].shape[:2]
        return height_px, width_px


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """What the pipeline hands to the store for one image.

    `arrays` is None without a label, and of a label that is kept: then `row` is the committed one,
    at its photograph's new place, and says where the pixels are.
    """

    row: LabelRow
    arrays: LabelArrays | None = None

    def __post_init__(self) -> None:
        if self.is_kept and self.arrays is not None:
            raise ValueError(f"{self.row.id} is kept and has arrays beside those that are stored")
        if self.row.outcome.has_label != (self.is_kept or self.arrays is not None):
            raise ValueError(f"{self.row.id}: outcome {self.row.outcome} and arrays disagree")

    @property
    def is_kept(self) -> bool:
        """Whether this is the label of before, of a photograph with the same bytes."""
        return self.row.is_stored


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What was loaded: goes into dataset.json and is what a label's provenance rests on.

    Attributes:
        role: "coarse", "refiner", "prior", "encoder" or "captioner".
        name: preset or repository name.
        source: repository or folder the weights came from; "seed 0" for seeded weights.
        revision: resolved commit of the repository; None for a folder or a seed.
        sha256: digest over the names and bytes of every weights file that was read.
        licence: SPDX identifier or the licence's own name.
        non_commercial: whether that licence forbids commercial use.
        licence_source: who states it (`redepth.settings.LicenceSource`).
        untrained: True for weights made from a seed: their labels are meaningless.
        facts: what else of it decides labels, as JSON has it: a triage's table and threshold.
    """

    role: str
    name: str
    source: str
    revision: str | None
    sha256: str
    licence: str
    non_commercial: bool = False
    licence_source: str = "not stated"
    untrained: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


def _require_map(map_hw: FloatMap, name: str) -> None:
    if map_hw.dtype != np.float32 or map_hw.ndim != 2 or 0 in map_hw.shape:
        raise ValueError(f"{name}: expected float32 [H, W], got {map_hw.dtype} {map_hw.shape}")


def _require_extra(maps: Extra, size_hw: tuple[int, ...]) -> None:
    own = [quantity.name for quantity in maps if quantity.name in QUANTITIES]
    if own:
        raise ValueError(f"{own} of a label are redepth's to compute, and no extra maps")
    _require_size(maps, size_hw)


def _require_size(maps: Extra, size_hw: tuple[int, ...]) -> None:
    for quantity, map_hw in maps.items():
        quantity.require(map_hw)
        if map_hw.shape[:2] != size_hw[:2]:
            raise ValueError(f"{quantity.name} is {map_hw.shape}, not of the size {size_hw}")
