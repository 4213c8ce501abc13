"""Every kind of awkward file, made here in a few bytes, and what must come of it."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected, TransientError
from redepth.images import decode as decode_module
from redepth.images.decode import decode, read_image
from redepth.types import ByteImage, DecodedImage, ImageRef

TINY = Decoding(min_side_px=1)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decoded(image: Image.Image, file_format: str, **options: object) -> DecodedImage:
    return decode(encoded(image, file_format, **options), TINY)


def scene(width_px: int = 48, height_px: int = 32) -> Image.Image:
    """A picture with no symmetry: red grows to the right, green downwards, one blue corner."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    rgb_hw3 = np.stack([x * 5, y * 7, np.zeros_like(x)], axis=-1).astype(np.uint8)
    rgb_hw3[:4, :4, 2] = 255
    return Image.fromarray(rgb_hw3)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(width_px: int, height_px: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width_px, height_px, depth, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *more,
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND", b""),
        )
    )


def tiff(width_px: int, height_px: int, bits: int, sample_format: int, samples: bytes) -> bytes:
    """A little-endian grey TIFF of one strip."""
    entries = [
        (256, 4, width_px), (257, 4, height_px), (258, 3, bits), (259, 3, 1), (262, 3, 1),
        (273, 4, 134), (277, 3, 1), (278, 4, height_px), (279, 4, len(samples)),
        (339, 3, sample_format),
    ]  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + samples


# --- what a plain file becomes -------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_files_come_back_as_they_were(file_format: str) -> None:
    result = decoded(scene(), file_format)
    assert np.array_equal(result.rgb_hw3, np.asarray(scene()))
    assert (result.file_format, result.notes) == (file_format, ())
    assert (result.height_px, result.width_px) == (32, 48)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "JPEG2000", "AVIF"])
def test_lossy_files_come_back_nearly(file_format: str) -> None:
    result = decoded(scene(), file_format, quality=95)
    assert np.abs(result.rgb_hw3.astype(int) - np.asarray(scene())).mean() < 6


def test_the_digest_is_of_the_bytes() -> None:
    import hashlib

    data = encoded(scene(), "PNG")
    assert decode(data, TINY).sha256 == hashlib.sha256(data).hexdigest()


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(scene(), "TIFF"))
    assert read_image(ImageRef("x", str(path)), TINY).file_format == "TIFF"


@given(
    st.integers(1, 8),
    st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]),
)
def test_every_exif_orientation_comes_out_upright(orientation: int, file_format: str) -> None:
    # What a camera stores so that the tag's turn gives the scene back.
    store = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a, -1),
    }[orientation]  # fmt: skip
    upright = np.asarray(scene())
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(store(upright)))
    result = decoded(stored, file_format, exif=exif, quality=95)
    assert result.rgb_hw3.shape == upright.shape
    assert np.abs(result.rgb_hw3.astype(int) - upright).mean() < 6
    said = f"turned upright (EXIF orientation {orientation})"
    assert result.notes == ((said,) if orientation > 1 else ())


def test_an_unreadable_exif_block_does_not_cost_the_picture() -> None:
    result = decoded(scene(), "PNG", exif=b"Exif\x00\x00no TIFF at all")
    assert np.array_equal(result.rgb_hw3, np.asarray(scene()))


