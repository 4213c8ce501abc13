"""Colour profiles: converted to sRGB by the right numbers, and sRGB's own left alone."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from redepth.config import Decoding
from redepth.images.decode import decode
from redepth.images.picture import colour
from redepth.images.picture.colour import to_srgb
from redepth.types import DecodedImage
from tests.images.icc_profiles import (
    ADOBE_RGB,
    D50,
    D65,
    DISPLAY_P3,
    PROPHOTO,
    SRGB,
    Primaries,
    cmyk_profile,
    gamma_curve,
    grey_profile,
    rgb_profile,
    srgb_curve,
    srgb_decoded,
    srgb_encoded,
    table_curve,
    to_xyz,
)

TINY = Decoding(min_side_px=1)
P3 = rgb_profile(DISPLAY_P3, D65, srgb_curve(), "Display P3")
COLOURS = np.array(
    [
        [[255, 255, 255], [0, 0, 0], [128, 128, 128], [12, 12, 12]],
        [[200, 90, 60], [60, 140, 90], [70, 80, 170], [230, 220, 180]],
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]],
    ],
    np.uint8,
)


def decoded(image: Image.Image, file_format: str = "PNG", **options: object) -> DecodedImage:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return decode(buffer.getvalue(), TINY)


def expected_srgb(
    rgb_hw3: npt.NDArray[np.uint8], primaries: Primaries, white: tuple[float, float], gamma: float
) -> npt.NDArray[np.float64]:
    """Work the conversion out in floats: linear, XYZ of D50, linear sRGB, clipped, encoded."""
    encoded = rgb_hw3 / 255
    linear = srgb_decoded(encoded) if gamma == 0 else encoded**gamma
    matrix = np.linalg.inv(to_xyz(SRGB, D65)) @ to_xyz(primaries, white)
    return srgb_encoded(linear @ matrix.T) * 255


@pytest.mark.parametrize(
    ("primaries", "white", "gamma", "name"),
    [
        (DISPLAY_P3, D65, 0.0, "Display P3"),
        (ADOBE_RGB, D65, 2.19921875, "Adobe RGB (1998)"),
        (PROPHOTO, D50, 1.8, "ProPhoto RGB"),
        (SRGB, D65, 1.8, "an old Macintosh"),
    ],
)
def test_wide_gamuts_come_out_by_the_formula(
    primaries: Primaries, white: tuple[float, float], gamma: float, name: str
) -> None:
    curve = gamma_curve(gamma) if gamma else srgb_curve()
    profile = rgb_profile(primaries, white, curve, name)
    result = decoded(Image.fromarray(COLOURS), icc_profile=profile)
    expected = expected_srgb(COLOURS, primaries, white, gamma)
    assert np.abs(result.rgb_hw3 - expected).max() <= 2
    assert result.notes == (f"colours converted from {name} to sRGB",)


def test_the_shift_is_what_makes_it_worth_while() -> None:
    """sRGB's red is (234, 51, 35) in Display P3: read as it stands, it is paler."""
    red = np.full((4, 4, 3), (234, 51, 35), np.uint8)
    result = decoded(Image.fromarray(red), icc_profile=P3)
    assert np.abs(result.rgb_hw3.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_is_found_in_every_format_that_has_one(file_format: str) -> None:
    flat = Image.new("RGB", (16, 16), (60, 140, 90))
    result = decoded(flat, file_format, icc_profile=P3, quality=100)
    expected = expected_srgb(np.asarray(flat), DISPLAY_P3, D65, 0)
    assert np.abs(result.rgb_hw3 - expected).max() <= 6
    assert result.notes == ("colours converted from Display P3 to sRGB",)


# --- sRGB, whoever wrote it ----------------------------------------------------------------------

RAMP = np.linspace(0, 1, 1024)
SRGB_PROFILES = {
    "LittleCMS": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "parameters": rgb_profile(SRGB, D65, srgb_curve()),
    "a table of 1024": rgb_profile(SRGB, D65, table_curve(srgb_decoded(RAMP).tolist())),
    "a table of 64": rgb_profile(
        SRGB, D65, table_curve(srgb_decoded(np.linspace(0, 1, 64)).tolist())
    ),
    "rounded white point": rgb_profile(SRGB, (0.3127, 0.3291), srgb_curve()),
    "BT.709 primaries": rgb_profile(((0.640, 0.330), (0.3, 0.6), (0.15, 0.06)), D65, srgb_curve()),
}


@pytest.mark.parametrize("name", SRGB_PROFILES)
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_srgb_of_any_vendor_changes_no_byte(name: str, mode: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    result = decoded(image, icc_profile=SRGB_PROFILES[name])
    assert np.array_equal(result.rgb_hw3, decoded(image).rgb_hw3)
    assert result.notes == ()


def test_what_is_nearly_srgb_and_is_not_is_converted() -> None:
    """Gamma 2.2 differs in the shadows by more than vendors' roundings do."""
    nearly = rgb_profile(SRGB, D65, gamma_curve(2.2), "gamma 2.2")
    result = decoded(Image.fromarray(COLOURS), icc_profile=nearly)
    assert result.notes == ("colours converted from gamma 2.2 to sRGB",)
    expected = expected_srgb(COLOURS, SRGB, D65, 2.2)
    assert np.abs(result.rgb_hw3 - expected).max() <= 2


# --- modes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "P", "PA"])
def test_transparency_is_kept_and_its_colours_converted(mode: str) -> None:
    image = Image.new("RGB", (8, 8), (60, 140, 90)).convert(mode)
    if mode == "RGBA":
        image.putalpha(128)
    converted, _ = to_srgb(image, P3)
    expected = expected_srgb(np.asarray(image.convert("RGB")), DISPLAY_P3, D65, 0)
    assert np.abs(np.asarray(converted.convert("RGB")) - expected).max() <= 2
    if mode == "RGBA":
        assert converted.getchannel("A").getextrema() == (128, 128)


def test_grey_profiles_change_the_curve_of_grey() -> None:
    grey = Image.fromarray(np.array([[0, 12, 64, 128, 255]], np.uint8))
    result = decoded(grey, icc_profile=grey_profile(gamma_curve(1.8), "Gray Gamma 1.8"))
    expected = srgb_encoded((np.asarray(grey) / 255) ** 1.8) * 255
    assert np.abs(result.rgb_hw3 - expected[..., None]).max() <= 2
    assert result.notes == ("colours converted from Gray Gamma 1.8 to sRGB",)
    assert decoded(grey, icc_profile=grey_profile(srgb_curve())).notes == ()


def test_16_bit_grey_is_scaled_and_then_converted() -> None:
    deep = Image.fromarray(np.array([[0, 32896, 65535]], np.uint16))
    result = decoded(deep, icc_profile=grey_profile(gamma_curve(1.8), "g"))
    assert np.abs(result.rgb_hw3[0, :, 0].astype(int) - [0, 145, 255]).max() <= 2
    assert result.notes[-1] == "colours converted from g to sRGB"


def test_grey_with_a_profile_of_colours_keeps_its_neutral_axis() -> None:
    grey = Image.fromarray(np.array([[0, 64, 128, 255]], np.uint8))
    assert np.array_equal(decoded(grey, icc_profile=P3).rgb_hw3[..., 0], np.asarray(grey))


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(file_format: str) -> None:
    """A press whose cyan is grey: no formula without the profile gives that."""
    for inks, lowest, highest in (((0, 0, 0, 0), 253, 255), ((255, 0, 0, 0), 0, 130)):
        image = Image.new("CMYK", (16, 16), inks)
        result = decoded(image, file_format, icc_profile=cmyk_profile())
        assert np.ptp(result.rgb_hw3) <= 2
        assert lowest <= result.rgb_hw3.min() <= result.rgb_hw3.max() <= highest
        assert result.notes == ("colours converted from press made for a test to sRGB",)


@pytest.mark.parametrize(
    ("index", "profile", "notes"),
    [
        ("R98", None, ()),
        ("R03", None, ("colours are Adobe RGB by EXIF, without a profile, taken as sRGB",)),
        ("R03", SRGB_PROFILES["parameters"], ()),
    ],
)
def test_adobe_rgb_by_exif_alone_changes_nothing_and_is_told(
    index: str, profile: bytes | None, notes: tuple[str, ...]
) -> None:
    """As cameras write it: DCF's optional colour space."""
    image = Image.fromarray(COLOURS)
    result = decoded(image, "PNG", exif=exif_of(index), icc_profile=profile)
    assert np.array_equal(result.rgb_hw3, COLOURS)
    assert result.notes == notes


def exif_of(index: str) -> bytes:
    """Return EXIF with an interoperability IFD, which Pillow reads and does not write."""
    name = index.encode() + b"\0"
    interop = struct.pack("<HHHI4sI", 1, 1, 2, 4, name, 0)
    exif_ifd = struct.pack("<HHHIIHHIII", 2, 0xA001, 3, 1, 65535, 0xA005, 4, 1, 26 + 30, 0)
    first = struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + exif_ifd + interop


# --- profiles that cannot be used ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "profile", "said"),
    [
        (Image.new("RGB", (8, 8), (200, 90, 60)), b"no profile at all", "cannot open profile"),
        (Image.new("RGB", (8, 8), (200, 90, 60)), P3[: len(P3) // 2], ""),
        (Image.new("RGB", (8, 8), (200, 90, 60)), P3[:-60], ""),
        (Image.new("RGB", (8, 8), (200, 90, 60)), cmyk_profile(), "of CMYK colours"),
        (Image.new("RGB", (8, 8), (200, 90, 60)), grey_profile(gamma_curve(1.8)), "of L colours"),
        (Image.new("CMYK", (8, 8), (1, 2, 3, 4)), P3, "of RGB colours, the picture is CMYK"),
    ],
)
def test_a_profile_that_cannot_be_used_is_a_note(
    image: Image.Image, profile: bytes, said: str
) -> None:
    same, notes = to_srgb(image, profile)
    assert same is image
    assert len(notes) == 1
    assert notes[0].startswith(f"colour profile not usable ({said}")
    assert notes[0].endswith("), taken as sRGB")


def test_every_byte_of_a_profile_may_be_wrong() -> None:
    image = Image.fromarray(COLOURS)
    for position in range(len(P3)):
        damaged = bytearray(P3)
        damaged[position] ^= 0xFF
        converted, notes = to_srgb(image, bytes(damaged))
        assert converted.size == image.size
        assert len(notes) <= 1


def test_a_profile_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "MAX_PROFILE_BYTES", 100)
    longer = P3 + b"\0"
    _, notes = to_srgb(Image.new("RGB", (8, 8)), longer)
    assert notes == (f"colour profile not usable (it has {len(longer):,} bytes), taken as sRGB",)


def test_a_profiles_name_is_made_printable_and_short() -> None:
    named = rgb_profile(DISPLAY_P3, D65, srgb_curve(), "P3\x1b[2J\n" + "x" * 500)
    _, (note,) = to_srgb(Image.new("RGB", (8, 8)), named)
    assert note.isprintable()
    assert len(note) < 120
