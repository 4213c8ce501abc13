"""Containers, lists and pictures made to fill memory: refused, measured in a process of their own.

Each is read in a child that may take half a gigabyte more than it has at its start.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.images.noticed import REMOVED, Noticed
from redepth.types import ImageRef
from tests.images.icc_profiles import cmyk_profile

MORE_BYTES = 2**29
CHILD = f"""
import resource, sys
from itertools import islice
import numpy, pyarrow.parquet, pyarrow.compute, PIL.Image
from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.lists import parquet_bounds
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.types import ImageRef
parquet_bounds.MAX_ROW_GROUP_BYTES = 2**27
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + {MORE_BYTES}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for line in sys.stdin:
    what, path = line.split()
    try:
        refs = [ImageRef("a", path)] if what == "read" else list(islice(list_images(path), 5))
        for ref in refs:
            read_image(ref, Decoding(max_bytes=2**26))
        print("read", flush=True)
    except (ConfigError, ImageRejected) as error:
        print(type(error).__name__, str(error).replace(chr(10), " "), flush=True)
"""
Said = Callable[..., str]


@pytest.fixture(scope="module")
def child() -> Iterator[list[subprocess.Popen[str]]]:
    """Keep the child that runs, if one does: starting it takes longer than what it is asked."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.communicate()


