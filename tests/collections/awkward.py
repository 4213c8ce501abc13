"""A collection with one of everything that people have, and what is to become of each file.

    python -m tests.collections.awkward FOLDER

writes it and prints the source that names all of it. Of each file there is one line below.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from PIL import Image

from tests.images.icc_profiles import D65, DISPLAY_P3, rgb_profile, srgb_curve

SIZE = (160, 120)


class Fate(Enum):
    """What becomes of a file, and where that is said."""

    LABELLED = "labelled"  # a row; its note says what decoding had to do
    REJECTED = "rejected"  # a row with the reason
    PASSED_OVER = "passed over"  # counted by kind in plan and report
    FAULT = "could not be listed"  # named with the reason in plan and report


@dataclass(frozen=True, slots=True)
class Awkward:
    """A file or a folder, and what is to become of it.

    Attributes:
        name: its path below the collection's folder.
        content: its bytes.
        fate: what is to become of it; of a container, of what is in it as well.
        said: a part of the note, the reason or the kind.
        num_labelled: images of a container that are labelled.
    """

    name: str
    content: Callable[[], bytes]
    fate: Fate
    said: str = ""
    num_labelled: int = 0


def source_of(folder: Path) -> str:
    """Return the source that names the whole collection."""
    return f"{folder}/{{photos,shards/*.tar,shards/*.parquet}}"


def write_collection(folder: Path) -> None:
    """Write every file of the collection below a folder."""
    for file in FILES:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content())
    photos = folder / "photos"
    (photos / "linked").symlink_to(folder / "shards")
    (photos / "broken_link.jpg").symlink_to(folder / "gone.jpg")


def picture(seed: int = 0) -> Image.Image:
    """A gradient with an edge: enough for a depth network to say something."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    rgb_hw3 = np.stack([x, y * 2, (x + y + 40 * seed) % 256], -1).astype(np.uint8)
    rgb_hw3[40:90, 50:110] = (200, 60 + seed % 100, 40)
    return Image.fromarray(rgb_hw3)


def encoded(file_format: str, seed: int = 0, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture(seed).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def heic() -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture(3)).save(buffer)
    return buffer.getvalue()


def jxl() -> bytes:
    import pillow_jxl  # noqa: F401 teaches Pillow the format

    return encoded("JXL", 4)


def png_with_wrong_text_checksum() -> bytes:
    png = encoded("PNG", 5)
    body = b"tEXtTitle\0x"
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body) ^ 1)
    return png[:33] + chunk + png[33:]


def tiff_with_damaged_third_page() -> bytes:
    buffer = io.BytesIO()
    pages = [picture(seed) for seed in (6, 7, 8)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    content = bytearray(buffer.getvalue())
    content[-200:] = b"\xff" * 200
    return bytes(content)


def planar_16_bit() -> bytes:
    buffer = io.BytesIO()
    planes = np.moveaxis(np.asarray(picture(9)).astype(np.uint16) * 257, -1, 0)
    tifffile.imwrite(buffer, planes, photometric="rgb", planarconfig="separate")
    return buffer.getvalue()


def tar_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for seed, name in enumerate(names, start=10 * len(names)):
            content = encoded("JPEG", seed)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_with_damaged_header() -> bytes:
    content = bytearray(tar_of("1.jpg", "2.jpg", "3.jpg", "4.jpg"))
    second = 512 + -(-len(encoded("JPEG", 40)) // 512) * 512
    content[second + 5] ^= 0xFF
    return bytes(content)


def parquet_of(*pictures: bytes | None) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array(pictures, pa.binary())}), buffer)
    return buffer.getvalue()


def jpeg() -> bytes:
    return encoded("JPEG", 1)


def p3() -> bytes:
    profile = rgb_profile(DISPLAY_P3, D65, srgb_curve(), "Display P3")
    return encoded("JPEG", 2, icc_profile=profile)


def own(marker: dict[str, object]) -> Callable[[], bytes]:
    return lambda: json.dumps(marker).encode()


