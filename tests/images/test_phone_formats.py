"""What phones and cameras write: HEIC, AVIF, JPEG XL, and RAW files, known by their content."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.images.decode import decode, read_image
from redepth.images.picture import formats
from redepth.images.picture.formats import UNREAD
from redepth.images.picture.jxl import read_jxl
from redepth.images.picture.signatures import is_heic, unread_by_content
from redepth.types import ImageRef
from tests.images.icc_profiles import D65, DISPLAY_P3, rgb_profile, srgb_curve, srgb_encoded

pillow_heif.register_heif_opener()  # to write with; registers JPEG XL's too:
import pillow_jxl  # noqa: E402, F401

TINY = Decoding(min_side_px=1)
FOCAL = {0xA405: 26}  # FocalLengthIn35mmFilm


def scene(width_px: int = 64, height_px: int = 48) -> npt.NDArray[np.uint8]:
    """A picture with no symmetry."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    rgb_hw3 = np.stack([x * 250 // width_px, y * 250 // height_px, 0 * x], -1).astype(np.uint8)
    rgb_hw3[:6, :6, 2] = 255
    return rgb_hw3


def encoded(file_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(scene()) if image is None else image
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(orientation: int, **more: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags.get_ifd(0x8769).update(FOCAL)
    return tags.tobytes()


def error_of(rgb_hw3: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> float:
    assert rgb_hw3.shape == expected.shape
    return float(np.abs(rgb_hw3.astype(int) - expected).mean())


def upright(orientation: int) -> npt.NDArray[np.uint8]:
    """Return the scene as it looks once it is turned by the orientation, worked out in NumPy."""
    turn = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a, 1),
    }  # fmt: skip
    return np.ascontiguousarray(turn[orientation](scene()))


# --- HEIC ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["HEIF", "AVIF"])
def test_orientation_is_applied_once(orientation: int, file_format: str) -> None:
    """The file says it twice, in its own boxes (irot, imir) and in EXIF."""
    data = encoded(file_format, exif=exif(orientation), quality=95)
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    result = decode(data, TINY)
    assert error_of(result.rgb_hw3, upright(orientation)) < 6
    assert result.focal_px == pytest.approx(26 * np.hypot(64, 48) / np.hypot(36, 24))


def test_exif_alone_does_not_turn_a_heic() -> None:
    """Only its boxes count; a program that turned the pixels may have left EXIF as it was."""
    data = encoded("HEIF", exif=exif(1), quality=95)
    turned = data.replace(exif(1)[6:], exif(6)[6:])
    assert turned != data
    assert error_of(decode(turned, TINY).rgb_hw3, scene()) < 6


def test_10_bits_become_8() -> None:
    deep = (scene().astype(np.uint16) * 257).tobytes()
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (64, 48), deep).save(buffer, quality=-1, chroma=444)
    result = decode(buffer.getvalue(), TINY)
    assert np.abs(result.rgb_hw3.astype(int) - scene()).max() <= 1
    assert result.file_format == "HEIF"


@pytest.mark.parametrize(("mode", "expected"), [("L", 77), ("RGB", 77), ("RGBA", 77)])
def test_modes_of_a_heic(mode: str, expected: int) -> None:
    image = Image.new("L", (32, 32), expected).convert(mode)
    assert np.abs(decode(encoded("HEIF", image), TINY).rgb_hw3.astype(int) - 77).max() <= 2


def test_alpha_of_a_heic_lies_over_the_background() -> None:
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    result = decode(encoded("HEIF", clear, quality=-1), Decoding(background=(10, 20, 30)))
    assert np.abs(result.rgb_hw3.astype(int) - (10, 20, 30)).max() <= 1
    assert result.notes == ("transparency over rgb(10, 20, 30)",)


@pytest.mark.parametrize(
    ("primary", "note"),
    [(0, "first of 3 frames"), (1, "the primary one, number 2, of 3 frames")],
)
def test_of_a_burst_the_primary_picture_is_taken(primary: int, note: str) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    first, *others = (Image.new("RGB", (32, 32), colour) for colour in colours)
    data = encoded("HEIF", first, save_all=True, append_images=others, primary_index=primary)
    result = decode(data, TINY)
    assert np.abs(result.rgb_hw3.astype(int) - colours[primary]).max() <= 6
    assert result.notes == (note,)


def test_a_heics_colours_are_converted() -> None:
    profile = rgb_profile(DISPLAY_P3, D65, srgb_curve(), "Display P3")
    image = Image.new("RGB", (32, 32), (234, 51, 35))
    result = decode(encoded("HEIF", image, icc_profile=profile, quality=-1), TINY)
    assert np.abs(result.rgb_hw3.astype(int) - (255, 0, 0)).max() <= 5
    assert result.notes == ("colours converted from Display P3 to sRGB",)