# --- modes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("LAB", (128, 128, 128), (119, 119, 119)),  # L* = 50
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
    ],
)
def test_modes_of_a_tiff_become_rgb(
    mode: str, value: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    result = decoded(Image.new(mode, (20, 20), value), "TIFF")
    assert np.abs(result.rgb_hw3.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa", "HSV", "RGBX"])
def test_every_mode_pillow_has_finds_its_way_to_rgb(mode: str) -> None:
    picture = decode_module._over_background(
        decode_module._Picture(Image.new(mode, (4, 3))), Decoding(background=(9, 8, 7))
    )
    expected = (0, 0, 0) if mode in ("HSV", "RGBX") else (9, 8, 7)
    assert picture.image.mode == "RGB"
    assert picture.image.getpixel((0, 0)) == expected


def test_cmyk_jpeg_of_pillow_keeps_its_colour() -> None:
    result = decoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(result.rgb_hw3.astype(int) - RED).max() <= 6


def adobe_marker(data: bytes) -> slice:
    start = data.index(b"\xff\xee")
    assert data[start + 4 : start + 9] == b"Adobe"
    return slice(start, start + 2 + int.from_bytes(data[start + 2 : start + 4]))


def test_adobes_inverted_samples_are_undone_with_the_marker_and_without() -> None:
    data = encoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95)
    marker = adobe_marker(data)
    for stored in (data, data[: marker.start] + data[marker.stop :]):
        assert np.abs(decode(stored, TINY).rgb_hw3.astype(int) - RED).max() <= 6


def test_adobe_ycck_is_undone() -> None:
    """Samples (55, 128, 128, 255) are a bluish green as CMYK, a light grey as Adobe's YCCK."""
    data = bytearray(encoded(Image.new("CMYK", (32, 32), (200, 127, 127, 0)), "JPEG", quality=95))
    assert np.abs(decode(bytes(data), TINY).rgb_hw3.astype(int) - (55, 128, 128)).max() <= 6
    data[adobe_marker(bytes(data)).stop - 1] = 2  # colour transform: YCCK
    assert np.abs(decode(bytes(data), TINY).rgb_hw3.astype(int) - (200, 200, 200)).max() <= 6


def test_a_colour_profile_is_left_aside() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decoded(scene(), "PNG", icc_profile=profile).rgb_hw3, np.asarray(scene()))


# --- bit depth -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 65535), min_size=6, max_size=6))
def test_16_bit_grey_is_scaled_by_its_depth(values: list[int]) -> None:
    samples_hw = np.array(values, dtype=np.uint16).reshape(2, 3)
    expected = np.round(samples_hw / 257).astype(np.uint8)
    for file_format in ("PNG", "TIFF"):
        result = decoded(Image.fromarray(samples_hw), file_format)
        assert np.array_equal(result.rgb_hw3[..., 0], expected)
        assert result.notes == ("grey of 0..65535 scaled to 0..255",)


def test_a_dim_16_bit_picture_stays_dim() -> None:
    samples_hw = np.linspace(291, 694, 64 * 64).reshape(64, 64).astype(np.uint16)
    rgb_hw3 = decoded(Image.fromarray(samples_hw), "TIFF").rgb_hw3
    assert (rgb_hw3.min(), rgb_hw3.max()) == (1, 3)


