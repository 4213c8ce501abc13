"""Files of data sets that are not what they say: refused, before memory is taken for them."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from redepth.errors import ConfigError
from redepth.images import data_files
from redepth.images.data_files import (
    read_file,
    read_hdf5,
    read_mat,
    read_npy,
    read_npz,
    read_pixels,
)

LIMIT_BYTES = 2**20
BOMB = np.zeros(2**27, np.uint8)


class Fires:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["FIRED"],)


def npy(shape: str, behind: bytes, descr: str = "'<f8'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + behind


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED, says: int | None = None) -> bytes:
    """An archive with one member `depth.npy`; `says`: the size that its directory states."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("depth.npy", content)
    packed = file.getvalue()
    if says is not None:
        packed = packed.replace(struct.pack("<I", len(content)), struct.pack("<I", says))
    return packed


def saved_npz(depth: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, depth=depth)
    return file.getvalue()


def saved_npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def saved_mat() -> bytes:
    file = io.BytesIO()
    savemat(file, {"data": BOMB}, do_compression=True)
    return file.getvalue()


def saved_hdf5(**options: object) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as stored:
        stored.create_dataset("dataset", **options)
    return file.getvalue()


def linked_hdf5(kind: str) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as stored:
        if kind == "external link":
            stored["dataset"] = h5py.ExternalLink("/etc/passwd", "/dataset")
        if kind == "soft link":
            stored["dataset"] = h5py.SoftLink("/other")
        if kind == "external storage":
            stored.create_dataset("dataset", (2, 8), "u1", external=[("/etc/passwd", 0, 16)])
        if kind == "virtual":
            layout = h5py.VirtualLayout((2, 8), "u1")
            layout[:] = h5py.VirtualSource("/etc/passwd", "dataset", (2, 8))
            stored.create_virtual_dataset("dataset", layout)
        if kind == "group":
            stored.create_group("dataset")
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


BOMBS: dict[str, tuple[Callable[[Path], object], Callable[[], bytes]]] = {
    "npz": (lambda path: read_npz(path, ["depth"]), lambda: saved_npz(depth=BOMB)),
    "npz that says less": (
        lambda path: read_npz(path, ["depth"]),
        lambda: zipped(npy("(64,)", BOMB.tobytes()), says=700),
    ),
    "npz packed by lzma": (
        lambda path: read_npz(path, ["depth"]),
        lambda: zipped(npy("(2,)", bytes(16)), zipfile.ZIP_LZMA),
    ),
    "npz that claims": (
        lambda path: read_npz(path, ["depth"]), lambda: zipped(npy("(100000, 100000)", bytes(64))),
    ),
    "npz of objects": (
        lambda path: read_npz(path, ["depth"]),
        lambda: zipped(saved_npy(np.array([Fires()], object), allow_pickle=True)),
    ),
    "no npz": (lambda path: read_npz(path, ["depth"]), lambda: b"PK\x03\x04 not really"),
    "npy that claims": (read_npy, lambda: npy("(100000, 100000)", bytes(64))),
    "npy that claims more than there is": (read_npy, lambda: npy(f"({2**62}, 8)", b"")),
    "npy with a wrong header": (read_npy, lambda: npy("(" * 5000, b"")),
    "npy of objects": (
        read_npy, lambda: saved_npy(np.array([Fires()], object), allow_pickle=True),
    ),
    "a pickle": (read_npy, lambda: pickle.dumps(Fires())),
    "mat": (lambda path: read_mat(path, "data"), saved_mat),
    "no mat": (lambda path: read_mat(path, "data"), lambda: b"MATLAB 5.0" + bytes(300)),
    "hdf5": (
        lambda path: read_hdf5(path, "dataset"),
        lambda: saved_hdf5(data=BOMB.reshape(2**13, -1), compression="gzip", chunks=(64, 2**14)),
    ),
    "hdf5 that claims": (
        lambda path: read_hdf5(path, "dataset"),
        lambda: saved_hdf5(shape=(2**20, 2**20), dtype="f4", chunks=(64, 64)),
    ),
    "hdf5 of a large chunk": (
        lambda path: read_hdf5(path, "dataset"),
        lambda: saved_hdf5(shape=(2, 2), maxshape=(None, None), dtype="f4", chunks=(2**14, 2**14)),
    ),
    "hdf5 of texts": (
        lambda path: read_hdf5(path, "dataset"), lambda: saved_hdf5(data=[["a"]]),
    ),
    **{
        f"hdf5, {kind}": (
            lambda path: read_hdf5(path, "dataset"), partial(linked_hdf5, kind),
        )
        for kind in ("external link", "soft link", "external storage", "virtual", "group")
    },
    "a large png": (read_pixels, lambda: png(60_000, 60_000)),
    "a png beyond the limit": (read_pixels, lambda: png(10_000, 8_000)),
    "postscript": (
        read_pixels, lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    ),
    "a sparse file": (read_file, lambda: bytes(LIMIT_BYTES + 1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_unread(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRED", str(tmp_path / "fired"))
    read, make = BOMBS[kind]
    path = tmp_path / "file"
    path.write_bytes(make())
    monkeypatch.setattr(data_files, "MAX_FILE_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(data_files.read_file, "__defaults__", (LIMIT_BYTES,))
    tracemalloc.start()
    with pytest.raises(ConfigError, match=str(path)):
        read(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * LIMIT_BYTES
    assert not (tmp_path / "fired").exists()


def test_what_is_whole_comes_back(tmp_path: Path) -> None:
    depth = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez_compressed(tmp_path / "a.npz", depth=np.asfortranarray(depth), other=depth)
    np.savez(tmp_path / "b.npz", depth=depth)
    np.save(tmp_path / "a.npy", depth)
    savemat(tmp_path / "a.mat", {"data": depth}, do_compression=True)
    Image.fromarray(depth.astype(np.uint16)).save(tmp_path / "a.png")
    with h5py.File(tmp_path / "a.hdf5", "w") as stored:
        stored.create_dataset("dataset", data=depth, compression="gzip")
    for read in (
        read_npz(tmp_path / "a.npz", ["depth", "none"])["depth"],
        read_npz(tmp_path / "b.npz", ["depth"])["depth"],
        read_npy(tmp_path / "a.npy"),
        read_mat(tmp_path / "a.mat", "data"),
        read_pixels(tmp_path / "a.png"),
        read_hdf5(tmp_path / "a.hdf5", "dataset"),
    ):
        assert np.array_equal(np.asarray(read), depth)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.uint8])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", "<>")
def test_a_tiff_comes_back_in_either_order_of_bytes(
    tmp_path: Path, dtype: type[np.generic], compression: str | None, order: str
) -> None:
    """Pillow swaps the bytes of compressed big-endian floats."""
    depth = (np.arange(12).reshape(3, 4) * 20 / (3 if dtype is np.float32 else 1)).astype(dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", depth, byteorder=order, compression=compression,
        photometric="minisblack",
    )  # fmt: skip
    assert np.array_equal(np.asarray(read_pixels(tmp_path / "a.tif")), depth)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "it is empty"), (b"<html>", "it begins with b'<html>', expected")]
)
def test_what_is_no_picture_says_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_pixels(tmp_path / "a.png")


def test_pipes_and_what_is_not_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "is a pipe"), ("gone", "No such file")):
        with pytest.raises(ConfigError, match=said):
            read_file(tmp_path / name)