FILES = (
    # What is labelled.
    Awkward("photos/plain.jpg", jpeg, Fate.LABELLED),
    Awkward("photos/plain.png", lambda: encoded("PNG", 20), Fate.LABELLED),
    Awkward("photos/plain.webp", lambda: encoded("WEBP", 21), Fate.LABELLED),
    Awkward("photos/plain.avif", lambda: encoded("AVIF", 22), Fate.LABELLED),
    Awkward("photos/grey.tif", lambda: encoded("TIFF", 23, "L"), Fate.LABELLED),
    Awkward("photos/palette.gif", lambda: encoded("GIF", 24, "P"), Fate.LABELLED),
    Awkward("photos/print.jpg", lambda: encoded("JPEG", 25, "CMYK"), Fate.LABELLED),
    Awkward("photos/phone.HEIC", heic, Fate.LABELLED),
    Awkward("photos/small.jxl", jxl, Fate.LABELLED),
    Awkward("photos/wide_gamut.jpg", p3, Fate.LABELLED, "Display P3"),
    Awkward("photos/planes.tif", planar_16_bit, Fate.LABELLED),
    Awkward("photos/a::b #1 %20.jpg", lambda: encoded("JPEG", 26), Fate.LABELLED),
    Awkward(
        "photos/no_end.jpg",
        lambda: encoded("JPEG", 27)[:-2],
        Fate.LABELLED,
        "the end marker is missing",
    ),
    Awkward("photos/checksum.png", png_with_wrong_text_checksum, Fate.LABELLED, "checksum"),
    Awkward(
        "photos/third_page.tif", tiff_with_damaged_third_page, Fate.LABELLED, "first of 3 frames"
    ),
    # What is rejected.
    Awkward("photos/cut.jpg", lambda: jpeg()[:600], Fate.REJECTED),
    Awkward("photos/empty.jpg", lambda: b"", Fate.REJECTED, "empty"),
    Awkward("photos/words.jpg", lambda: b"no picture at all", Fate.REJECTED),
    # What is passed over.
    Awkward("photos/camera.CR2", jpeg, Fate.PASSED_OVER, "Canon RAW file"),
    Awkward("photos/layers.psd", jpeg, Fate.PASSED_OVER, "Photoshop document"),
    Awkward("photos/clip.mp4", jpeg, Fate.PASSED_OVER, "video"),
    Awkward("photos/saved.jpg?w=300", jpeg, Fate.PASSED_OVER, "more behind a picture's suffix"),
    Awkward("photos/saved.jpg_large", jpeg, Fate.PASSED_OVER, "more behind a picture's suffix"),
    Awkward("photos/IMG_0001", jpeg, Fate.PASSED_OVER, "no suffix"),
    Awkward("photos/notes.txt", lambda: b"notes", Fate.PASSED_OVER, ".txt"),
    Awkward("photos/.hidden.jpg", jpeg, Fate.PASSED_OVER, "hidden"),
    Awkward("photos/._plain.jpg", jpeg, Fate.PASSED_OVER, "AppleDouble"),
    Awkward("photos/@eaDir/plain.jpg", jpeg, Fate.PASSED_OVER, "thumbnails of a Synology"),
    Awkward("photos/Thumbs.db", jpeg, Fate.PASSED_OVER, "thumbnails of Windows"),
    Awkward(
        "photos/out/dataset.json",
        own({"format_version": 3, "recipe_digest": "ab"}),
        Fate.PASSED_OVER,
        "redepth's own labels",
    ),
    Awkward("photos/out/reports/r/sheet.png", jpeg, Fate.PASSED_OVER, "redepth's own labels"),
    Awkward(
        "photos/maps/export.json",
        own({"recipe_digest": "ab", "request": {}}),
        Fate.PASSED_OVER,
        "redepth's own export",
    ),
    Awkward("photos/maps/refined/x.png", jpeg, Fate.PASSED_OVER, "redepth's own export"),
    # Containers, whole and not.
    Awkward("shards/0.tar", lambda: tar_of("a.jpg", "b.jpg"), Fate.LABELLED, num_labelled=2),
    Awkward("shards/damaged.tar", tar_with_damaged_header, Fate.FAULT, num_labelled=3),
    Awkward("shards/empty.tar", lambda: b"", Fate.FAULT),
    Awkward("shards/words.tar", lambda: b"no tar" * 200, Fate.FAULT),
    Awkward("shards/0.parquet", lambda: parquet_of(jpeg(), None), Fate.LABELLED, num_labelled=1),
    Awkward("shards/empty.parquet", lambda: b"", Fate.FAULT),
)

if __name__ == "__main__":
    write_collection(Path(sys.argv[1]))
    print(source_of(Path(sys.argv[1]).resolve()))  # noqa: T201 it is what the script is for
