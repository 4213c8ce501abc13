"""Files of data sets (true depth, masks, pictures beside it): read whole, up to stated sizes.

Data sets are downloaded from others. A file may unpack to a thousand times its size, claim a shape
that it does not hold, or be another kind of file than its name says; each is a ConfigError here,
before memory is taken for it. Nothing is unpickled.
"""

from __future__ import annotations

import codecs
import io
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from redepth.errors import ConfigError, ImageRejected
from redepth.images.picture.netpbm import MAX_PIXELS, is_pnm, read_pnm
from redepth.images.picture.signatures import is_tiff
from redepth.images.picture.tiff import open_tiff
from redepth.images.reading import BLOCK_BYTES, open_regular, read_all, read_regular, require_size

MAX_FILE_BYTES = 2**30  # of a file, and of what it unpacks to
_LIMIT = "of a file of a data set"
# Named, so that Pillow never starts Ghostscript for an EPS.
_PICTURES = ("JPEG", "PNG", "PPM", "TIFF")
_ENCODINGS = (  # UTF-32's mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAT_HEADER_BYTES, _MAT_COMPRESSED = 128, 15


def read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a file whole.

    Raises:
        ConfigError: it cannot be read, is too large, or no regular file.
    """
    try:
        return read_regular(path, max_bytes, _LIMIT)
    except (OSError, ImageRejected) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def require_file(path: Path) -> None:
    """Refuse what `read_file` would, without reading it, where a library takes a path alone."""
    try:
        with open_regular(path) as file:
            require_size(os.fstat(file.fileno()).st_size, MAX_FILE_BYTES, _LIMIT)
    except (OSError, ImageRejected) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def read_text(path: Path, max_bytes: int = MAX_FILE_BYTES) -> str:
    """Read a text whole: UTF-8, or what a byte-order mark says, which is cut off.

    Raises:
        ConfigError: as `read_file`, and of other encodings.
    """
    content = read_file(path, max_bytes)
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "utf-8-sig")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error}): save it as UTF-8") from error


def read_pixels(path: Path) -> Image.Image:
    """Return a decoded picture; its size is looked at before its pixels are.

    A grey PFM has mode "F", a PGM of two bytes "I;16" with the values as they are stored.

    Raises:
        ConfigError: it is none, damaged or too large.
    """
    content = read_file(path)
    if is_pnm(content):
        return _image_of_pnm(path, content)
    try:
        with _opened(content) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ConfigError(
                    f"{path} is {image.width} x {image.height}, expected {MAX_PIXELS / 1e6:.0f} "
                    "megapixels at most"
                )
            image.load()
    except ConfigError:
        raise
    except UnidentifiedImageError as error:
        held = f"begins with {content[:16]!r}" if content else "is empty"
        raise ConfigError(
            f"{path} cannot be read as an image: it {held}, expected {', '.join(_PICTURES)}"
        ) from error
    except Exception as error:  # decoders raise anything: OSError, SyntaxError, ValueError, ...
        raise ConfigError(f"{path} cannot be read as an image: {error}") from error
    return image


def _opened(content: bytes) -> Image.Image:
    if is_tiff(content):
        return open_tiff(content)
    return Image.open(io.BytesIO(content), formats=_PICTURES)


def _image_of_pnm(path: Path, content: bytes) -> Image.Image:
    pixels = read_pnm(str(path), content)
    if pixels.ndim == 3 and pixels.dtype != np.uint8:
        raise ConfigError(f"{path} is a PFM of three channels (PF), expected one (Pf)")
    return Image.fromarray(pixels)


def read_npy(path: Path) -> npt.NDArray[Any]:
    """Read one array; raises ConfigError where it is none or not as large as it says."""
    return _array(str(path), read_file(path))


def read_npz(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Read those of the named arrays that an NPZ holds.

    Raises:
        ConfigError: it is none, or an array of it is too large, packed otherwise than NumPy does,
            or of objects.
    """
    content = read_file(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = set(archive.namelist())
            return {
                name: _array(f"{path}, {name}", _unpacked(path, archive, f"{name}.npy"))
                for name in names
                if f"{name}.npy" in held
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ConfigError(f"{path} cannot be read as NPZ: {error}") from error


def read_mat(path: Path, name: str) -> Any:
    """Read one variable of a MATLAB file, version 5 to 7.

    Raises:
        ConfigError: it is none, has no such variable, or unpacks to too much.
    """
    from scipy.io import loadmat

    content = read_file(path)
    _require_bounded_mat(path, content)
    try:
        return loadmat(io.BytesIO(content), variable_names=[name])[name]
    except Exception as error:  # a damaged file raises anything
        raise ConfigError(f"{path}: no MATLAB file with a variable {name!r}: {error!r}") from error


def read_hdf5(path: Path, name: str) -> npt.NDArray[np.float32]:
    """Read a data set of numbers, [H, W], that lies in the file itself.

    Raises:
        ConfigError: there is none, it is too large, or it lies in another file.
    """
    require_file(path)
    with _opened_hdf5(path, name, num_axes=2) as stored:
        return np.asarray(stored[()], dtype=np.float32)


def read_hdf5_page(path: Path, name: str, number: int) -> npt.NDArray[np.float32]:
    """Read one of the maps of a data set [N, H, W]; the file may be of any size.

    Raises:
        ConfigError: as `read_hdf5`, or there is no map of this number.
    """
    with _opened_hdf5(path, name, num_axes=3) as stored:
        return np.asarray(stored[number], dtype=np.float32)


def count_hdf5_pages(path: Path, name: str) -> int:
    """Return how many maps a data set [N, H, W] holds; raises as `read_hdf5_page`."""
    with _opened_hdf5(path, name, num_axes=3) as stored:
        return int(stored.shape[0])


@contextmanager
def _opened_hdf5(path: Path, name: str, num_axes: int) -> Iterator[Any]:
    import h5py

    try:
        open_regular(path).close()
        with h5py.File(path) as file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise ConfigError(f"{path} holds no HDF5 data set {name!r} of its own")
            stored = file[name]
            _require_plain_hdf5(path, stored, num_axes)
            yield stored
    except ConfigError:
        raise
    except Exception as error:  # a damaged file raises anything
        raise ConfigError(f"{path} holds no HDF5 data set {name!r}: {error}") from error


def _array(where: str, content: bytes) -> npt.NDArray[Any]:
    """Read an NPY's bytes, once the shape that it claims is known to be in it."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
        num_bytes = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "fiub" or num_bytes != len(content) - file.tell():
            raise ConfigError(
                f"{where}: {dtype} {shape} in its header, {len(content) - file.tell():,} bytes "
                f"behind it, expected {num_bytes:,} of numbers"
            )
        file.seek(0)
        return np.asarray(np.load(file, allow_pickle=False))
    except ConfigError:
        raise
    except Exception as error:  # of a damaged header: ValueError, SyntaxError, TypeError, ...
        raise ConfigError(f"{where} cannot be read as NPY: {error}") from error


def _unpacked(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    # Others unpack a block to any size at once.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ConfigError(f"{path}: {name} is not packed as NumPy packs it; write the file anew")
    try:
        with archive.open(info) as member:
            return read_all(member, MAX_FILE_BYTES, _LIMIT)
    except ImageRejected as error:
        raise ConfigError(f"{path}, {name}: {error}") from error


def _require_bounded_mat(path: Path, content: bytes) -> None:
    """Unpack what is packed once, a block at a time, to see how much it is."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_MAT_HEADER_BYTES])
    if order is None:
        raise ConfigError(f"{path} is no MATLAB file of version 5 to 7: save it with -v7")
    position, num_unpacked = _MAT_HEADER_BYTES, 0
    while position + 8 <= len(content):
        kind, size = np.frombuffer(content, f"{order}u4", 2, position).tolist()
        if kind == _MAT_COMPRESSED:
            num_unpacked += _unpacked_size(path, content[position + 8 : position + 8 + size])
        position += 8 + size
        if num_unpacked > MAX_FILE_BYTES:
            break
    if num_unpacked > MAX_FILE_BYTES:
        raise ConfigError(
            f"{path} unpacks to more than {MAX_FILE_BYTES / 1e6:,.0f} MB, which is as much as is "
            f"read {_LIMIT}"
        )


def _unpacked_size(path: Path, packed: bytes) -> int:
    """Return how much zlib makes of it, or some number beyond the limit."""
    unpacker, size = zlib.decompressobj(), 0
    try:
        while packed and size <= MAX_FILE_BYTES:
            size += len(unpacker.decompress(packed, BLOCK_BYTES))
            packed = unpacker.unconsumed_tail
    except zlib.error as error:
        raise ConfigError(f"{path} is a damaged MATLAB file: {error}") from error
    return size


def _require_plain_hdf5(path: Path, stored: Any, num_axes: int) -> None:
    """Refuse what makes a small file large, and what reads other files in its name."""
    import h5py

    if not isinstance(stored, h5py.Dataset) or stored.external or stored.is_virtual:
        raise ConfigError(f"{path}: {stored.name} is no data set of numbers in the file itself")
    shape = stored.shape or ()
    read_at_once = shape[-2:], stored.chunks or ()
    num_bytes = max(math.prod(sides) for sides in read_at_once) * stored.dtype.itemsize
    if stored.dtype.kind not in "fiu" or len(shape) != num_axes or num_bytes > MAX_FILE_BYTES:
        raise ConfigError(
            f"{path}: {stored.name} is {stored.dtype} {stored.shape} in chunks of {stored.chunks}, "
            f"expected numbers of {num_axes} axes, {MAX_FILE_BYTES / 1e6:,.0f} MB a map at most"
        )
