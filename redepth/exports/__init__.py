"""Labels in other people's formats: a file a format, and the list of them."""

from __future__ import annotations

from redepth.exports import (
    colmap_depth,
    colour_png,
    controlnet_depth,
    exr,
    fused_cloud,
    gaussian_splatting,
    hf_parquet,
    nerfstudio,
    npy,
    png16,
    tsdf_mesh,
    webdataset,
)
from redepth.exports.part import ExportFormat
from redepth.registry import EXPORTERS, Registry

exporters: Registry[ExportFormat] = Registry(
    "export format",
    EXPORTERS,
    ExportFormat,
    (
        png16.FORMAT,
        npy.FORMAT,
        exr.FORMAT,
        webdataset.FORMAT,
        hf_parquet.FORMAT,
        colour_png.FORMAT,
        controlnet_depth.FORMAT,
        colmap_depth.FORMAT,
        nerfstudio.FORMAT,
        gaussian_splatting.FORMAT,
        fused_cloud.FORMAT,
        tsdf_mesh.FORMAT,
    ),
)
