"""Lists of chosen images, as `redepth label` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from redepth.errors import ConfigError
from redepth.images.locator import photograph_of
from redepth.redaction import shown
from redepth.store.objects import Objects
from redepth.types import FocalSource, ImageRef, LabelRow

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("uri", pa.string()),
        ("caption", pa.string()),
        ("focal_px", pa.float64()),
        ("fov_deg", pa.float64()),
    ]
)


def write_list(objects: Objects, name: str, images: Sequence[ImageRef]) -> str:
    """Write a list of images, each with the id, caption and camera that it has; return its URL.

    The same images make the same bytes.

    Raises:
        ConfigError: an image is opened by a signed URL, which is stored nowhere.
    """
    signed = next((ref for ref in images if ref.opens is not None), None)
    if signed is not None:
        raise ConfigError(
            f"{shown(signed.uri)} is opened by a signed URL, and what signs it is stored nowhere: "
            "the lists of a distillation could not name it. Name the images where they lie "
            "(s3://bucket/...), with credentials in the environment"
        )
    columns = [[getattr(ref, field) for ref in images] for field in _SCHEMA.names]
    stream = BytesIO()
    pq.write_table(pa.table(columns, schema=_SCHEMA), stream)
    objects.put(name, stream.getvalue())
    return f"{objects.url.rstrip('/')}/{name}"


def listed_again(row: LabelRow) -> ImageRef:
    """Return a labelled image as a list may name it, with what its own list said of it."""
    from_list = row.focal_source is FocalSource.LIST
    return photograph_of(row)._replace(
        caption=row.caption, focal_px=row.focal_px if from_list else None
    )