@pytest.mark.parametrize("file_format", ["HEIF", "AVIF"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "notes"),
    [
        (1, 13, ()),
        (9, 16, ("colours are BT.2020, PQ by the file's codes, taken as sRGB",)),
        (12, 13, ("colours are Display P3 by the file's codes, taken as sRGB",)),
        (1, 18, ("colours are HLG by the file's codes, taken as sRGB",)),
    ],
)
def test_colours_by_code_are_told(
    primaries: int, transfer: int, notes: tuple[str, ...], file_format: str
) -> None:
    data = encoded(file_format)
    codes = data.index(b"colrnclx") + 8
    changed = data[:codes] + struct.pack(">HH", primaries, transfer) + data[codes + 4 :]
    result = decode(changed, TINY)
    assert result.notes == notes
    assert error_of(result.rgb_hw3, scene()) < 6


@pytest.mark.parametrize(
    ("name", "file_format", "said"),
    [("a.jpg", "HEIF", "HEIF"), ("a.heic", "JPEG", "JPEG"), ("a.png", "JXL", "JXL"),
     ("a.jxl", "PNG", "PNG"), ("a.heic", "AVIF", "AVIF")],
)  # fmt: skip
def test_content_decides_and_not_the_name(
    name: str, file_format: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(encoded(file_format))
    result = read_image(ImageRef("x", str(tmp_path / name)), TINY)
    assert result.file_format == said
    assert error_of(result.rgb_hw3, scene()) < 6


@pytest.mark.parametrize(
    ("major", "compatible", "expected"),
    [
        (b"heic", b"mif1heic", True),
        (b"mif1", b"mif1heicmiaf", True),
        (b"mif1", b"mif1avif", False),
        (b"msf1", b"msf1hevc", True),
        (b"avif", b"avifmif1heic", False),
        (b"isom", b"isommp42", False),
        (b"crx ", b"crx isom", False),
    ],
)
def test_brands_tell_heic_from_avif_and_video(
    major: bytes, compatible: bytes, expected: bool
) -> None:
    box = struct.pack(">I", 16 + len(compatible)) + b"ftyp" + major + bytes(4) + compatible
    assert is_heic(box) is expected


def test_a_heic_that_says_less_than_it_has_is_rejected() -> None:
    """A bomb: 64 x 64 by its header, 2000 x 2000 by its stream."""
    data = encoded("HEIF", Image.new("RGB", (2000, 2000), (10, 20, 30)), quality=10)
    size = struct.pack(">II", 2000, 2000)
    assert size in data
    with pytest.raises(ImageRejected, match="exceeds the maximum image size"):
        decode(data.replace(size, struct.pack(">II", 64, 64)), TINY)


def test_limits_hold_for_every_format() -> None:
    small = Decoding(max_megapixels=0.003, min_side_px=1)
    for file_format in ("HEIF", "AVIF", "JXL"):
        with pytest.raises(ImageRejected, match="too large, or a decompression bomb"):
            decode(encoded(file_format), small)
        with pytest.raises(ImageRejected, match="too small"):
            decode(encoded(file_format), Decoding(min_side_px=49))


# --- JPEG XL -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("boxed", [False, True])
def test_lossless_jpeg_xl_comes_back_as_it_was(mode: str, boxed: bool) -> None:
    image = Image.fromarray(scene()).convert(mode)
    result = decode(encoded("JXL", image, lossless=True, use_container=boxed), TINY)
    assert np.array_equal(result.rgb_hw3, np.asarray(image.convert("RGB")))


def test_wide_samples_of_a_jpeg_xl_are_scaled_and_are_linear_light() -> None:
    """The encoder says so of 16-bit and float samples, and its profile is followed."""
    samples_hw = np.array([[0, 257, 32896, 65535]] * 4, np.uint16)
    expected = srgb_encoded(np.array([0, 1, 128, 255]) / 255) * 255
    floats_hw = (samples_hw / 65535).astype(np.float32)
    for samples in (samples_hw, floats_hw):
        result = decode(encoded("JXL", Image.fromarray(samples), lossless=True), TINY)
        assert np.abs(result.rgb_hw3[0, :, 0] - expected).max() <= 7  # of linear samples of 8 bits
        assert len(result.notes) == 2


def test_a_jpeg_in_a_jpeg_xl_is_upright_once(tmp_path: Path) -> None:
    """Transcoded without loss, its EXIF says what its codestream says too."""
    stored = np.ascontiguousarray(np.rot90(scene(), 1))
    path = tmp_path / "a.jpg"
    Image.fromarray(stored).save(path, exif=exif(6), quality=95)
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.save(buffer, "JXL", lossless_jpeg=True)
    result = decode(buffer.getvalue(), TINY)
    assert error_of(result.rgb_hw3, scene()) < 6


def test_exif_of_a_jpeg_xl_gives_the_focal_length_and_turns_nothing() -> None:
    data = encoded("JXL", exif=exif(6)[6:], lossless=True)
    result = decode(data, TINY)
    assert np.array_equal(result.rgb_hw3, scene())
    assert result.focal_px == pytest.approx(26 * np.hypot(64, 48) / np.hypot(36, 24))


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (64, 48),
        (256, 256),
        (8, 8),
        (17, 5),
        (600, 400),
        (1920, 1080),
        (1, 1),
        (3000, 3),
        (513, 512),
    ],
)
def test_the_size_is_read_before_anything_is_decoded(width: int, height: int) -> None:
    for boxed in (False, True):
        file = read_jxl(encoded("JXL", Image.new("L", (width, height)), use_container=boxed))
        assert (file.width_px, file.height_px) == (width, height)


