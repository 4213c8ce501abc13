"""Which decoder sees a file: by its content, within the limits, the first picture not yet decoded.

A decoder is only ever shown what begins like its own kind, whatever the file is called.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.images.picture import signatures
from redepth.images.picture.coded_colours import note_on_avif, note_on_heic
from redepth.images.picture.damage.jpeg import whole_jpeg
from redepth.images.picture.damage.jpeg2000 import whole_jpeg2000
from redepth.images.picture.damage.png import whole_png
from redepth.images.picture.damage.webp import first_frame, whole_webp
from redepth.images.picture.heic import open_heic
from redepth.images.picture.jxl import decode_jxl, read_jxl
from redepth.images.picture.tiff import open_tiff

# Named, so that Pillow never starts Ghostscript for an EPS, nor takes noise for a TGA or an XBM.
# ("JPEG" brings MPO along, the pairs of pictures that phones write.)
FORMATS = (
    "JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "JPEG2000", "AVIF", "PPM", "SGI",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A picture of which the header has been read, and is within the limits.

    Attributes:
        image: not loaded yet.
        file_format: what the content is.
        is_upright: the decoder turns it; EXIF's orientation is not to be applied.
        has_scales: it can be decoded at 1/2, 1/4 and 1/8 of its size (`draft`), all of it read.
        notes: what had to be left out of a damaged file.
    """

    image: Image.Image
    file_format: str
    is_upright: bool = False
    has_scales: bool = False
    notes: tuple[str, ...] = ()

    @contextmanager
    def closing(self) -> Iterator[Opened]:
        """Close the picture at the end."""
        with self.image:
            yield self


def open_picture(data: bytes, settings: Decoding) -> Opened:
    """Open a file's first picture with the decoder of its kind.

    Raises:
        ImageRejected: it is of a kind that is not read, beyond a limit, or a pixel is missing.
        Exception: whatever a decoder raises of a damaged file.
    """
    unread = signatures.unread_by_content(data)
    if unread is not None:
        raise ImageRejected(unread.reason)
    opened = next(opener for is_kind, opener in _OPENERS if is_kind(data))(data, settings)
    require_size(opened.image.width, opened.image.height, settings)
    return opened


def require_size(width_px: int, height_px: int, settings: Decoding) -> None:
    """Refuse a picture that is too large or too small; raises ImageRejected."""
    if width_px * height_px > settings.max_megapixels * 1e6:
        raise ImageRejected(f"{width_px} x {height_px} px: {too_large(settings)}")
    if min(width_px, height_px) < settings.min_side_px:
        raise ImageRejected(
            f"{width_px} x {height_px} px: too small, both sides need at least "
            f"{settings.min_side_px} px (decoding.min_side_px)"
        )


def too_large(settings: Decoding) -> str:
    """Return, in words, the limit that a picture is beyond."""
    return (
        f"too large, or a decompression bomb: more than {settings.max_megapixels:g} megapixels "
        "(decoding.max_megapixels)"
    )


def _open_heic(data: bytes, settings: Decoding) -> Opened:
    image = open_heic(data)
    return Opened(image, "HEIF", is_upright=True, notes=note_on_heic(image.info))


def _open_jxl(data: bytes, settings: Decoding) -> Opened:
    file = read_jxl(data)
    require_size(file.width_px, file.height_px, settings)
    return Opened(decode_jxl(file), "JXL", is_upright=True)


def _open_tiff(data: bytes, settings: Decoding) -> Opened:
    return Opened(open_tiff(data), "TIFF")


def _open_png(data: bytes, settings: Decoding) -> Opened:
    sound, notes = whole_png(data, settings.max_megapixels * 1e6)
    return _by_pillow(sound, notes)


def _open_jpeg(data: bytes, settings: Decoding) -> Opened:
    opened = _by_pillow(data)
    require_size(opened.image.width, opened.image.height, settings)  # before it is decoded thrice
    sound, notes = whole_jpeg(data)
    return replace(_by_pillow(sound, notes) if notes else opened, has_scales=True)


def _open_webp(data: bytes, settings: Decoding) -> Opened:
    sound, notes = whole_webp(data)
    try:
        return _by_pillow(sound, notes)
    except OSError:
        alone = first_frame(data)
        if alone is None:
            raise
        return _by_pillow(alone, ("first frame; a later one is damaged",))


def _open_jpeg2000(data: bytes, settings: Decoding) -> Opened:
    return _by_pillow(*whole_jpeg2000(data))


def _open_avif(data: bytes, settings: Decoding) -> Opened:
    opened = _by_pillow(data)
    return replace(opened, notes=note_on_avif(data, opened.image.info))


def _open_other(data: bytes, settings: Decoding) -> Opened:
    return _by_pillow(data)


def _by_pillow(data: bytes, notes: tuple[str, ...] = ()) -> Opened:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    return Opened(image, image.format or "unknown", notes=notes)


_Opener = Callable[[bytes, Decoding], Opened]
_OPENERS: tuple[tuple[Callable[[bytes], bool], _Opener], ...] = (
    (lambda data: data.startswith(signatures.JPEG), _open_jpeg),
    (lambda data: data.startswith(signatures.PNG), _open_png),
    (signatures.is_webp, _open_webp),
    (signatures.is_tiff, _open_tiff),
    (signatures.is_heic, _open_heic),
    (signatures.is_avif, _open_avif),
    (signatures.is_jxl, _open_jxl),
    (signatures.is_jpeg2000, _open_jpeg2000),
    (lambda data: True, _open_other),
)
