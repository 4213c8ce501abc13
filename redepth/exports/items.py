"""One image on its way into an export, and its name there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from redepth.quantities import AnyMap, Quantity
from redepth.types import LabelRow

_MAX_NAME_CHARS = 200  # a disk takes 255, with the suffix and what a temporary file's name adds
_KEPT_CHARS = 160
_OF_STORE = ("shard", "array_group", "array_index")


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One image: its row, the chosen maps, its photograph as PNG or None.

    Attributes:
        maps: by quantity: float32 [H, W], [H, W, C] of one with channels, uint8 of codes.
    """

    row: LabelRow
    maps: Mapping[Quantity, AnyMap]
    photograph: bytes | None = None

    def facts(self) -> dict[str, Any]:
        """Return the row as plain values, without what only the store needs."""
        return {name: value for name, value in asdict(self.row).items() if name not in _OF_STORE}


def file_name(image_id: str) -> str:
    """Return an id as a file name: what is neither letter, digit, - nor _ becomes %XX.

    Different ids have different names; dots go too, since WebDataset ends a key at the first. One
    that no disk would take is cut, and ends in "%-", which no other has, and a digest of the id.
    """
    name = quote(image_id, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(name) <= _MAX_NAME_CHARS:
        return name
    return f"{name[:_KEPT_CHARS]}%-{hashlib.sha256(image_id.encode()).hexdigest()[:32]}"
