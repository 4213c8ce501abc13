"""GLB and PLY by readers that take nothing but what the formats say."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from redepth.exports.glb import glb_of
from redepth.exports.ply import cloud_ply
from redepth.geometry.camera import Pinhole
from redepth.geometry.meshes import Mesh, surface_mesh
from redepth.geometry.points import point_cloud
from redepth.reconstruction.ply import points_of

DTYPES = {5121: "<u1", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
CAMERA = Pinhole.centred(40.0, 40.0, (12, 15))


def stepped_mesh() -> Mesh:
    depth_hw = np.full((12, 15), 2.0, dtype=np.float32)
    depth_hw[:, 8:] = 5.0
    rgb_hw3 = np.random.default_rng(0).integers(0, 255, (12, 15, 3), dtype=np.uint8)
    return surface_mesh(depth_hw, rgb_hw3, CAMERA)


def read_glb(content: bytes) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Return the JSON and every accessor's values; lengths and alignments are held to glTF 2.0."""
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content)) and length % 4 == 0
    json_bytes, json_kind = struct.unpack_from("<I4s", content, 12)
    assert json_kind == b"JSON" and json_bytes % 4 == 0
    said = json.loads(content[20 : 20 + json_bytes])
    bin_bytes, bin_kind = struct.unpack_from("<I4s", content, 20 + json_bytes)
    assert bin_kind == b"BIN\0" and 28 + json_bytes + bin_bytes == length
    body = content[28 + json_bytes :]
    (buffer,) = said["buffers"]
    assert 0 <= len(body) - buffer["byteLength"] < 4
    values = []
    for accessor in said["accessors"]:
        view = said["bufferViews"][accessor["bufferView"]]
        width, dtype = WIDTHS[accessor["type"]], np.dtype(DTYPES[accessor["componentType"]])
        assert view["byteOffset"] % 4 == 0
        assert view["byteLength"] == accessor["count"] * width * dtype.itemsize
        assert view["byteOffset"] + view["byteLength"] <= buffer["byteLength"]
        flat = np.frombuffer(body, dtype, accessor["count"] * width, view["byteOffset"])
        values.append(flat.reshape(-1, width))
    return said, values


def test_a_glb_holds_the_surface_in_the_frame_of_gltf() -> None:
    mesh = stepped_mesh()
    said, (positions, colours, indices) = read_glb(glb_of(mesh, "metres"))
    assert said["asset"]["version"] == "2.0" and said["asset"]["extras"] == {"unit": "metres"}
    np.testing.assert_array_equal(positions, mesh.xyz_n3 * [1, -1, -1])
    np.testing.assert_array_equal(colours[:, :3], mesh.rgb_n3)
    np.testing.assert_array_equal(indices.reshape(-1, 3), mesh.faces_m3)
    accessor = said["accessors"][0]
    np.testing.assert_array_equal(accessor["min"], positions.min(axis=0))
    np.testing.assert_array_equal(accessor["max"], positions.max(axis=0))
    assert indices.max() < len(positions)


def test_other_software_opens_it() -> None:
    mesh = stepped_mesh()
    scene = trimesh.load(trimesh.util.wrap_as_stream(glb_of(mesh)), file_type="glb")
    (opened,) = scene.geometry.values()
    assert len(opened.faces) == len(mesh.faces_m3)
    assert opened.bounds[:, 2].tolist() == [-5.0, -2.0]


def test_a_ply_says_its_unit_and_frame() -> None:
    depth_hw = np.full((12, 15), 2.0, dtype=np.float32)
    rgb_hw3 = np.arange(540, dtype=np.uint32).astype(np.uint8).reshape(12, 15, 3)
    cloud = point_cloud(depth_hw, rgb_hw3, CAMERA, unit="none: made up\nend_header")
    content = cloud_ply(cloud)
    head = content[:400].decode("latin-1")
    assert "comment camera frame: x right, y down, z ahead\n" in head
    assert "comment unit: none: made up end-header\nelement vertex 180\n" in head
    read = points_of(content)
    np.testing.assert_array_equal(read.xyz_n3.astype(np.float32), cloud.xyz_n3)
    opened = trimesh.load(trimesh.util.wrap_as_stream(content), file_type="ply")
    np.testing.assert_array_equal(opened.colors[:, :3], cloud.rgb_n3)
