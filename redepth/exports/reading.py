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
from redepth.exports.items import require_file_name
from redepth.exports.part import CATALOGUE, ExportFormat, Place
from redepth.exports.writing import FACTS, LAYOUT
from redepth.quantities import AnyMap
from redepth.store.layout import DATASET, require_name
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
        return list(self._places)

    def read(self, image_id: str, quantity: str) -> AnyMap:
        """Read one map, float32 with NaN where invalid, within the format's precision.

        Raises:
            ConfigError: the format is for a trainer, or to look at.
            KeyError: no such image.
            LookupError: the export does not hold this quantity; says why, where it was asked for.
            IntegrityError: its shard or its files have names that redepth does not give.
            FileNotFoundError: it is not written yet.
        """
        if not self._exporter.holds_numbers:
            raise ConfigError(
                f"an export as {self._exporter.name} holds no numbers: export again as png16, npy "
                "or exr"
            )
        place = self._places[image_id]
        require_name("shard", place.shard)
        require_file_name(place.name)
        held = self.facts.get("quantities", {quantity: None})
        if quantity not in held:
            why = self.facts.get("absent", {}).get(quantity, "it was not asked for")
            raise LookupError(f"this export holds {', '.join(held)}, and no {quantity}: {why}")
        return self._exporter.read(self._root, place, quantity)

    @cached_property
    def _places(self) -> dict[str, Place]:
        content = io.BytesIO(self._root.read(CATALOGUE))
        table = pq.read_table(content, columns=["id", "shard", "name"])
        lines = table.to_pylist()
        return {line["id"]: Place(line["id"], line["shard"], line["name"]) for line in lines}


def open_export(url: str) -> Export:
    """Open an export by its root.

    Raises:
        ConfigError: there is none at `url`, or an older redepth wrote it.
        IntegrityError: export.json was not written by redepth.
    """
    root = open_objects(url)
    try:
        facts = json.loads(root.read(FACTS, _MAX_FACTS_BYTES))
        exporter = exporters[facts["request"]["format"]]
        layout = facts.get("layout")
    except FileNotFoundError as error:
        words = f"no export at {url}: there is no {FACTS}"
        if root.exists(DATASET):
            words = f"{words}; these are labels, open them with redepth.open_labels"
        raise ConfigError(words) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{url}/{FACTS} is not readable ({error!r}); export again, to another folder"
        ) from error
    if layout != LAYOUT:
        raise ConfigError(
            f"{url} is an export of layout {layout}, this redepth reads {LAYOUT}; export again, to "
            "another folder"
        )
    return Export(facts, exporter, root)
