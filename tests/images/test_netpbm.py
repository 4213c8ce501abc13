"""PFM, PGM and PPM: every header that the formats allow, and nothing read a byte off."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels
from redepth.images.picture.netpbm import read_pnm

DEPTH = np.arange(1, 13, dtype=np.float32).reshape(3, 4) / 4
SPACES = st.sampled_from([b"\n", b"\r\n", b" ", b"\t", b"  ", b" \n", b"\n# written by hand\n"])


def pfm(
    values: np.ndarray, after_tag: bytes = b"\n", between: bytes = b" ", after_size: bytes = b"\n",
    scale: bytes = b"-1.0", end: bytes = b"\n",
) -> bytes:  # fmt: skip
    """Write a PFM whose bytes are in the order that its scale says."""
    height, width = values.shape[:2]
    tag = b"Pf" if values.ndim == 2 else b"PF"
    sides = b"%d%s%d" % (width, between, height)
    order = "<f4" if scale.startswith(b"-") else ">f4"
    return b"".join(
        (tag, after_tag, sides, after_size, scale, end, np.flipud(values).astype(order).tobytes())
    )


@given(
    after_tag=SPACES,
    between=SPACES,
    after_size=SPACES,
    scale=st.sampled_from([b"-1", b"-1.0", b"1", b"1.000000", b"-0.003922", b"-1e0", b"+1"]),
    end=st.sampled_from([b"\n", b"\r\n", b" ", b"\t", b"\r", b" \n", b"  \r\n"]),
)
def test_every_header_of_the_format_gives_the_same_map(
    after_tag: bytes, between: bytes, after_size: bytes, scale: bytes, end: bytes
) -> None:
    content = pfm(DEPTH, after_tag, between, after_size, scale, end)
    np.testing.assert_array_equal(read_pnm("a.pfm", content), DEPTH)


@given(
    values=st.lists(st.floats(width=32), min_size=6, max_size=6),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_pixels_that_look_like_the_end_of_a_line_are_pixels(
    values: list[float], end: bytes
) -> None:
    """The first byte behind the header may be 0x0A itself."""
    map_hw = np.array(values, dtype=np.float32).reshape(2, 3)
    map_hw[-1, 0] = np.frombuffer(b"\n\n\x20\x41", "<f4")[0]
    np.testing.assert_array_equal(read_pnm("a", pfm(map_hw, end=end)), map_hw)


def test_a_header_of_windows_is_read(tmp_path: Path) -> None:
    """300 x 200, 0 to 59.8, as one was met; Pillow reads it one byte off, with values to 1e38."""
    values = np.tile(np.arange(300, dtype=np.float32) / 5, (200, 1))
    path = tmp_path / "disp0.pfm"
    path.write_bytes(pfm(values, b"\r\n", b" ", b"\r\n", b"-1.0", b"\r\n"))
    np.testing.assert_array_equal(np.asarray(read_pixels(path)), values)


def test_every_cut_is_refused() -> None:
    content = pfm(DEPTH)
    for length in range(2, len(content)):
        with pytest.raises(ConfigError, match=r"^a\.pfm"):
            read_pnm("a.pfm", content[:length])


def test_every_byte_of_every_header_is_refused_or_the_size_is_the_same() -> None:
    num_refused = num_read = 0
    for end in (b"\n", b"\r\n"):
        whole = pfm(DEPTH, end, b" ", end, b"-1.0", end)
        for place in range(2, len(whole) - DEPTH.nbytes):
            for byte in range(256):
                damaged = bytes((*whole[:place], byte, *whole[place + 1 :]))
                try:
                    assert read_pnm("a.pfm", damaged).size == DEPTH.size
                    num_read += 1
                except ConfigError:
                    num_refused += 1
    assert num_refused + num_read == (10 + 13) * 256
    assert num_read < num_refused / 5, "most damages show"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"Pf\n0 3\n-1\n", "is 0 x 3"),
        (b"Pf\n4 3\n0\n", "its scale is b'0'"),
        (b"Pf\n4 3\nnan\n", "its scale is b'nan'"),
        (b"Pf\n4 3\n-inf\n", "its scale is b'-inf'"),
        (b"Pf\n4 3\nlittle\n", "its scale is b'little'"),
        (b"Pf\n4 -3\n-1\n", "begins with"),
        (b"Pf\n5 3\n-1\n", "ask for 60 bytes, 48 lie behind it"),
        (b"Pf\n4 2\n-1\n", "ask for 32 bytes, 48 lie behind it"),
        (b"Pf\n100000 100000\n-1\n", "67 megapixels"),
        (b"P5\n4 3\n0\n", "white point"),
        (b"P5\n4 3\n65536\n", "white point"),
        (b"P5\n4 3\n65535\n", "ask for 24 bytes, 48"),
    ],
)
def test_what_contradicts_itself_is_refused(header: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_pnm("a", header + np.ones((3, 4), "<f4").tobytes())


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" "])
@pytest.mark.parametrize("white", [1023, 10_000, 65_535])
def test_a_pgm_has_the_values_that_are_stored(tmp_path: Path, white: int, end: bytes) -> None:
    """Pillow stretches any other white point to 65535, which makes millimetres something else."""
    codes = np.arange(12, dtype=np.uint16).reshape(3, 4) * 80
    path = tmp_path / "depth.pgm"
    path.write_bytes(b"P5\r\n# Kinect\r\n4 3\r\n%d" % white + end + codes.astype(">u2").tobytes())
    np.testing.assert_array_equal(np.asarray(read_pixels(path)), codes)


@pytest.mark.parametrize("name", ["a.ppm", "a.pgm"])
def test_pictures_of_pillow_come_back(tmp_path: Path, name: str) -> None:
    shape = (3, 4, 3) if name == "a.ppm" else (3, 4)
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    Image.fromarray(pixels).save(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(read_pixels(tmp_path / name)), pixels)


def test_a_pfm_of_pillow_comes_back_and_one_of_three_channels_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(DEPTH).save(file, "PPM")
    np.testing.assert_array_equal(read_pnm("a", file.getvalue()), DEPTH)
    (tmp_path / "a.pfm").write_bytes(pfm(np.stack([DEPTH] * 3, axis=-1)))
    with pytest.raises(ConfigError, match="three channels"):
        read_pixels(tmp_path / "a.pfm")
