"""ply: a coloured point cloud as a binary PLY file, as every viewer of point clouds reads it."""

from __future__ import annotations

from pathlib import Path

from redepth.geometry.points import PointCloud


def write_ply(path: Path, cloud: PointCloud) -> None:
    """Write x, y, z (float32, metres) and red, green, blue, alpha (uint8) of each point.

    Little-endian binary. Camera frame: x to the right, y down, z ahead.
    """
    import trimesh

    points = trimesh.PointCloud(cloud.xyz_n3, colors=cloud.rgb_n3)
    path.write_bytes(points.export(file_type="ply"))