def test_big_endian_and_16_bit_pgm_are_scaled_alike() -> None:
    samples_hw = np.array([[0, 257, 65535]], dtype=np.uint16)
    pgm = b"P5 3 1 65535\n" + samples_hw.astype(">u2").tobytes()
    big_endian = Image.frombytes("I;16B", (3, 1), samples_hw.astype(">u2").tobytes())
    for result in (decode(pgm, TINY), decoded(big_endian, "TIFF")):
        assert result.rgb_hw3[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize(
    ("bits", "sample_format", "dtype", "values", "expected"),
    [
        (16, 2, "<i2", [-5, 0, 32767], [0, 0, 255]),
        (32, 1, "<u4", [0, 2**31, 2**32 - 1], [0, 128, 255]),
        (32, 2, "<i4", [-7, 2**30, 2**31 - 1], [0, 128, 255]),
        (32, 3, "<f4", [0.0, 0.5, 1.0], [0, 128, 255]),
    ],
)
def test_wide_tiff_samples_are_scaled_by_their_type(
    bits: int, sample_format: int, dtype: str, values: list[float], expected: list[int]
) -> None:
    data = tiff(3, 1, bits, sample_format, np.array(values, dtype).tobytes())
    result = decode(data, TINY)
    assert result.rgb_hw3[0, :, 0].tolist() == expected
    assert len(result.notes) == 1


@pytest.mark.parametrize("values", [[0.0, 55.0], [-0.1, 0.5], [0.0, float("nan")]])
def test_float_samples_without_a_white_point_are_rejected(values: list[float]) -> None:
    data = tiff(2, 1, 32, 3, np.array(values, "<f4").tobytes())
    with pytest.raises(ImageRejected, match="white point"):
        decode(data, TINY)


# --- transparency --------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composited_over_the_background(file_format: str) -> None:
    rgba_hw4 = np.zeros((20, 20, 4), np.uint8)
    rgba_hw4[:, 10:] = (255, 0, 0, 255)
    data = encoded(Image.fromarray(rgba_hw4), file_format, lossless=True)
    result = decode(data, Decoding(min_side_px=1, background=(10, 20, 30)))
    assert result.rgb_hw3[0, 0].tolist() == [10, 20, 30]
    assert result.rgb_hw3[0, 15].tolist() == [255, 0, 0]
    assert result.notes == ("transparency over rgb(10, 20, 30)",)


def test_half_transparent_is_half_background() -> None:
    result = decoded(Image.new("LA", (8, 8), (0, 128)), "PNG")
    assert abs(int(result.rgb_hw3[0, 0, 0]) - 127) <= 1


def test_an_opaque_alpha_channel_is_not_worth_a_word() -> None:
    assert decoded(Image.new("RGBA", (8, 8), (1, 2, 3, 255)), "PNG").notes == ()


@pytest.mark.parametrize(
    ("depth", "colour", "key", "rows", "more"),
    [
        (8, 0, b"\x00\x07", b"\x00\x07\x50", []),
        (16, 0, b"\x01\x07", b"\x00\x01\x07\x50\x50", []),
        (8, 2, b"\x00\x01\x00\x02\x00\x03", b"\x00\x01\x02\x03\x50\x50\x50", []),
        (1, 0, b"\x00\x00", b"\x00\x40", []),
        (8, 3, b"\x00", b"\x00\x00\x01", [png_chunk(b"PLTE", b"\x01\x02\x03\x50\x50\x50")]),
    ],
    ids=["grey", "grey 16", "rgb", "one bit", "palette"],
)
def test_png_colour_keys_are_transparent(
    depth: int, colour: int, key: bytes, rows: bytes, more: list[bytes]
) -> None:
    data = png(2, 1, depth, colour, rows, *more, png_chunk(b"tRNS", key))
    result = decode(data, Decoding(min_side_px=1, background=GREEN))
    assert tuple(result.rgb_hw3[0, 0]) == GREEN
    assert tuple(result.rgb_hw3[0, 1]) in ((80, 80, 80), WHITE)
    assert "transparency over rgb(0, 255, 0)" in result.notes


def test_a_16_bit_rgb_colour_key_does_not_break_the_picture() -> None:
    rows = b"\x00" + struct.pack(">6H", 0x0107, 0x0207, 0x0307, 0x5050, 0x5050, 0x5050)
    data = png(2, 1, 16, 2, rows, png_chunk(b"tRNS", struct.pack(">3H", 0x0107, 0x0207, 0x0307)))
    assert tuple(decode(data, TINY).rgb_hw3[0, 1]) == (80, 80, 80)


# --- several frames ------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_frame_is_taken_and_said(file_format: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, GREEN, BLUE)]
    result = decoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    assert np.abs(result.rgb_hw3.astype(int) - RED).max() <= 4
    assert result.notes == ("first of 3 frames",)


def test_a_phones_pair_of_jpegs_is_its_first_picture() -> None:
    result = decoded(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert (result.file_format, result.notes) == ("MPO", ("first of 2 frames",))
    assert result.rgb_hw3.shape == (32, 48, 3)


# --- rejections ----------------------------------------------------------------------------------

GIF_BOMB = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + bytes(9) + b"\x02\x00;"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>404</html>", "not an image: looks like HTML"),
        (b"<html><body>", "not an image: looks like HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "not an image: looks like a Git LFS"),
        (b"<?xml version='1.0'?><svg/>", "not an image: looks like XML or SVG"),
        (b'{"error": 1}', "not an image: looks like JSON"),
        (b"%PDF-1.7", "not an image: looks like PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "looks like PostScript"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "HEIC"),
        (b"just some words", "not an image"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "begins like PNG"),
        (GIF_BOMB, "too large"),
    ],
)
def test_rejections_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(ImageRejected, match=reason):
        decode(data, TINY)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000"])
def test_half_a_file_is_rejected(file_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), file_format)
    with pytest.raises(ImageRejected):
        decode(data[: len(data) // 2], TINY)


def test_a_truncated_jpeg_is_called_truncated() -> None:
    data = encoded(scene(400, 300), "JPEG")
    with pytest.raises(ImageRejected, match="truncated: the file ends before the picture does"):
        decode(data[: len(data) - len(data) // 4], TINY)


def test_a_damaged_png_is_rejected() -> None:
    data = bytearray(encoded(scene(), "PNG"))
    data[data.index(b"IDAT") + 10] ^= 0xFF
    with pytest.raises(ImageRejected, match="broken PNG file"):
        decode(bytes(data), TINY)


@given(st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"]), st.data())
def test_whatever_is_in_the_file_it_decodes_or_is_rejected(
    file_format: str, data: st.DataObject
) -> None:
    damaged = bytearray(encoded(scene(24, 16), file_format))
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    try:
        result = decode(bytes(damaged), Decoding(min_side_px=1, max_megapixels=1))
    except ImageRejected as rejection:
        assert str(rejection)
    else:
        assert result.height_px * result.width_px <= 1_000_000


def test_pictures_beyond_the_limits_are_rejected_and_at_the_limits_taken() -> None:
    data = encoded(Image.new("L", (100, 50)), "PNG")
    decode(data, Decoding(max_megapixels=0.005, min_side_px=50))
    with pytest.raises(ImageRejected, match=r"100 x 50 px: too large.*max_megapixels"):
        decode(data, Decoding(max_megapixels=0.0049))
    with pytest.raises(ImageRejected, match=r"100 x 50 px: too small.*51 px"):
        decode(data, Decoding(min_side_px=51))


def test_our_limit_replaces_pillows_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decoded(Image.new("L", (100, 50)), "PNG").width_px == 100
    assert Image.MAX_IMAGE_PIXELS == 100


def test_running_out_of_memory_is_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(decode_module, "_upright", exhausted)
    with pytest.raises(ImageRejected, match="does not fit into memory"):
        decode(encoded(scene(), "PNG"), TINY)


def bomb(kind: str) -> bytes:
    if kind == "gif":
        return GIF_BOMB
    if kind == "png":
        return png(60_000, 60_000, 8, 2, bytes(100))
    if kind == "webp":  # lossless, 16383 x 16383
        bits = b"\x2f" + struct.pack("<I", 16382 | (16382 << 14)) + bytes(16)
        chunk = b"VP8L" + struct.pack("<I", len(bits)) + bits + b"\x00" * (len(bits) % 2)
        return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
    text = b"Comment\x00\x00" + zlib.compress(bytes(300_000_000), 9)
    return png(64, 64, 8, 0, bytes(65 * 64), png_chunk(b"zTXt", text))


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "text"])
def test_bombs_take_no_memory(kind: str, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(bomb(kind))
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from redepth.images.decode import *\n"
        "peak_kb = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "data, before_kb = Path(sys.argv[1]).read_bytes(), peak_kb()\n"
        "try: decode(data, Decoding())\n"
        "except ImageRejected as rejection: print(peak_kb() - before_kb, rejection)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bomb")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    grown_kb, _, reason = result.stdout.partition(" ")
    assert int(grown_kb) < 20_000
    assert "too large" in reason
    assert result.stderr == ""


def test_nothing_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    palette = Image.new("P", (20, 20))
    palette.info["transparency"] = bytes(range(256))
    decode(encoded(palette, "PNG"), TINY)
    strange = tiff(2, 1, 8, 1, b"ab").replace(struct.pack("<HHII", 277, 3, 1, 1), b"\x15\x01\x03")
    for damaged in (strange, GIF_BOMB, encoded(scene(), "JPEG")[:-200]):
        with pytest.raises(ImageRejected):
            decode(damaged, TINY)
    assert capfd.readouterr() == ("", "")


# --- reading -------------------------------------------------------------------------------------


def test_reads_from_any_filesystem() -> None:
    fsspec.filesystem("memory").pipe_file("/decode/a.png", encoded(scene(), "PNG"))
    result = read_image(ImageRef("a", "memory://decode/a.png"), TINY)
    assert np.array_equal(result.rgb_hw3, np.asarray(scene()))


@pytest.mark.parametrize("uri", ["memory://decode/gone.jpg", "/nowhere/gone.jpg"])
def test_a_file_that_is_gone_is_rejected(uri: str) -> None:
    with pytest.raises(ImageRejected, match="no longer there"):
        read_image(ImageRef("gone", uri), TINY)


def test_a_folder_under_an_image_name_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ImageRejected, match="is a folder: only regular files are read"):
        read_image(ImageRef("folder", str(tmp_path)), TINY)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_forbidden_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ImageRejected, match="refuses"):
        read_image(ImageRef("a", str(path)), TINY)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (PermissionError("403"), ImageRejected),
        (ConnectionResetError("reset by peer"), TransientError),
        (TimeoutError("slow"), TransientError),
        (OSError(16, "Please reduce your request rate"), TransientError),
        (ImportError("Please install gcsfs"), ConfigError),
        (KeyError("a bug"), KeyError),
    ],
)
def test_storage_errors_become_ours(
    raised: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise raised

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", fail)
    with pytest.raises(expected):
        read_image(ImageRef("a", "memory://decode/a.png"), TINY)


def test_a_file_too_long_for_any_picture_is_not_read() -> None:
    with pytest.raises(ImageRejected, match="max_megapixels"):
        read_image(ImageRef("video", "/nowhere/video.jpg", size_bytes=9_000_000_000), TINY)


# --- the size that is asked for ------------------------------------------------------------------


def sized(rgb_hw3: ByteImage, height_px: int, width_px: int) -> ByteImage:
    """Decode a PNG of these pixels at another size."""
    data = encoded(Image.fromarray(rgb_hw3), "PNG")
    result = decode(data, TINY, lambda height, width: (height_px, width_px))
    assert (result.height_px, result.width_px) == rgb_hw3.shape[:2], "the photograph's own"
    return result.rgb_hw3


def test_it_has_the_size_that_is_asked_for_and_keeps_a_flat_colour() -> None:
    flat = np.full((30, 50, 3), (10, 200, 30), np.uint8)
    for height_px, width_px in ((15, 20), (61, 99), (30, 50)):
        resized = sized(flat, height_px, width_px)
        assert resized.shape == (height_px, width_px, 3)
        assert (resized == (10, 200, 30)).all()


def test_shrinking_antialiases() -> None:
    """A checkerboard shrunk eight times is grey; without antialiasing it stays black or white."""
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = sized(np.repeat(checkers[..., None], 3, axis=-1), 8, 8)
    assert np.abs(small.astype(int) - 127).max() <= 12


@given(st.integers(1, 40), st.integers(1, 40))
def test_resizing_is_deterministic_and_commutes_with_mirroring(height: int, width: int) -> None:
    rgb_hw3 = np.asarray(scene())
    once = sized(rgb_hw3, height, width)
    assert np.array_equal(once, sized(rgb_hw3.copy(), height, width))
    mirrored = sized(np.ascontiguousarray(rgb_hw3[:, ::-1]), height, width)
    assert np.abs(mirrored[:, ::-1].astype(int) - once).max() <= 1


def test_what_the_size_rule_raises_is_not_blamed_on_the_file() -> None:
    def fails(height_px: int, width_px: int) -> tuple[int, int]:
        raise ValueError("no size")

    for file_format in ("PNG", "JPEG"):
        with pytest.raises(ValueError, match="no size"):
            decode(encoded(scene(), file_format), TINY, fails)