def test_a_jpeg_xl_that_says_it_is_large_is_rejected_unread() -> None:
    """The codestream's own header: 2^30 by 2^30."""
    bits = 0 | 3 << 1 | (2**30 - 1) << 3 | 0 << 33 | 3 << 36 | (2**30 - 1) << 38
    with pytest.raises(ImageRejected, match="1073741824 x 1073741824 px: too large"):
        decode(b"\xff\x0a" + bits.to_bytes(40, "little"), TINY)


@pytest.mark.parametrize(
    ("preview", "animation", "said"),
    [(0, 1, "an animated JPEG XL, which is not read"), (1, 0, "a JPEG XL with a preview in it")],
)
def test_what_would_not_come_out_as_its_first_frame_is_rejected(
    preview: int, animation: int, said: str
) -> None:
    # 8 x 8 (small, of one side, ratio 1:1); not default, with more fields: orientation, no
    # intrinsic size, preview, animation.
    header = "1" + "00000" + "100" + "0" + "1" + "000" + "0" + f"{preview}{animation}"
    with pytest.raises(ImageRejected, match=said):
        decode(b"\xff\x0a" + bits(header) + bytes(40), TINY)


def bits(text: str) -> bytes:
    """Return bits, given in the order in which they are read, as bytes."""
    return int(text[::-1], 2).to_bytes(-(-len(text) // 8), "little")


def test_a_jpeg_xl_in_many_boxes_is_put_together() -> None:
    bare = encoded("JXL", lossless=True)
    parts = [bare[:20], bare[20:60], bare[60:]]
    boxes = b"\x00\x00\x00\x0cJXL \r\n\x87\n" + b"\x00\x00\x00\x14ftypjxl \x00\x00\x00\x00jxl "
    for index, part in enumerate(parts):
        number = index | (index == len(parts) - 1) << 31
        boxes += struct.pack(">I4sI", 12 + len(part), b"jxlp", number) + part
    assert np.array_equal(decode(boxes, TINY).rgb_hw3, scene())


def test_colours_of_a_jpeg_xl_are_converted() -> None:
    """The header of a file of sRGB, by default, rewritten to one of Display P3 (ISO 18181-1)."""
    colour = (200, 90, 60)
    data = encoded("JXL", Image.new("RGB", (64, 48), colour), quality=95)
    size = "1" + "10100" + "110"  # small, 48 high, 4:3
    assert data[2:4] == bits(size + "11")
    depth, channels = "0" + "00" + "1" + "00", "1"  # 8 bits, no extra channel; absolute colours
    enum = {1: "10", 11: "01" + "1001", 13: "01" + "1101"}
    space = "00" + enum[1] + enum[11] + "0" + enum[13] + "00"  # RGB, D65, P3, sRGB's curve
    metadata = "0" + "0" + depth + channels + "0" + "0" + space + "00"
    result = decode(data[:2] + bits(size + metadata + "1") + data[4:], TINY)
    assert np.abs(result.rgb_hw3.astype(int) - colour).max() <= 4
    (note,) = result.notes
    assert note.startswith("colours converted from ")


@pytest.mark.parametrize("file_format", ["HEIF", "JXL", "AVIF"])
def test_half_a_file_and_every_wrong_byte_are_survived(file_format: str) -> None:
    data = encoded(file_format)
    with pytest.raises(ImageRejected):
        decode(data[: len(data) // 2], TINY)
    for position in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        try:
            decode(bytes(damaged), Decoding(min_side_px=1, max_megapixels=1))
        except ImageRejected as rejection:
            assert str(rejection)


# --- without the packages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_format", "said"),
    [
        ("HEIF", "a HEIC photograph, which takes the extra heic, not installed here: pip install "
         "'redepth[heic]', then run again with --retry rejected"),
        ("JXL", "a JPEG XL picture, which takes the extra jxl, not installed here: pip install "
         "'redepth[jxl]', then run again with --retry rejected"),
    ],
)  # fmt: skip
def test_without_the_extra_the_rejection_says_what_to_install(
    file_format: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    with pytest.raises(ImageRejected) as rejected:
        decode(encoded(file_format), TINY)
    assert str(rejected.value) == said


def test_an_extra_that_cannot_be_loaded_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded("HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(ImageRejected, match="the package that reads it cannot be loaded: "):
        decode(data, TINY)


# --- RAW files and others, by what is in them ----------------------------------------------------


def tiff_of(tags: list[tuple[int, int, int, bytes | int]], order: str = "<") -> bytes:
    """Return a TIFF of these tags, with an 8 x 8 grey picture as its first page."""
    base = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 8), (278, 4, 1, 8), (279, 4, 1, 64)]  # fmt: skip
    given = {tag for tag, *_ in tags}
    entries = sorted([*(entry for entry in base if entry[0] not in given), *tags])
    body, behind = b"", bytes(64)
    for tag, kind, count, value in entries:
        if isinstance(value, bytes):
            body += struct.pack(order + "HHII", tag, kind, count, 8 + len(behind))
            behind += value
        else:
            short = (value,) if kind != 3 else (value, 0)
            body += struct.pack(
                order + "HHI" + ("I" if kind != 3 else "HH"), tag, kind, count, *short
            )
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8 + len(behind))
    return start + behind + struct.pack(order + "H", len(entries)) + body + bytes(4)


def preview_by(maker: bytes) -> bytes:
    """Return what a camera writes: a small picture, marked as reduced, with the sensor's below."""
    return tiff_of([(254, 4, 1, 1), (271, 2, len(maker), maker), (330, 4, 1, 8)], ">")


RAW_FILES = {
    "Canon RAW file": b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(200),
    "Canon RAW file, new": b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom" + bytes(200),
    "Nikon RAW file": preview_by(b"NIKON CORPORATION\0"),
    "Sony RAW file": preview_by(b"SONY\0\0\0\0"),
    "Pentax RAW file": preview_by(b"PENTAX Corporation\0"),
    "RAW file": preview_by(b"a camera that nobody knows\0"),
    "DNG file": tiff_of([(50706, 1, 4, 0x00000401)]),
    "RAW file, of sensor data": tiff_of([(262, 3, 1, 32803)]),
    "Fujifilm RAW file": b"FUJIFILMCCD-RAW 0201" + bytes(200),
    "Olympus RAW file": b"IIRO\x08\x00\x00\x00" + bytes(200),
    "Panasonic RAW file": b"IIU\x00\x08\x00\x00\x00" + bytes(200),
    "Sigma RAW file": b"FOVb" + bytes(200),
    "Photoshop document": b"8BPS\x00\x01" + bytes(200),
    "OpenEXR picture": b"v/1\x01" + bytes(200),
    "video": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + bytes(200),
    "video, of an iPhone": b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + bytes(200),
    "video, Matroska": b"\x1aE\xdf\xa3" + bytes(200),
    "video, AVI": b"RIFF\x00\x01\x00\x00AVI LIST" + bytes(200),
}


@pytest.mark.parametrize("name", RAW_FILES)
def test_what_is_not_read_is_named(name: str, tmp_path: Path) -> None:
    """Whatever it is called: a list may name it, or a phone rename it."""
    path = tmp_path / "a.jpg"
    path.write_bytes(RAW_FILES[name])
    kind = next(kind for kind in UNREAD if kind.name == name.partition(",")[0])
    with pytest.raises(ImageRejected) as rejected:
        read_image(ImageRef("a", str(path)), TINY)
    assert str(rejected.value) == kind.reason
    assert "which is not read: " in kind.reason


def test_pictures_are_none_of_these() -> None:
    for file_format in ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "JPEG2000", "AVIF", "HEIF",
                        "JXL", "PPM", "SGI"):  # fmt: skip
        assert unread_by_content(encoded(file_format)) is None
        assert error_of(decode(encoded(file_format), TINY).rgb_hw3, scene()) < 12


def test_a_scan_with_a_maker_and_pages_is_no_raw_file() -> None:
    plain = tiff_of([(271, 2, 6, b"EPSON\0"), (330, 4, 1, 8)])
    assert decode(plain, TINY).width_px == 8
