"""The file that `redepth calibrate` writes, read again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from redepth.confidence.mapping import ConfidenceMapping, Intervals, dump
from redepth.errors import ConfigError

MAPPING, INTERVALS = "confidence_mapping", "intervals"


@dataclass(frozen=True, slots=True)
class FittedConfidence:
    """A fitted confidence, and the intervals that go with it; None without."""

    mapping: ConfidenceMapping
    intervals: Intervals | None = None

    def as_json(self) -> dict[str, Any]:
        """Return both as plain values, under the names of a recipe's `labels.ensemble`."""
        own = self.intervals
        return {
            MAPPING: dump(self.mapping),
            INTERVALS: None if own is None else own.model_dump(mode="json"),
        }


def read_mapping(path: Path) -> FittedConfidence:
    """Read what `redepth calibrate` wrote.

    Raises:
        ConfigError: not there, or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        intervals = content.get(INTERVALS)
        return FittedConfidence(
            ConfidenceMapping.model_validate(content[MAPPING]),
            None if intervals is None else Intervals.model_validate(intervals),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ConfigError(
            f"{path} is no mapping ({error}); redepth calibrate writes one"
        ) from error
