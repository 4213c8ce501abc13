"""Reading an export back, whatever its format."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.parquet as pq

from redepth.errors import ConfigError, IntegrityError
from redepth.exports import exporters
from redepth.exports.part import ExportFormat
from redepth.exports.writing import CATALOGUE, FACTS
from redepth.quantities import AnyMap
from redepth.store.layout import require_name
from redepth.store.objects import Objects, open_objects

_MAX_FACTS_BYTES = 4 << 20


@dataclass(frozen=True)
class Export:
    """An export, by image id and quantity.

    Attributes:
        facts: what export.json says.
    """

    facts: dict[str, Any]
    _exporter: ExportFormat
    _root: Objects

    @property
    def ids(self) -> list[str]:
        """Name the images, in the catalogue's order."""
        return list(self._shards)

    def read(self, image_id: str, quantity: str) -> AnyMap:
        """Read one map, float32 with NaN where invalid, within the format's precision.

        Raises:
            KeyError: no such image.
            IntegrityError: its shard has a name that redepth does not give.
            FileNotFoundError: it is not written yet, or the quantity was not asked for.
        """
        shard = require_name("shard", self._shards[image_id])
        return self._exporter.read(self._root, shard, image_id, quantity)

    @cached_property
    def _shards(self) -> dict[str, str]:
        content = io.BytesIO(self._root.read(CATALOGUE))
        table = pq.read_table(content, columns=["id", "shard"])
        return dict(zip(table["id"].to_pylist(), table["shard"].to_pylist(), strict=True))


def open_export(url: str) -> Export:
    """Open an export by its root.

    Raises:
        ConfigError: there is none at `url`.
        IntegrityError: export.json was not written by redepth.
    """
    root = open_objects(url)
    try:
        facts = json.loads(root.read(FACTS, _MAX_FACTS_BYTES))
        exporter = exporters[facts["request"]["format"]]
    except FileNotFoundError as error:
        raise ConfigError(f"no export at {url}: there is no {FACTS}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{url}/{FACTS} is not readable ({error!r}); export again, to another folder"
        ) from error
    return Export(facts, exporter, root)
