"""Labels in other people's formats: a file a format, and the list of them."""

from __future__ import annotations

from redepth.exports import colour_png, exr, hf_parquet, npy, png16, webdataset
from redepth.exports.part import ExportFormat
from redepth.registry import EXPORTERS, Registry

exporters: Registry[ExportFormat] = Registry(
    "export format",
    EXPORTERS,
    ExportFormat,
    (png16.FORMAT, npy.FORMAT, exr.FORMAT, webdataset.FORMAT, hf_parquet.FORMAT, colour_png.FORMAT),
)
