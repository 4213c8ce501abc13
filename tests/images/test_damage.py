"""Damaged files: decoded with a note if every pixel of the first frame is there, else rejected."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.images.decode import decode
from redepth.types import DecodedImage

TINY = Decoding(min_side_px=1, max_megapixels=1)
MULTI_FRAME = ("GIF", "TIFF", "PNG", "WEBP")


def scene(seed: int = 0) -> Image.Image:
    """A small picture with a gradient, an edge and noise."""
    y, x = np.mgrid[0:24, 0:32]
    rgb_hw3 = np.stack([x * 8, y * 10, (x * y) % 256], -1).astype(np.uint8)
    rgb_hw3[8:16, 8:16] = np.random.default_rng(seed).integers(0, 256, (8, 8, 3))
    return Image.fromarray(rgb_hw3)


def encoded(file_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (scene() if image is None else image).save(buffer, file_format, **options)
    return buffer.getvalue()


def animated(file_format: str) -> bytes:
    return encoded(file_format, save_all=True, append_images=[scene(1), scene(2)])


def outcome(data: bytes) -> DecodedImage | str:
    try:
        return decode(data, TINY)
    except ImageRejected as rejection:
        return str(rejection)


KINDS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded("JPEG"),
    "jpeg, progressive": lambda: encoded("JPEG", progressive=True),
    "jpeg, restart markers": lambda: encoded("JPEG", restart_marker_blocks=1),
    "jpeg, restart rows": lambda: encoded("JPEG", restart_marker_rows=1, subsampling=2),
    "jpeg, grey of one colour": lambda: encoded("JPEG", Image.new("L", (24, 24), 128)),
    "jpeg, of one colour": lambda: encoded("JPEG", Image.new("RGB", (32, 24), (10, 200, 30))),
    "jpeg, CMYK": lambda: encoded("JPEG", scene().convert("CMYK")),
    "mpo": lambda: animated("MPO"),
    "png": lambda: encoded("PNG"),
    "png, palette": lambda: encoded("PNG", scene().convert("P")),
    "png, 16 bits": lambda: encoded("PNG", Image.fromarray(np.arange(96, dtype=np.uint16)[None])),
    "apng": lambda: animated("PNG"),
    "webp": lambda: encoded("WEBP"),
    "webp, lossless": lambda: encoded("WEBP", lossless=True),
    "webp, animated": lambda: animated("WEBP"),
    "webp, EXIF behind": lambda: encoded("WEBP", exif=exif_of(1)),
    "gif": lambda: encoded("GIF"),
    "gif, animated": lambda: animated("GIF"),
    "tiff": lambda: encoded("TIFF"),
    "tiff, LZW": lambda: encoded("TIFF", compression="tiff_lzw"),
    "tiff, deflate": lambda: encoded("TIFF", compression="tiff_adobe_deflate"),
    "tiff, pages": lambda: animated("TIFF"),
    "jpeg 2000": lambda: encoded("JPEG2000"),
    "jpeg 2000, tiles": lambda: encoded("JPEG2000", tile_size=(16, 16)),
    "jpeg 2000, bare": lambda: encoded("JPEG2000", no_jp2=True),
    "avif": lambda: encoded("AVIF"),
    "bmp": lambda: encoded("BMP"),
    "ppm": lambda: encoded("PPM"),
    "sgi": lambda: encoded("SGI"),
}


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_the_whole_picture_or_a_rejection(kind: str) -> None:
    """Cut at every byte, or at 300 of them: nothing that decodes lacks a pixel."""
    data = KINDS[kind]()
    whole = decode(data, TINY)
    step = max(1, len(data) // 300)
    cuts = sorted({*range(0, len(data), step), *range(max(0, len(data) - 20), len(data))})
    for cut in cuts:
        found = outcome(data[:cut])
        if isinstance(found, DecodedImage):
            assert np.array_equal(found.rgb_hw3, whole.rgb_hw3), f"cut at {cut} of {len(data)}"


@given(st.integers(0, 2**31), st.integers(1, 60), st.booleans(), st.integers(0, 3))
def test_a_jpeg_that_lost_its_end_is_whole_or_rejected(
    seed: int, num_lost: int, progressive: bool, num_levels: int
) -> None:
    """Pictures of few colours most of all: their last blocks take few bits."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 256, (1 + num_levels, 3))
    small_hw = rng.integers(0, 1 + num_levels, (2, 3))
    rgb_hw3 = np.kron(levels[small_hw].astype(np.uint8), np.ones((8, 8, 1), np.uint8))
    data = encoded("JPEG", Image.fromarray(rgb_hw3), progressive=progressive, quality=70)
    found = outcome(data[:-num_lost])
    if isinstance(found, DecodedImage):
        assert np.array_equal(found.rgb_hw3, decode(data, TINY).rgb_hw3)
    elif num_lost <= 2:
        pytest.fail(f"every pixel was there: {found}")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("num_lost", [1, 2])
