"""TIFFs of every arrangement: the right pixel values, or a rejection that says what they are."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.images.decode import decode

TINY = Decoding(min_side_px=1)
HEIGHT, WIDTH = 40, 56
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
GREY = (X * 4).astype(np.uint8)
RGB = np.stack([X * 4, Y * 6, (X * Y) % 251], -1).astype(np.uint8)
LAYOUTS = tuple(
    layout
    for layout in itertools.product("<>", (None, "zlib"), (None, (16, 16), (32, 16)), (False, True))
    if (layout[0], layout[3]) != (">", True)  # refused by name, see below
)


def written(samples: npt.NDArray[np.generic], **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> npt.NDArray[np.uint8]:
    return decode(data, TINY).rgb_hw3


def three(grey_hw: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    return np.repeat(grey_hw.astype(np.int64)[..., None], 3, axis=-1)


def assert_close(
    found: npt.NDArray[np.uint8], expected: npt.NDArray[np.generic], to: int = 1
) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= to


def deep(samples: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.generic]:
    return samples if bits == 8 else samples.astype(np.uint16) * 257


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("bits", [8, 16])
def test_rgb_in_strips_tiles_and_planes(
    layout: tuple[str, str | None, tuple[int, int] | None, bool], bits: int
) -> None:
    order, compression, tile, is_big = layout
    samples = deep(RGB, bits)
    arrangements = {"contig": samples, "separate": np.moveaxis(samples, -1, 0)}
    for planes, arranged in arrangements.items():
        data = written(
            arranged, photometric="rgb", planarconfig=planes, byteorder=order, tile=tile,
            compression=compression, bigtiff=is_big,
        )  # fmt: skip
        assert_close(pixels(data), RGB)


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_planes_with_a_fourth_sample(extra: str, bits: int, order: str) -> None:
    opaque = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    samples = deep(np.concatenate([RGB, opaque], -1), bits)
    for tile in (None, (16, 16)):
        data = written(
            np.moveaxis(samples, -1, 0), photometric="rgb", planarconfig="separate",
            extrasamples=[extra], byteorder=order, tile=tile,
        )  # fmt: skip
        assert_close(pixels(data), RGB)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_cmyk_in_planes(planes: str, bits: int, order: str) -> None:
    inks = deep(np.concatenate([255 - RGB, np.zeros((HEIGHT, WIDTH, 1), np.uint8)], -1), bits)
    arranged = inks if planes == "contig" else np.moveaxis(inks, -1, 0)
    for compression in (None, "zlib"):
        data = written(
            arranged, photometric="separated", planarconfig=planes, byteorder=order,
            compression=compression,
        )  # fmt: skip
        assert_close(pixels(data), RGB)


def grey_kinds() -> Iterator[tuple[str, npt.NDArray[np.generic], int]]:
    """Yield a name, samples that mean GREY, and what they may differ by: 7 bits are coarse."""
    yield "uint8", GREY, 0
    yield "int8", (GREY // 2).astype(np.int8), 2
    yield "uint16", GREY.astype(np.uint16) * 257, 0
    yield "int16", (GREY.astype(np.int64) * 32767 // 255).astype(np.int16), 1
    yield "int32", (GREY.astype(np.int64) * (2**31 - 1) // 255).astype(np.int32), 1
    yield "float32", (GREY / 255).astype(np.float32), 0


@pytest.mark.parametrize("kind", [name for name, _, _ in grey_kinds()])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_grey_of_every_type(kind: str, order: str, compression: str | None) -> None:
    samples, to = next((s, to) for name, s, to in grey_kinds() if name == kind)
    for tile in (None, (16, 16)):
        data = written(
            samples, photometric="minisblack", byteorder=order, compression=compression, tile=tile
        )
        assert_close(pixels(data), three(GREY), to)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_min_is_white_is_no_negative(bits: int, compression: str | None) -> None:
    for tile in (None, (16, 16)):
        data = written(
            deep(255 - GREY, bits), photometric="miniswhite", compression=compression, tile=tile
        )
        assert_close(pixels(data), three(GREY))


def test_float_min_is_white_is_no_negative() -> None:
    data = written(((255 - GREY) / 255).astype(np.float32), photometric="miniswhite")
    assert_close(pixels(data), three(GREY))


def test_grey_and_alpha_palette_and_one_bit() -> None:
    with_alpha = np.stack([GREY, np.full_like(GREY, 255)], -1)
    data = written(with_alpha, photometric="minisblack", extrasamples=["unassalpha"])
    assert_close(pixels(data), three(GREY))
    ramp = np.arange(256)
    colours = (np.stack([ramp, 255 - ramp, ramp // 2]) * 257).astype(np.uint16)
    data = written(GREY, photometric="palette", colormap=colours)
    assert_close(pixels(data), np.stack([GREY, 255 - GREY, GREY // 2], -1))
    is_white = X % 2 == Y % 3
    for photometric, samples in (("minisblack", is_white), ("miniswhite", ~is_white)):
        data = written(samples, photometric=photometric)
        assert_close(pixels(data), three(is_white * 255), 0)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK", "RGBA", "P"])
def test_pillows_compressions_come_back_as_written(compression: str, mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=compression)
    assert np.array_equal(pixels(buffer.getvalue()), np.asarray(image.convert("RGB")))


# --- by hand: what tifffile does not write without more packages ---------------------------------


def by_hand(
    bits: int, photometric: int, rows: bytes, num_samples: int = 1, order: str = "<",
    more: tuple[tuple[int, int, int, int], ...] = (),
) -> bytes:  # fmt: skip
    """Return an uncompressed TIFF of one strip; tags as (tag, type, count, value)."""
    tags = sorted((
        (256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (258, 3, 1, bits), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, num_samples), (278, 4, 1, HEIGHT),
        (279, 4, 1, len(rows)), *more,
    ))  # fmt: skip
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    body = b"".join(
        struct.pack(order + "HHI", tag, kind, count)
        + struct.pack(order + ("HH" if kind == 3 else "I"), *_value(kind, count, value))
        for tag, kind, count, value in tags
    )
    rows += bytes(len(rows) % 2)
    return (
        start + struct.pack(order + "I", 8 + len(rows)) + rows
        + struct.pack(order + "H", len(tags)) + body + bytes(4)
    )  # fmt: skip


def _value(kind: int, count: int, value: int) -> tuple[int, ...]:
    if kind != 3:
        return (value,)
    return (value, value) if count == 2 else (value, 0)


def packed(samples_hw: npt.NDArray[np.int64], bits: int) -> bytes:
    """Pack samples bit by bit, each row to a whole byte."""
    places = np.arange(bits - 1, -1, -1)
    bits_hw = (samples_hw[..., None] >> places & 1).reshape(len(samples_hw), -1)
    return np.packbits(bits_hw.astype(np.uint8), axis=1).tobytes()


def test_12_bit_grey_is_not_dark() -> None:
    data = by_hand(12, 1, packed(GREY.astype(np.int64) * 4095 // 255, 12))
    assert_close(pixels(data), three(GREY))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_few_bits_fill_the_range(bits: int, order: str) -> None:
    white = 2**bits - 1
    samples_hw = X.astype(np.int64) % (white + 1)
    expected = three(samples_hw * 255 // white)
    rows = packed(samples_hw, bits)
    assert_close(pixels(by_hand(bits, 1, rows, order=order)), expected, 0)
    assert_close(pixels(by_hand(bits, 0, rows, order=order)), 255 - expected, 0)
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in rows)
    reversed_bits = by_hand(bits, 1, mirrored, order=order, more=((266, 3, 1, 2),))
    assert_close(pixels(reversed_bits), expected, 0)


@pytest.mark.parametrize("order", ["<", ">"])
def test_ycbcr_with_a_quarter_of_the_chroma(order: str) -> None:
    smooth = np.stack([X * 4, Y * 6, np.full_like(X, 90)], -1).astype(np.uint8)
    ycc = np.asarray(Image.fromarray(smooth).convert("YCbCr")).astype(int)
    blocks = ycc.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).transpose(0, 2, 1, 3, 4)
    luma = blocks[..., 0].reshape(HEIGHT // 2, WIDTH // 2, 4)
    chroma = blocks[..., 1:].mean((2, 3))
    rows = np.concatenate([luma, chroma], -1).astype(np.uint8).tobytes()
    data = by_hand(8, 6, rows, 3, order, more=((530, 3, 2, 2),))
    assert_close(pixels(data), smooth, 7)


@pytest.mark.parametrize(
    ("samples", "photometric", "said"),
    [
        (np.zeros((8, 8), np.float64), "minisblack", "1 a pixel, 64 bits each (float)"),
        (np.zeros((8, 8), np.float16), "minisblack", "1 a pixel, 16 bits each (float)"),
        (np.zeros((8, 8, 3), np.float32), "rgb", "3 a pixel, 32 bits each (float)"),
        (np.zeros((8, 8), np.uint64), "minisblack", "1 a pixel, 64 bits each (unsigned)"),
        (np.zeros((8, 8), np.complex64), "minisblack", "1 a pixel, 64 bits each (complex float)"),
    ],
    ids=str,
)
def test_other_samples_are_rejected_by_what_they_are(
    samples: npt.NDArray[np.generic], photometric: str, said: str
) -> None:
    with pytest.raises(ImageRejected, match="convert it to 8 or 16 bits") as rejected:
        pixels(written(samples, photometric=photometric))
    assert said in str(rejected.value)


def test_a_big_endian_bigtiff_is_rejected_by_name() -> None:
    with pytest.raises(ImageRejected, match="a BigTIFF in big-endian order, which is not read"):
        pixels(written(RGB, photometric="rgb", byteorder=">", bigtiff=True))


def test_the_first_of_several_pages_in_planes() -> None:
    samples = np.moveaxis(deep(RGB, 16), -1, 0)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in (samples, 65535 - samples):
            writer.write(page, photometric="rgb", planarconfig="separate")
    result = decode(buffer.getvalue(), TINY)
    assert_close(result.rgb_hw3, RGB)
    assert result.notes == ("first of 2 frames",)


def test_planes_are_turned_upright_once() -> None:
    samples = np.moveaxis(deep(np.ascontiguousarray(np.rot90(RGB)), 16), -1, 0)
    data = written(
        samples, photometric="rgb", planarconfig="separate", extratags=[(274, "H", 1, 6, True)]
    )
    result = decode(data, TINY)
    assert_close(result.rgb_hw3, RGB)
    assert result.notes == ("turned upright (EXIF orientation 6)",)


def test_pillows_switch_is_given_back() -> None:
    from PIL import TiffImagePlugin

    pixels(written(np.moveaxis(deep(RGB, 16), -1, 0), photometric="rgb", planarconfig="separate"))
    assert TiffImagePlugin.READ_LIBTIFF is False
