"""Digests of what is stored: of an image's pixels, of a group of them, of a whole output.

They are taken of values, not of objects: another release of a compressor changes nothing. What two
equal runs may differ in (seconds, attempts, shard) is left out, and so is the place of a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from redepth.quantities import AnyMap
from redepth.types import DepthKind, LabelRow

_GROUP_DIGITS = 16
# What of a row is the label's own. `reason` and `members_stopped` are words about a run.
_OF_THE_LABEL = (
    "outcome", "sha256", "file_format", "decode_notes", "image_height_px", "image_width_px",
    "height_px", "width_px", "kind", "caption", "num_members", "drift", "rank_correlation",
    "mean_confidence", "mean_spread", "untrained",
)  # fmt: skip
# Came later: told where they are known, so that labels without them keep their digests.
_IF_KNOWN = (
    "focal_px", "focal_source", "far_share", "metric_scale", "metric_shift", "agreeing_share",
    "predicted_gain", "refined_by",
)  # fmt: skip


def maps_digest(image_id: str, kind: DepthKind | None, maps: Mapping[str, AnyMap]) -> bytes:
    """Return sha256 over an image's id, its kind, and its maps as they are stored.

    Each map is told with its quantity's name, dtype and shape, in the order of the mapping. So a
    digest over some quantities alone is the same whatever else is stored beside them.
    """
    digest = hashlib.sha256(f"{image_id}\n{kind}\n".encode())
    for quantity, values in maps.items():
        map_hw = np.ascontiguousarray(values)
        digest.update(f"{quantity} {map_hw.dtype.str} {map_hw.shape}\n".encode())
        digest.update(map_hw.data)
    return digest.digest()


def group_digest(of_maps: Sequence[bytes]) -> str:
    """Return 16 hex digits over the maps of a group in their order: they are part of its name."""
    return hashlib.sha256(b"".join(of_maps)).hexdigest()[:_GROUP_DIGITS]


def row_digest(row: LabelRow, of_maps: bytes) -> bytes:
    """Return sha256 over what a row says of its label, and the digest of its maps (b"" if none)."""
    values = asdict(row)
    known = [[name, values[name]] for name in _IF_KNOWN if values[name] is not None]
    said = json.dumps([row.id, *(values[name] for name in _OF_THE_LABEL), *known])
    return hashlib.sha256(said.encode() + of_maps).digest()


def content_digest(of_rows: Iterable[tuple[str, bytes]]) -> str:
    """Return sha256 (hex) over the labels of an output: image ids, each with its row's digest."""
    digest = hashlib.sha256()
    for image_id, of_row in sorted(of_rows):
        digest.update(image_id.encode() + b"\0" + of_row)
    return digest.hexdigest()