def test_a_lost_end_marker_alone_is_a_note(num_lost: int, progressive: bool) -> None:
    data = encoded("JPEG", progressive=progressive)
    result = decode(data[:-num_lost], TINY)
    assert result.notes == ("the end marker is missing, every pixel is there",)
    assert np.array_equal(result.rgb_hw3, decode(data, TINY).rgb_hw3)


def test_a_progressive_jpeg_without_its_last_scan_is_truncated() -> None:
    """The scans before it show every pixel, only coarser: not the pixels that were meant."""
    data = encoded("JPEG", progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    assert "truncated" in str(outcome(data[:last_scan]))


def test_bytes_behind_a_jpeg_are_no_damage_and_before_it_are() -> None:
    data = encoded("JPEG")
    assert decode(data + b"a phone's film behind it", TINY).notes == ()
    said = outcome(b"\r\n" + data)
    assert said == (
        "not an image: a JPEG begins only at byte 2; if it is one, cut off what stands in front "
        "of it"
    )


# --- PNG -----------------------------------------------------------------------------------------


def chunks_of(data: bytes) -> list[tuple[bytes, bytes, int]]:
    """Return kind, body and checksum of each chunk."""
    found, start = [], 8
    while start < len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        found.append((kind, data[start + 8 : end], struct.unpack_from(">I", data, end)[0]))
        start = end + 4
    return found


def joined(chunks: list[tuple[bytes, bytes, int]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)
        for kind, body, checksum in chunks
    )


def chunk(kind: bytes, body: bytes, wrong: int = 0) -> tuple[bytes, bytes, int]:
    return kind, body, zlib.crc32(kind + body) ^ wrong


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"iCCP", b"eXIf", b"abCd"])
@pytest.mark.parametrize("where", [1, -1])
def test_a_wrong_checksum_outside_the_pixels_is_a_note(kind: bytes, where: int) -> None:
    chunks = chunks_of(encoded("PNG"))
    chunks.insert(where, chunk(kind, b"whatever", wrong=1))
    result = decode(joined(chunks), TINY)
    assert np.array_equal(result.rgb_hw3, np.asarray(scene()))
    (note,) = result.notes
    assert note.startswith(f"wrong checksum in chunk {kind.decode()} at byte ")


def test_a_wrong_checksum_of_sound_pixels_is_a_note() -> None:
    kinds = [
        chunk(kind, body, wrong=kind == b"IDAT") for kind, body, _ in chunks_of(encoded("PNG"))
    ]
    result = decode(joined(kinds), TINY)
    assert np.array_equal(result.rgb_hw3, np.asarray(scene()))
    assert result.notes == ("wrong checksum in chunk IDAT at byte 33, its pixels are sound",)


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS"])
def test_a_wrong_checksum_of_what_pixels_need_is_a_rejection(kind: bytes) -> None:
    palette = scene().convert("P")
    palette.info["transparency"] = bytes(range(256))
    chunks = [chunk(name, body, wrong=name == kind) for name, body, _ in
              chunks_of(encoded("PNG", palette))]  # fmt: skip
    assert f"wrong checksum in {kind.decode()}" in str(outcome(joined(chunks)))


@pytest.mark.parametrize("position", [2, 40, -6])
def test_damaged_pixels_of_a_png_are_a_rejection(position: int) -> None:
    """Also where only the stream's own checksum tells."""
    chunks = chunks_of(encoded("PNG"))
    index = next(i for i, (kind, _, _) in enumerate(chunks) if kind == b"IDAT")
    body = bytearray(chunks[index][1])
    body[position] ^= 0x55
    chunks[index] = (b"IDAT", bytes(body), chunks[index][2])
    assert str(outcome(joined(chunks))).startswith(("damaged: broken PNG file", "truncated"))