@pytest.fixture
def said_of(child: list[subprocess.Popen[str]]) -> Said:
    """Return what lists a source, reads its first images, and returns how it was refused."""

    def ask(path: Path | str, what: str = "list") -> str:
        if not child:
            command = [sys.executable, "-c", CHILD]
            pipe = subprocess.PIPE
            child.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        assert child[0].stdin is not None and child[0].stdout is not None
        child[0].stdin.write(f"{what} {path}\n")
        child[0].stdin.flush()
        said = child[0].stdout.readline()
        if not said:
            child.pop().communicate()
        assert said, "the child died: see its traceback above"
        return said

    return ask


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse_header(name: str, size: int, real_size: int) -> bytes:
    """A GNU sparse member: `size` bytes stored, `real_size` when it is read."""
    block = bytearray(header(name, size, tarfile.GNUTYPE_SPARSE))
    block[386:398] = b"%011o\0" % real_size  # the one piece: where it lies, how long it is
    block[398:410] = b"%011o\0" % 0
    block[483:495] = b"%011o\0" % real_size
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax_sparse(name: str) -> bytes:
    """A sparse member whose map is promised and does not come."""
    records = b"".join(
        b"%d %s\n" % (len(text) + 4, text) if len(text) + 3 > 9 else b""
        for text in (b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=9999999")
    )
    padded = records + bytes(-len(records) % 512)
    map_start = b"99999999\n" + bytes(503)
    return (
        header("pax", len(records), tarfile.XHDTYPE) + padded + header(name, 512) + map_start
    ).replace(bytes(503), b"1\n" * 251 + b"1")


TARS: dict[str, tuple[bytes, str]] = {
    "a caption of 8 GB": (header("a.png", 0) + header("a.txt", 8_000_000_000), "caption a.txt"),
    "a sparse caption of 8 GB": (
        header("a.png", 0) + sparse_header("a.txt", 0, 0o77777777777), "caption a.txt",
    ),
    "a long name of 8 GB": (
        header("././@LongLink", 8_000_000_000, tarfile.GNUTYPE_LONGNAME), "a header in it needs",
    ),
    "pax records of 8 GB": (header("x", 8_000_000_000, tarfile.XHDTYPE), "a header in it needs"),
    "a sparse map without end": (pax_sparse("a.txt"), "not a readable tar"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TARS)
def test_tars(kind: str, tmp_path: Path, said_of: Said) -> None:
    content, said = TARS[kind]
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(content)
        file.truncate(20_000_000_000 if "8 GB" in kind else len(content))
    assert said in said_of(path)


@pytest.mark.parametrize("kind", [kind for kind in TARS if "caption" not in kind])
def test_members_that_a_list_names(kind: str, tmp_path: Path, said_of: Said) -> None:
    content, _ = TARS[kind]
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(content)
        file.truncate(20_000_000_000 if "8 GB" in kind else len(content))
    (tmp_path / "l.txt").write_text(f"tar://a.png::{tmp_path}/a.tar\n")
    assert "ImageRejected" in (said := said_of(tmp_path / "l.txt"))
    assert "the archive cannot be read" in said


ZIPS = {
    "deflated": (zipfile.ZIP_DEFLATED, "labels.decoding.max_bytes"),
    "bzip2": (zipfile.ZIP_BZIP2, "only members that are stored or deflated"),
    "lzma": (zipfile.ZIP_LZMA, "only members that are stored or deflated"),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_zips(kind: str, tmp_path: Path, said_of: Said) -> None:
    method, said = ZIPS[kind]
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("a.png", "w") as member:
        for _ in range(800):
            member.write(bytes(2**20))
    assert path.stat().st_size < 2_000_000
    (tmp_path / "l.txt").write_text(f"zip://a.png::{path}\n")
    assert said in said_of(tmp_path / "l.txt")
    assert "labels.decoding.max_bytes" in said_of(f"zip://::{path}"), "its directory says it"


def test_a_zip_with_a_directory_of_4_gb(tmp_path: Path, said_of: Said) -> None:
    path = tmp_path / "a.zip"
    size = 2**32 - 2
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    (tmp_path / "l.txt").write_text(f"zip://a.png::{path}\n")
    assert "the archive cannot be read (a header in it needs" in said_of(tmp_path / "l.txt")
    assert "cannot be read: a header in it needs" in said_of(f"zip://::{path}")


def test_a_compressed_tar_is_no_collection(tmp_path: Path, said_of: Said) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(zlib.compress(bytes(1000)))
    assert "compressed tar" in said_of(path)


def shared(value: bytes | str) -> pa.Array:
    """One value for each of 500 rows, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * 500, pa.int32()), pa.array([value]))


def write_images(path: Path, kind: str) -> None:
    """Write a small Parquet file that is large when it is read."""
    few = pa.array([b"x"] * 500, pa.binary())
    columns: dict[str, object] = {"image": few}
    if kind == "shared images":
        columns = {"image": shared(bytes(2**24))}
    if kind == "images in a group":
        columns = {"image": [b"%d" % i + bytes(2**24) for i in range(12)]}
    if kind == "a struct with more":
        columns = {
            "image": pa.StructArray.from_arrays([few, shared("p" * 2**22)], ["bytes", "path"])
        }
    if kind == "captions":
        columns |= {"caption": shared("x" * 2**22)}
    if kind == "captions without a dictionary":
        columns = {"image": few[:150], "caption": [f"{i}" + "x" * 2**20 for i in range(150)]}
    if kind == "nested captions":
        nothing = pa.nulls(100_000_000, pa.int8())
        columns = {
            "image": few[:1],
            "caption": pa.ListArray.from_arrays([0, len(nothing)], nothing),
        }
    if kind == "nested texts":
        nothing = pa.nulls(40_000_000, pa.string())
        columns = {
            "image": few[:1],
            "caption": pa.ListArray.from_arrays([0, len(nothing)], nothing),
        }
    if kind == "captions, each in a list":
        texts = pa.ListArray.from_arrays(range(501), shared("x" * 2**22))
        columns |= {"caption": texts}
    if kind == "uris":
        columns = {"uri": shared("x" * 2**22)}
    # Without the schema's copy, the reader does not know which columns were written as shared.
    pq.write_table(
        pa.table(columns), path, compression="zstd", store_schema=False,
        use_dictionary="group" not in kind and "without" not in kind,
    )  # fmt: skip
    assert path.stat().st_size < 2_000_000


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("shared images", "ImageRejected"),
        ("images in a group", "row group 0 has 201 MB in image"),
        ("a struct with more", "ImageRejected"),
        ("captions", "a text in column 'caption' has 4,194,304 bytes"),
        ("captions without a dictionary", "row group 0 has 157 MB in caption"),
        ("nested captions", "column 'caption' is list"),
        ("nested texts", "row group 0 has 160 MB in caption"),
        ("captions, each in a list", "a text in column 'caption' has 4,194,304 bytes"),
        ("uris", "a text in column 'uri' has 4,194,304 bytes"),
    ],
)
def test_parquet(kind: str, said: str, tmp_path: Path, said_of: Said) -> None:
    path = tmp_path / "a.parquet"
    write_images(path, kind)
    assert said in said_of(path)


@pytest.mark.parametrize(
    ("name", "beginning", "said"),
    [
        ("l.txt", b"", "line 1: more than 262,144 characters"),
        ("l.txt", b"a.jpg\n", "line 2: more than 262,144 characters"),
        ("l.csv", b"uri,caption\na.jpg,", "line 2: more than 262,144 characters"),
        ("l.csv", b'uri,caption\na.jpg,"', "line 2: more than 262,144 characters"),
        ("l.jsonl", b'{"uri": "', "line 1: more than 262,144 characters"),
        ("l.json", b'[{"uri": "', "line 1: not JSON"),
        ("l.ndjson", b'{"uri": "a"}\n{"uri": "', "line 2: more than 262,144 characters"),
        ("l.tsv", b"uri\tcaption\na.jpg\t", "line 2: more than 262,144 characters"),
        ("l.csv.gz", b"", "cannot be unpacked"),
    ],
)
def test_lists_without_line_ends(
    name: str, beginning: bytes, said: str, tmp_path: Path, said_of: Said
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(beginning)
        file.truncate(3_000_000_000)
    assert said in said_of(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.jsonl", b'{"uri": ' + b"[" * 200_000, "not JSON that can be read"),
        ("l.jsonl", b'{"uri": ' + b"9" * 5_000 + b"}", "not JSON that can be read"),
        ("l.jsonl", b'{"uri": "a", "caption": "' + b"x" * 20_000 + b'"}', "`caption` has 20,000"),
        ("l.csv", b"uri,id\na.jpg," + b"x" * 20_000, "`id` has 20,000 characters"),
        ("l.csv", b'uri,id\na.jpg,"' + b"x\n" * 100_000, "field larger than field limit"),
        ("l.txt", b"x" * 20_000, "`uri` has 20,000 characters"),
    ],
)  # fmt: skip
def test_lists_with_too_much_in_a_row(
    name: str, content: bytes, said: str, tmp_path: Path, said_of: Said
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in said_of(tmp_path / name)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes) -> bytes:
    image = io.BytesIO()
    Image.new("RGB", (64, 64)).save(image, "PNG")
    content = image.getvalue()
    return content[:33] + b"".join(chunks) + content[33:]


def tiff_of(
    width: int, height: int, entries: list[tuple[int, int, int, int]], data: bytes
) -> bytes:
    """A TIFF whose tags' data all lie in `data`, 8 bytes from the file's beginning."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1),
            (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height),
            (279, 4, 1, width * height), *entries]  # fmt: skip
    packed = b"".join(struct.pack("<HHII", *entry) for entry in tags)
    return (
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + packed
        + bytes(4)
    )  # fmt: skip


def jpeg_with_exif(exif: bytes) -> bytes:
    image = io.BytesIO()
    Image.new("RGB", (64, 64)).save(image, "JPEG")
    content = image.getvalue()
    segments = b""
    for start in range(0, len(exif), 65_000):
        body = b"Exif\0\0" + exif[start : start + 65_000]
        segments += b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return content[:2] + segments + content[2:]


@cache
def zeros(num_mib: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(num_mib)) + packer.flush()


SHARED_TAGS = [(20_000 + i, 1, 900_000, 8) for i in range(10_000)]
PICTURES: dict[str, Callable[[], bytes]] = {
    "png, profile": lambda: png_with(chunk(b"iCCP", b"p\0\0" + zeros(800))),
    "png, text": lambda: png_with(chunk(b"zTXt", b"p\0\0" + zeros(800))),
    "png, international text": lambda: png_with(chunk(b"iTXt", b"p\0\1\0\0\0" + zeros(800))),
    "png, many texts": lambda: png_with(
        *(chunk(b"zTXt", b"p\0\0" + zlib.compress(bytes(2**20), 9)) for _ in range(200))
    ),
    "tiff, shared tags": lambda: tiff_of(64, 64, SHARED_TAGS, bytes(900_000)),
    "tiff, large": lambda: tiff_of(60_000, 60_000, [], bytes(100)),
    "tiff, deflated": lambda: tiff_of(
        16_000, 60_000, [(259, 3, 1, 8)], zlib.compress(bytes(2**20))
    ),
    "jpeg, shared tags": lambda: jpeg_with_exif(
        tiff_of(64, 64, SHARED_TAGS, bytes(900_000))
    ),
    "jpeg 2000, large": lambda: _jpeg2000(60_000, 60_000),
    "ppm, large": lambda: b"P6 60000 60000 255\n" + bytes(100),
    "bmp, large": lambda: _bmp(60_000, 60_000),
    "sgi, large": lambda: struct.pack(">HBBHHHH", 474, 1, 1, 3, 65_000, 65_000, 3) + bytes(600),
    "heic": lambda: b"\0\0\0\x18ftypheic" + bytes(1000),
    "heic, large": lambda: _heic(60_000),
    "heic, says less than it has": lambda: _heic(64),
    "jpeg xl, large": lambda: b"\xff\x0a" + _JXL_HEADER.to_bytes(9, "little") + bytes(100),
    "png, millions of chunks": lambda: png_with(b"\0\0\0\0abCd\x9d\x1e\x7b\x5c" * 3_000_000),
    "jpeg, many markers": lambda: _many_markers(1_000_000),
    "jpeg, many scans": lambda: _many_scans(20_000),
    "jpeg, profile": lambda: _with_profile("JPEG", 255),
    "tiff, profile": lambda: _with_profile("TIFF", 255),
    "npy": lambda: b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'shape': (100000, 100000)}",
    "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(1000),
    "exr": lambda: b"v/1\x01" + bytes(1000),
    "gzip": lambda: b"\x1f\x8b" + bytes(1000),
}  # fmt: skip


# What is large in these is left out, and every pixel is there.
READABLE = ("jpeg, profile", "tiff, profile", "jpeg, many markers")


def _bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 1000, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(900)
    )


