"""glb: a surface as binary glTF 2.0, as viewers, browsers and Blender open it.

glTF's frame: x to the right, y up, z towards the viewer; the camera of the photograph is at the
origin and looks along -z. Colours are those of the vertices. `asset.extras.unit` says the unit.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from redepth.geometry.meshes import Mesh
from redepth.geometry.points import Points
from redepth.geometry.relative_depth import METRES

_MAGIC, _VERSION = 0x46546C67, 2
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_FLOAT, _UINT32, _UINT8 = 5126, 5125, 5121
_VERTICES, _INDICES = 34962, 34963  # what a buffer view is for
_TO_GLTF = np.array([1.0, -1.0, -1.0], dtype=np.float32)
_MATERIAL = {
    "doubleSided": True,
    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
}


def glb_of(mesh: Mesh, unit: str = METRES) -> bytes:
    """Return the bytes of a GLB: positions float32, colours uint8 with alpha, indices uint32."""
    positions_n3 = np.ascontiguousarray(mesh.xyz_n3 * _TO_GLTF, dtype="<f4")
    opaque_n1 = np.full((len(mesh.rgb_n3), 1), 255, dtype=np.uint8)
    parts = (
        positions_n3.tobytes(),
        np.concatenate([mesh.rgb_n3, opaque_n1], axis=1).tobytes(),
        mesh.faces_m3.astype("<u4").tobytes(),
    )
    said = {
        "asset": {"version": "2.0", "generator": "redepth", "extras": {"unit": unit}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [_PRIMITIVE]}],
        "materials": [_MATERIAL],
        "buffers": [{"byteLength": sum(map(len, parts))}],
        "bufferViews": _views([len(part) for part in parts]),
        "accessors": _accessors(positions_n3, mesh.faces_m3.size),
    }
    chunks = _chunk(_JSON, json.dumps(said).encode(), b" ") + _chunk(_BIN, b"".join(parts), b"\0")
    return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks


_PRIMITIVE = {"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2, "material": 0}


def _views(sizes: list[int]) -> list[dict[str, int]]:
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [
        {"buffer": 0, "byteOffset": start, "byteLength": size, "target": target}
        for start, size, target in zip(starts, sizes, (_VERTICES, _VERTICES, _INDICES), strict=True)
    ]


def _accessors(positions_n3: Points, num_indices: int) -> list[dict[str, Any]]:
    ends = {"min": positions_n3.min(axis=0).tolist(), "max": positions_n3.max(axis=0).tolist()}
    number = len(positions_n3)
    return [
        {"bufferView": 0, "componentType": _FLOAT, "count": number, "type": "VEC3", **ends},
        {
            "bufferView": 1,
            "componentType": _UINT8,
            "count": number,
            "type": "VEC4",
            "normalized": True,
        },
        {"bufferView": 2, "componentType": _UINT32, "count": num_indices, "type": "SCALAR"},
    ]


def _chunk(kind: int, content: bytes, padding: bytes) -> bytes:
    padded = content + padding * (-len(content) % 4)
    return struct.pack("<II", len(padded), kind) + padded