def test_a_png_without_its_end_is_a_note_and_junk_in_the_end_s_place_too() -> None:
    chunks = chunks_of(encoded("PNG"))
    for end in (b"", bytes(30), b"\x00\x00\x00\x00IEN"):
        result = decode(joined(chunks[:-1]) + end, TINY)
        assert np.array_equal(result.rgb_hw3, np.asarray(scene()))
        assert result.notes == ("the end marker is missing, every pixel is there",)


def test_an_interlaced_png_is_counted_by_its_passes() -> None:
    """Pillow writes none: 3 x 2 pixels of grey, each pass with its rows."""
    header = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 1)
    rows = b"\0\1" + b"\0\3" + b"\0\2" + b"\0\4\5\6"
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows), wrong=1)]
    result = decode(joined([*chunks, chunk(b"IEND", b"")]), TINY)
    assert result.rgb_hw3[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    short = [chunks[0], chunk(b"IDAT", zlib.compress(rows[:-1]), wrong=1)]
    assert "(9 of 10 bytes of pixels)" in str(outcome(joined(short)))


# --- later frames --------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", MULTI_FRAME)
def test_damage_in_a_later_frame_is_a_note(file_format: str) -> None:
    data = animated(file_format)
    alone = np.asarray(decode(encoded(file_format), TINY).rgb_hw3)
    result = decode(data[: len(data) * 3 // 4], TINY)
    assert np.abs(result.rgb_hw3.astype(int) - alone).mean() < 12
    assert np.array_equal(result.rgb_hw3, decode(data, TINY).rgb_hw3)
    assert any("damaged" in note or "ends" in note or "of 3" in note for note in result.notes)


def test_damage_in_a_later_page_of_a_tiff_is_told() -> None:
    data = bytearray(animated("TIFF"))
    first = struct.unpack_from("<I", data, 4)[0]
    next_at = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, next_at, len(data) - 3)
    result = decode(bytes(data), TINY)
    assert np.array_equal(result.rgb_hw3, np.asarray(scene()))
    assert result.notes[0].startswith("first frame; a later one is damaged (")


def test_a_wrong_checksum_in_a_later_frame_of_an_apng_is_told() -> None:
    chunks = [chunk(kind, body, wrong=kind == b"fdAT") for kind, body, _ in
              chunks_of(animated("PNG"))]  # fmt: skip
    result = decode(joined(chunks), TINY)
    assert np.array_equal(result.rgb_hw3, np.asarray(scene()))
    assert result.notes[0].startswith("wrong checksum in chunk fdAT")


def test_a_later_frame_of_a_webp_without_sense_is_told() -> None:
    data = bytearray(animated("WEBP"))
    second = data.index(b"ANMF", data.index(b"ANMF") + 4)
    struct.pack_into("<I", data, second + 4, 8)  # too short for a frame's header
    result = decode(bytes(data), TINY)
    assert np.array_equal(result.rgb_hw3, decode(animated("WEBP"), TINY).rgb_hw3)
    assert result.notes[0] == "first frame; a later one is damaged"


def test_a_webp_cut_in_its_exif_is_decoded_and_told() -> None:
    data = encoded("WEBP", exif=exif_of(1))
    result = decode(data[:-5], TINY)
    assert np.array_equal(result.rgb_hw3, decode(data, TINY).rgb_hw3)
    assert result.notes == ("the file ends too early, its first picture is whole",)


def test_missing_tiles_of_a_jpeg_2000_are_a_rejection() -> None:
    """OpenJPEG leaves them blank and says nothing."""
    data = encoded("JPEG2000", no_jp2=True, tile_size=(16, 16))
    for index, part in enumerate(data.split(b"\xff\x90\x00\x0a")[:-1]):
        assert part
        cut = [i for i in range(len(data)) if data.startswith(b"\xff\x90\x00\x0a", i)][index]
        assert f"truncated: the file ends before the picture does ({index} of 4 tiles)" == str(
            outcome(data[:cut] + b"\xff\xd9")
        )
