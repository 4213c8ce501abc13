"""What an export is to hold, and what its sidecar says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from redepth.confidence.files import FittedConfidence
from redepth.confidence.words import Meaning
from redepth.errors import ConfigError
from redepth.exports import exporters
from redepth.exports.part import Contents, ExportFacts, ExportFormat, ExportSettings
from redepth.quantities import CONFIDENCE, QUANTITIES, Quantity
from redepth.registry import did_you_mean
from redepth.types import DepthKind

if TYPE_CHECKING:
    from redepth.store.reader import Labels


@dataclass(frozen=True)
class ExportRequest:
    """What to write; what an export was begun with, it goes on with.

    Attributes:
        format: one of `redepth.exports.exporters` by name.
        quantities: of those that the labels hold, by name.
        where: a condition in SQL over the catalogue, None for every label.
        with_images: the photographs too: upright 8-bit PNG at the label's size, pixel on pixel.
        settings: of the format, by name; see `exporters[format].settings`.
        keep: share of each image's pixels, the surest, that keep their values; None: all do.
        fitted: the confidence, and intervals, that the labels are read with; None: as stored.

    Raises:
        ConfigError: an unknown format or setting, no quantity, or a setting that does not
            validate; names those that are known.
    """

    format: str
    quantities: tuple[str, ...] = ("refined", "confidence")
    where: str | None = None
    with_images: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    keep: float | None = None
    fitted: FittedConfidence | None = None

    def __post_init__(self) -> None:
        if not self.quantities:
            raise ConfigError(f"nothing to export: expected some of {', '.join(QUANTITIES)}")
        _ = self.format_settings  # an unknown format or setting is said now

    @cached_property
    def exporter(self) -> ExportFormat:
        """The format itself."""
        try:
            return exporters[self.format]
        except ValueError as error:
            raise ConfigError(str(error)) from None

    @cached_property
    def format_settings(self) -> ExportSettings:
        """The settings as the format has them."""
        try:
            return self.exporter.settings.model_validate(dict(self.settings))
        except ValidationError as error:
            raise ConfigError(_explain(error, self.exporter)) from None

    def facts(
        self,
        kind: DepthKind,
        held: Sequence[Quantity],
        meanings: Mapping[str, Meaning] | None = None,
    ) -> ExportFacts:
        """Return what holds for every image of an export.

        Args:
            kind: of the labels.
            held: those of `quantities` that any of them has.
            meanings: by name, of quantities whose meaning depends on how the labels were made.
        """
        described = {one.name: describe_quantity(one, kind, self, meanings or {}) for one in held}
        contents = Contents(tuple(held), self.with_images)
        return ExportFacts(contents, self.format_settings, described)

    def seen(self, labels: Labels) -> Labels:
        """Return labels as they are exported: with another confidence, without unsure pixels.

        Raises:
            ConfigError: the labels do not have what the confidence looks at, or none to keep by.
        """
        seen = labels if self.fitted is None else labels.calibrated(self.fitted)
        if self.keep is None:
            return seen
        seen.require_values([CONFIDENCE.name])
        return seen.keep(self.keep)

    def as_json(self) -> dict[str, Any]:
        """Return the request as export.json holds it, with every setting of the format."""
        return {
            "format": self.format,
            "quantities": list(self.quantities),
            "where": self.where,
            "with_images": self.with_images,
            "settings": self.format_settings.model_dump(mode="json"),
            "keep": self.keep,
            "calibration": None if self.fitted is None else self.fitted.as_json(),
        }


def describe_quantity(
    quantity: Quantity, kind: DepthKind, request: ExportRequest, meanings: Mapping[str, Meaning]
) -> dict[str, Any]:
    """Return what the sidecar says of one quantity: kind, unit, type, scale, invalid, precision.

    Of confidence and bounds also their sense, range and validity domain.
    """
    meaning = meanings.get(quantity.name)
    words = quantity.meaning if meaning is None else meaning.sense
    return {
        **({} if meaning is None else {"meaning": meaning.as_json()}),
        "kind": str(kind) if quantity.is_depth else words,
        "unit": _unit(kind) if quantity.unit is None else quantity.unit,
        "channels": quantity.channels,
        **request.exporter.describe(quantity),
    }


def _unit(kind: DepthKind) -> str:
    return "m" if kind is DepthKind.METRIC_DEPTH else "none: scale and shift are unknown"


def _explain(error: ValidationError, exporter: ExportFormat) -> str:
    lines = [
        f"  {'.'.join(map(str, detail['loc']))}: {_words(detail, exporter)} "
        f"(got {detail['input']!r:.80})"
        for detail in error.errors()
    ]
    known = ", ".join(exporter.settings.model_fields) or "none"
    return "\n".join([f"settings of the format {exporter.name} (it has: {known}):", *lines])


def _words(detail: ErrorDetails, exporter: ExportFormat) -> str:
    if detail["type"] == "extra_forbidden":
        near = did_you_mean(str(detail["loc"][-1]), exporter.settings.model_fields)
        return f"there is no such setting{near}"
    return detail["msg"].removeprefix("Value error, ")
