"""TIFFs that Pillow alone reads wrongly, says untruly, or takes for something else.

Measured with files whose pixels are known (tests/images/test_tiff.py). Pillow 13 scrambles planar
16-bit samples that are not compressed, swaps the bytes of compressed big-endian signed and float
samples, shows min-is-white 16-bit grey as a negative, and takes the preview in a camera's RAW file
for the photograph.
"""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from redepth.errors import ImageRejected
from redepth.images.picture.damage import truncated
from redepth.images.picture.process_wide import SWITCHES
from redepth.images.picture.signatures import kind_of_suffix

_SUBFILE_TYPE, _WIDTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 258, 259, 262
_MAKE, _SAMPLES, _PLANAR, _SUB_IFDS, _SAMPLE_FORMAT = 271, 277, 284, 330, 339
_YCBCR_SUBSAMPLING, _DNG_VERSION = 530, 50706
_COLOUR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892
_MIN_IS_WHITE, _YCBCR, _SEPARATE, _SIGNED = 0, 6, 2, 2
_FORMAT_NAMES = {1: "unsigned", 2: "signed", 3: "float", 5: "complex", 6: "complex float"}
_RAW_MAKERS = (
    ("NIKON", ".nef"), ("SONY", ".arw"), ("CANON", ".cr2"), ("PENTAX", ".pef"), ("RICOH", ".pef"),
    ("SAMSUNG", ".srw"), ("HASSELBLAD", ".3fr"), ("PHASE ONE", ".iiq"), ("LEICA", ".rwl"),
    ("PANASONIC", ".rw2"), ("OLYMPUS", ".orf"), ("FUJI", ".raf"),
)  # fmt: skip


def open_tiff(data: bytes) -> Image.Image:
    """Open a TIFF, its first page not yet decoded, so that it decodes to the right samples.

    Raises:
        ImageRejected: it is a camera's RAW file, its samples are of a kind that is not read, or it
            ends before its first page.
        UnidentifiedImageError and others: as Pillow.
    """
    _refuse_big_endian_bigtiff(data)
    tags = _first_page(data)
    if tags is not None:
        _refuse_raw(tags)
    needs_libtiff = tags is not None and _needs_libtiff(tags)
    with SWITCHES.at(TiffImagePlugin, READ_LIBTIFF=needs_libtiff):
        try:
            image = Image.open(io.BytesIO(data), formats=["TIFF"])
        except UnidentifiedImageError as error:
            if tags is None:
                raise
            raise ImageRejected(_unread(tags)) from error
    _read_in_native_order(image)
    return image


def sample_range(image: Image.Image) -> tuple[int, bool]:
    """Return the largest value that a grey sample can hold, and whether it stands for black.

    For what Pillow gives in modes I, I;16 and, signed, in L; other pictures are 8 bits already.
    """
    tags: Any = getattr(image, "tag_v2", None)
    if tags is None:
        return 2**16 - 1, False  # 16-bit PNG and JPEG 2000; Pillow brings 16-bit PGM to the same
    bits, is_signed = _first(tags, _BITS, 1), _first(tags, _SAMPLE_FORMAT, 1) == _SIGNED
    is_inverted = _first(tags, _PHOTOMETRIC, 1) == _MIN_IS_WHITE
    return 2 ** (bits - is_signed) - 1, is_inverted


def is_signed_byte(image: Image.Image) -> bool:
    """Whether Pillow shows a TIFF's signed 8-bit grey as if it were unsigned."""
    tags: Any = getattr(image, "tag_v2", {})
    return image.mode == "L" and _first(tags, _SAMPLE_FORMAT, 1) == _SIGNED


def _first_page(data: bytes) -> ImageFileDirectory_v2 | None:
    """Return the first page's tags; None where they cannot be read, which Pillow will say."""
    file = io.BytesIO(data)
    try:
        tags = ImageFileDirectory_v2(file.read(16 if data[2:3] == b"+" else 8))
        is_cut = tags.next + 2 > len(data)
        tags._tag_data_limit = len(data)  # as Pillow does: tags may share their bytes
        file.seek(tags.next)
        tags.load(file)
    except Exception:
        return None
    if is_cut:
        raise truncated("its directory would come behind the end")
    return tags if _WIDTH in tags else None


def _first(tags: Any, tag: int, default: int) -> int:
    """Return a tag's number, the first of several."""
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _refuse_raw(tags: ImageFileDirectory_v2) -> None:
    """Refuse what a camera's sensor wrote, of which Pillow would read a preview or nothing.

    Known by DNG's own tag, by samples of a colour filter array, or by a first page that says it
    is the reduced copy of a page below it.
    """
    is_sensor_data = _first(tags, _PHOTOMETRIC, 1) in (_COLOUR_FILTER_ARRAY, _LINEAR_RAW)
    is_preview = _first(tags, _SUBFILE_TYPE, 0) & 1 and _SUB_IFDS in tags and _MAKE in tags
    if _DNG_VERSION in tags:
        raise ImageRejected(kind_of_suffix(".dng").reason)
    if is_sensor_data or is_preview:
        maker = str(tags.get(_MAKE, "")).upper()
        suffix = next((suffix for name, suffix in _RAW_MAKERS if name in maker), ".raw")
        raise ImageRejected(kind_of_suffix(suffix).reason)


def _refuse_big_endian_bigtiff(data: bytes) -> None:
    if data.startswith(b"MM\x00+"):
        raise ImageRejected(
            "a BigTIFF in big-endian order, which is not read: save it in little-endian order, or "
            "as a plain TIFF"
        )


def _needs_libtiff(tags: ImageFileDirectory_v2) -> bool:
    """Whether Pillow's own reader of uncompressed samples gets these wrong, and libtiff does not.

    Measured: planes of 16 bits are scrambled, planes with an alpha channel and YCbCr with fewer
    chroma samples are refused. Planes of 8 bits come out the same.
    """
    if _first(tags, _COMPRESSION, 1) != 1:
        return False
    is_subsampled = tags.get(_YCBCR_SUBSAMPLING, (1, 1)) != (1, 1)
    is_planar = _first(tags, _PLANAR, 1) == _SEPARATE and _first(tags, _SAMPLES, 1) > 1
    return is_planar or (_first(tags, _PHOTOMETRIC, 1) == _YCBCR and is_subsampled)


def _read_in_native_order(image: Image.Image) -> None:
    """Correct the order of bytes that Pillow expects of libtiff, which gives the machine's own."""
    tiles: Any = getattr(image, "tile", [])
    for index, tile in enumerate(tiles):
        if tile.codec_name != "libtiff":
            continue
        raw_mode, *others = tile.args
        native = _NATIVE.get(raw_mode, raw_mode)
        tiles[index] = tile._replace(args=(native, *others))


_NATIVE = {
    "I;16BS": "I;16NS", "I;16S": "I;16NS", "I;32BS": "I;32NS", "I;32S": "I;32NS",
    "I;32B": "I;32N", "I;32": "I;32N", "F;32BF": "F;32NF", "F;32F": "F;32NF",
}  # fmt: skip


def _unread(tags: ImageFileDirectory_v2) -> str:
    samples, bits = _first(tags, _SAMPLES, 1), _first(tags, _BITS, 1)
    kind = _FORMAT_NAMES.get(_first(tags, _SAMPLE_FORMAT, 1), "unknown")
    return (
        f"a TIFF of samples that are not read, or with a damaged header: {samples} a pixel, "
        f"{bits} bits each ({kind}), photometric interpretation {_first(tags, _PHOTOMETRIC, 1)}; "
        "if it is whole, convert it to 8 or 16 bits"
    )