# A side of 2^18 pixels, a ratio of 1:1, all else as by default.
_JXL_HEADER = 0 | 2 << 1 | (2**18 - 1) << 3 | 1 << 21 | 1 << 24 | 1 << 25


@cache
def _jpeg() -> bytes:
    image = io.BytesIO()
    Image.new("RGB", (64, 64)).save(image, "JPEG")
    return image.getvalue()


def _many_markers(num: int) -> bytes:
    """A picture with markers that mean nothing in its end's place."""
    return _jpeg()[:-2] + b"\xff\x01" * num


def _many_scans(num: int) -> bytes:
    """A picture whose only scan comes so many times, without an end."""
    content = _jpeg()[:-2]
    return content + content[content.index(b"\xff\xda") :] * num


def _heic(side: int) -> bytes:
    """A picture of 1,600 pixels a side that says it has another size."""
    import pillow_heif

    image = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)
    large = np.kron(noise, np.ones((32, 32, 1), np.uint8))
    pillow_heif.from_bytes("RGB", (1600, 1600), large.tobytes()).save(image, quality=5)
    return image.getvalue().replace(struct.pack(">II", 1600, 1600), struct.pack(">II", side, side))


def _with_profile(file_format: str, num_levels: int) -> bytes:
    """A picture with a profile whose table says it has so many levels in each of four inks."""
    profile = bytearray(cmyk_profile())
    table = profile.index(b"mft1") + 10
    profile[table] = num_levels
    image = io.BytesIO()
    Image.new("CMYK", (64, 64)).save(image, file_format, icc_profile=bytes(profile))
    return image.getvalue()


