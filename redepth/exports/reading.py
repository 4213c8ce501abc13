"""Reading an export back, whatever its format."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.parquet as pq

from redepth.errors import ConfigError, IntegrityError
from redepth.exports import exr, hf_parquet, npy, png16, webdataset
from redepth.exports.items import file_name
from redepth.exports.pieces import SHARDS
from redepth.exports.request import ExportFormat
from redepth.exports.writing import CATALOGUE, FACTS
from redepth.store.layout import require_name
from redepth.store.objects import Objects, open_objects
from redepth.types import FloatMap

_MAX_FACTS_BYTES = 4 << 20


@dataclass(frozen=True)
class Export:
    """An export, by image id and quantity.

    Attributes:
        facts: what export.json says.
    """

    facts: dict[str, Any]
    _root: Objects

    @property
    def format(self) -> ExportFormat:
        return ExportFormat(self.facts["request"]["format"])

    @property
    def ids(self) -> list[str]:
        """Name the images, in the catalogue's order."""
        return list(self._shards)

    def read(self, image_id: str, quantity: str) -> FloatMap:
        """Read one map, float32 [H, W], NaN where invalid, within the format's precision.

        Raises:
            KeyError: no such image.
            IntegrityError: its shard has a name that redepth does not give.
            FileNotFoundError: it is not written yet, or the quantity was not asked for.
        """
        shard = require_name("shard", self._shards[image_id])
        suffix = self.format.suffix
        if self.format.is_sharded:
            content = self._root.read(f"{SHARDS}/{shard}.{suffix}")
            file = io.BytesIO(content)
            if self.format is ExportFormat.WEBDATASET:
                return webdataset.read_map(file, image_id, quantity)
            return hf_parquet.read_map(file, image_id, quantity)
        stem = f"{quantity}/{file_name(image_id)}"
        content = self._root.read(f"{stem}.{suffix}")
        match self.format:
            case ExportFormat.PNG16:
                return png16.decode(content, self._root.read(f"{stem}.json"))
            case ExportFormat.EXR:
                return exr.decode(content)
            case _:
                return npy.decode(content)

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
        ExportFormat(facts["request"]["format"])
    except FileNotFoundError as error:
        raise ConfigError(f"no export at {url}: there is no {FACTS}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{url}/{FACTS} is not readable ({error!r}); export again, to another folder"
        ) from error
    return Export(facts, root)