def _jpeg2000(width: int, height: int) -> bytes:
    """A small picture's codestream that says it is large."""
    image = io.BytesIO()
    Image.new("L", (64, 64)).save(image, "JPEG2000", no_jp2=True)
    content = bytearray(image.getvalue())
    size = content.index(b"\xff\x51") + 6
    content[size : size + 8] = struct.pack(">II", width, height)
    return bytes(content)


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures(kind: str, tmp_path: Path, said_of: Said) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PICTURES[kind]())
    said = said_of(path, "read")
    is_readable = kind.endswith("shared tags") or kind in READABLE
    assert said.startswith("ImageRejected") or (is_readable and said == "read\n")


# --- what shrinks or goes while it is listed -----------------------------------------------------


def test_a_folder_that_is_removed_while_it_is_listed(
    tmp_path: Path,
) -> None:
    forged = "b\nforged\x1b[2J"
    for name in ("a", forged, "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"x")
    noticed = Noticed()
    listing = list_images(str(tmp_path), noticed=noticed)
    first = next(listing)
    (tmp_path / forged / "1.jpg").unlink()
    (tmp_path / forged).rmdir()
    assert [ref.uri for ref in (first, *listing)] == [
        f"{tmp_path}/a/1.jpg", f"{tmp_path}/c/1.jpg",
    ]  # fmt: skip
    (removed,) = noticed.notices().passed_over
    assert removed.kind == REMOVED
    assert removed.example == f"{tmp_path}/b forged\N{REPLACEMENT CHARACTER}[2J"


def test_a_tar_that_shrinks_after_it_was_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    with tarfile.open(path, "w") as tar:
        for name in ("a.png", "b.png"):
            content = io.BytesIO()
            Image.fromarray(noise).save(content, "PNG")
            info = tarfile.TarInfo(name)
            info.size = len(content.getvalue())
            content.seek(0)
            tar.addfile(info, content)
    first, second = list_images(str(path))
    with path.open("r+b") as file:
        file.truncate(int(second.offset_bytes or 0) + 10)
    assert read_image(first, Decoding()).width_px == 64
    with pytest.raises(ImageRejected, match=r"not as it was listed: 10 of its [\d,]+ bytes"):
        read_image(second, Decoding())


def test_a_parquet_file_that_shrinks_after_it_was_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"1", b"2"]}), path)
    refs = list(list_images(str(path)))
    for row, column in ((2, "image"), (-1, "image"), (0, "other")):
        with pytest.raises(ImageRejected, match="no longer there"):
            read_image(ImageRef("a", f"parquet://{column}/{row}::file://{path}"), Decoding())
    with path.open("r+b") as file:
        file.truncate(20)
    with pytest.raises(ImageRejected):
        read_image(refs[1], Decoding())
